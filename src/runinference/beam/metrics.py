"""Metrics as Beam counts them: in a thread of its own, with the bundle that they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from apache_beam.metrics import Metrics as BeamMetrics

from runinference.metrics.journal import Entry
from runinference.metrics.table import METRICS

_BATCHING = "BatchElements"
_OF_BATCHING = frozenset({"batch_size", "msec_per_batch"})


class BundleMetrics:
    """Records what was measured in the bundle that runs in this thread.

    What is recorded there counts if the bundle is committed, and only then.

    Args:
        namespace: Where they are reported.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.prefix = ""

    def record(self, entries: Iterable[Entry], inferred: int) -> None:
        """Records entries of batches, and how many elements of this bundle the model ran on.

        Batches have rows of other bundles too, so the entries do not tell how many of this one there were.
        """
        for part, counts, observations in entries:
            for name, amount in counts.items():
                if name != "num_inferences" or part is not None:
                    self._count(name, amount, part)
            for name, value in observations.items():
                if METRICS[name].unit != "ratio":  # Beam's distributions hold whole numbers.
                    namespace = _BATCHING if name in _OF_BATCHING else self._namespace
                    _distribution(namespace, self._name(name, part)).update(round(value))
        if inferred:
            self._count("num_inferences", inferred, None)

    def _count(self, name: str, amount: int, part: str | None) -> None:
        _counter(self._namespace, self._name(name, part)).inc(amount)

    def _name(self, name: str, part: str | None) -> str:
        return f"{self.prefix}{name}" if part is None else f"{part}-{name}"


@cache
def _counter(namespace: str, name: str) -> Any:
    return BeamMetrics.counter(namespace, name)


@cache
def _distribution(namespace: str, name: str) -> Any:
    return BeamMetrics.distribution(namespace, name)
