"""`Metrics` records what happens; it may be written to from any thread."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Mapping
from typing import Any

from runinference.errors import ConfigurationError, closest
from runinference.metrics.distribution import Distribution
from runinference.metrics.snapshot import MetricsSnapshot
from runinference.metrics.table import METRICS, Kind

_VERBS: Mapping[Kind, str] = {"counter": "count", "distribution": "observe", "gauge": "set"}


class Metrics:
    """Records the metrics that `METRICS` declares, and nothing else.

    All methods may be called from any thread. It can be pickled, so that a worker process can send back what it
    recorded.

    Args:
        namespace: Whose metrics these are, such as the name of a handler; destinations show it.
        prefix: Put before every name in what `snapshot().to_dict()` returns.

    Example:
        >>> metrics = Metrics()
        >>> metrics.record({"num_inferences": 2}, {"batch_size": 2})
        >>> metrics.snapshot()["num_inferences"]
        2
    """

    def __init__(self, namespace: str = "runinference", prefix: str = "") -> None:
        self.namespace = namespace
        self.prefix = prefix
        self._lock = threading.Lock()
        # Filled from the table once, so that recording is a plain look-up and an undeclared name cannot slip in.
        self._counters = {name: 0 for name, spec in METRICS.items() if spec.kind == "counter"}
        self._distributions = {name: Distribution() for name, spec in METRICS.items() if spec.kind == "distribution"}
        self._gauges: dict[str, float | int | str] = {}
        self._whole: Metrics | None = None
        self._parts: dict[str, Metrics] = {}

    def part(self, name: str) -> Metrics:
        """The recorder of one of several models; what it counts and observes is in this one too.

        In `snapshot().to_dict()` its metrics are called `<name>-<metric>`.
        """
        with self._lock:
            if name not in self._parts:
                part = self._parts[name] = self._new_part(name)
                part._whole = self
            return self._parts[name]

    def _new_part(self, name: str) -> Metrics:  # noqa: ARG002
        return Metrics(self.namespace)

    def count(self, name: str, amount: int = 1) -> None:
        """Adds `amount` to a counter.

        Raises:
            ConfigurationError: No such counter is declared, or `amount` is negative.
        """
        self.record({name: amount}, {})

    def observe(self, name: str, value: float) -> None:
        """Adds a value to a distribution; a value that is NaN or infinite is left out.

        Raises:
            ConfigurationError: No such distribution is declared.
        """
        self.record({}, {name: value})

    def record(self, counts: Mapping[str, int], observations: Mapping[str, float]) -> None:
        """Adds to several counters and distributions at once; cheaper than one call for each.

        Raises:
            ConfigurationError: A name is not declared or is of another kind, or an amount is negative.
        """
        counters, distributions = self._counters, self._distributions
        # Checked before anything is written: a batch is recorded as a whole or not at all.
        for name, amount in counts.items():
            if name not in counters:
                raise _fault(name, "counter")
            if operator.index(amount) < 0:
                raise ConfigurationError(f"Counter {name!r} only grows; it cannot change by {amount}.")
        for name in observations:
            if name not in distributions:
                raise _fault(name, "distribution")
        with self._lock:
            for name, amount in counts.items():
                counters[name] += operator.index(amount)
            for name, value in observations.items():
                distributions[name].add(value)
        if self._whole is not None:
            self._whole.record(counts, observations)

    def set(self, name: str, value: float | str) -> None:
        """Sets a gauge; a number that is NaN or infinite is left out.

        Raises:
            ConfigurationError: No such gauge is declared, or it holds text and `value` is a number or the reverse.
        """
        spec = METRICS.get(name)
        if spec is None or spec.kind != "gauge":
            raise _fault(name, "gauge")
        if isinstance(value, str) != (spec.unit == "text"):
            expected = "text" if spec.unit == "text" else f"a number ({spec.unit})"
            raise ConfigurationError(f"Gauge {name!r} holds {expected}, not {value!r}.")
        if not isinstance(value, str):
            if not math.isfinite(value):
                return
            # Plain numbers, because those of numpy do not go into JSON.
            value = operator.index(value) if hasattr(value, "__index__") else float(value)
        with self._lock:
            self._gauges[name] = value

    def merge(self, other: Metrics) -> None:
        """Adds everything that `other` recorded; gauges join as the table says. `other` stays as it is."""
        # A copy first: holding both locks at once could block two recorders that merge each other.
        counters, distributions, gauges = other._copies()
        with self._lock:
            for name, amount in counters.items():
                self._counters[name] += amount
            for name, distribution in distributions.items():
                self._distributions[name].merge(distribution)
            for name, value in gauges.items():
                self._gauges[name] = _joined(name, self._gauges.get(name), value)
        for name, part in list(other._parts.items()):
            self.part(name).merge(part)  # Which leaves the whole alone: that has been merged above.

    def snapshot(self) -> MetricsSnapshot:
        """Everything recorded up to now, as a value that no longer changes."""
        counters, distributions, gauges = self._copies()
        parts = {name: part.snapshot() for name, part in list(self._parts.items())}
        return MetricsSnapshot(counters, distributions, gauges, self.namespace, self.prefix, parts)

    def totals(self) -> dict[str, float]:
        """The counters and the sums of the distributions; cheaper than a snapshot, for who looks often."""
        with self._lock:
            return {**self._counters, **{name: each.sum for name, each in self._distributions.items()}}

    def _copies(self) -> tuple[dict[str, int], dict[str, Distribution], dict[str, float | int | str]]:
        with self._lock:
            distributions = {name: each.copy() for name, each in self._distributions.items()}
            return dict(self._counters), distributions, dict(self._gauges)

    def __getstate__(self) -> dict[str, Any]:
        counters, distributions, gauges = self._copies()
        return {
            "namespace": self.namespace,
            "prefix": self.prefix,
            "_counters": counters,
            "_distributions": distributions,
            "_gauges": gauges,
            "_whole": None,
            "_parts": dict(self._parts),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        for part in self._parts.values():
            part._whole = self


def _joined(name: str, mine: float | str | None, theirs: float | str) -> float | str:
    if mine is None or isinstance(mine, str) or isinstance(theirs, str):
        return theirs
    rule = METRICS[name].merge
    return mine + theirs if rule == "sum" else max(mine, theirs) if rule == "max" else theirs


def _fault(name: str, kind: Kind) -> ConfigurationError:
    """Why `name` cannot be recorded as a `kind`."""
    spec = METRICS.get(name)
    if spec is not None:
        verb = _VERBS[spec.kind]
        return ConfigurationError(f"Metric {name!r} is a {spec.kind}, not a {kind}; use {verb}({name!r}, …).")
    candidates = [each.name for each in METRICS.values() if each.kind == kind]
    return ConfigurationError(f"No {kind} named {name!r} is declared.{closest(name, candidates)}")
