"""Whether something got slower: two sets of runs, metric by metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from runinference.benchmarks.intervals import Ratio, ratio_of
from runinference.benchmarks.pairs import Pairs, Unpaired, machine_of, title_of
from runinference.errors import ConfigurationError, closest
from runinference.metrics.history import Run
from runinference.metrics.measures import MEASURES, Measure
from runinference.metrics.table import METRICS, MetricSpec

DEFAULT_METRIC = "JobRuntimeSeconds"
TOO_FEW = "too few samples"

_TOO_SMALL = 0.0005  # Would be shown as 0.0 %.
_TIMES = {"s", "ms", "µs"}
_WORDS = {True: ("slower", "faster"), False: ("worse", "better")}


@dataclass(frozen=True)
class Row:
    """One metric of two runs of the same thing.

    Attributes:
        a: The run that is compared with.
        b: The run that is compared.
        measure: The metric, its unit, and which way is better.
        ratio: How many times the value of A that of B is; `None` where that cannot be said.
        verdict: What that means, in words.
        worse: Whether B is worse by more than the threshold.
    """

    a: Run
    b: Run
    measure: Measure
    ratio: Ratio | None
    verdict: str
    worse: bool

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON knows; differences are in percent."""
        metric, ratio = self.measure.name, self.ratio
        interval = None if ratio is None or ratio.low is None else [_percent(ratio.low), _percent(ratio.high)]
        return {
            "benchmark": self.b.info.name,
            "work": self.b.work,
            "engine": self.b.info.engine,
            "device": self.b.info.device,
            "metric": metric,
            "unit": self.measure.unit,
            "better": self.measure.better,
            "a": _side(self.a, metric),
            "b": _side(self.b, metric),
            "difference_percent": None if ratio is None else _percent(ratio.value),
            "interval_percent": interval,
            "verdict": self.verdict,
            "worse": self.worse,
        }


def compare_pairs(
    pairs: Pairs, metrics: Sequence[str] = (), threshold: float = 0.05, own: Mapping[str, Measure] | None = None
) -> list[Row]:
    """Holds the runs of each pair against each other.

    B is worse by more than the threshold where the difference itself is beyond the threshold on the side that is
    worse, and its whole 95 % interval is on that side of no difference. A metric of which neither way is better, and
    one with a single sample, is never worse.

    Args:
        pairs: The runs.
        metrics: Which metrics; the run time by default.
        threshold: A share, such as 0.05.
        own: Measures that belong to benchmarks, by name.

    Raises:
        ConfigurationError: None of the runs has a metric; the nearest that they have is named.
    """
    names = list(dict.fromkeys(metrics)) or [DEFAULT_METRIC]
    known = {name for pair in pairs.pairs for run in pair for name in run.samples}
    for name in names:
        if name not in known:
            raise ConfigurationError(f"The runs have no metric {name!r}.{closest(name, known)} {_some_of(known)}")
    measures = [measure_of(name, own or {}) for name in names]
    return [
        _row(a, b, measure, threshold)
        for measure in measures
        for a, b in pairs.pairs
        if measure.name in a.samples or measure.name in b.samples
    ]


def measure_of(metric: str, own: Mapping[str, Measure]) -> Measure:
    """The unit of a metric, and which way is better.

    Of the metrics of the engine, lower is better for times, bytes and what fails; higher for rates and shares; the
    others, such as sizes of batches, are neither. Of a metric that nobody has declared, higher is better if it is a
    throughput.
    """
    declared = MEASURES.get(metric) or own.get(metric)
    if declared is not None:
        return declared
    spec = max(
        (spec for name, spec in METRICS.items() if _is_of(metric, name)), key=lambda it: len(it.name), default=None
    )
    if spec is None:
        return Measure(metric, "", metric, "", "higher" if "throughput" in metric.lower() else "lower")
    statistic = metric[len(spec.name) :].strip("_").lower()
    unit = "" if statistic == "count" else spec.unit
    better: Any = None if statistic == "count" else _better(spec)
    return Measure(metric, unit, " ".join(filter(None, [spec.label, statistic])), spec.help, better)


def to_dict(pairs: Pairs, rows: Sequence[Row], threshold: float) -> dict[str, Any]:
    """The whole comparison as values that JSON knows."""
    return {
        "threshold_percent": 100 * threshold,
        "worse": any(row.worse for row in rows),
        "rows": [row.to_dict() for row in rows],
        "unpaired": [_unpaired(each) for each in pairs.unpaired],
        "incomplete": [_unpaired(each) for each in pairs.incomplete],
    }


def _row(a: Run, b: Run, measure: Measure, threshold: float) -> Row:
    of_a, of_b = a.samples.get(measure.name, ()), b.samples.get(measure.name, ())
    if not of_a or not of_b:
        return Row(a, b, measure, None, f"not measured in {'B' if of_a else 'A'}", worse=False)
    if min(*of_a, *of_b) <= 0:
        return Row(a, b, measure, None, "same" if list(of_a) == list(of_b) else "no ratio: a value is 0", worse=False)
    ratio = ratio_of(of_a, of_b)
    if ratio.low is None or ratio.high is None:
        return Row(a, b, measure, ratio, TOO_FEW, worse=False)
    if ratio.low <= 1 <= ratio.high or abs(ratio.value - 1) < _TOO_SMALL:
        return Row(a, b, measure, ratio, "no difference seen", worse=False)
    if measure.better is None:
        return Row(a, b, measure, ratio, "higher" if ratio.value > 1 else "lower", worse=False)
    is_worse = (ratio.value > 1) == (measure.better == "lower")
    timed = measure.unit in _TIMES or measure.unit.endswith("/s")
    verdict = _WORDS[timed][0 if is_worse else 1]
    # Rounded, so that 10 s and 10.5 s are 5 % apart, and not a millionth of a millionth more.
    return Row(a, b, measure, ratio, verdict, worse=is_worse and round(abs(ratio.value - 1), 9) > threshold)


def _is_of(metric: str, name: str) -> bool:
    return metric == name or metric.startswith(f"{name}_")


def _better(spec: MetricSpec) -> str | None:
    if spec.name.startswith(("failed_", "retried_", "out_of_memory_")) or spec.unit in _TIMES:
        return "lower"
    if spec.unit == "bytes":
        return None if "batch" in spec.name else "lower"
    return "higher" if spec.unit == "ratio" or spec.unit.endswith("/s") else None


def _some_of(known: set[str]) -> str:
    measures = [name for name in MEASURES if name in known]
    others = len(known) - len(measures)
    return f"They have {', '.join(measures)}" + (f", and {others} metrics of their engines" if others else "")


def _percent(ratio: float | None) -> float | None:
    # JSON has no word for infinity.
    return None if ratio is None or math.isinf(ratio) else 100 * (ratio - 1)


def _side(run: Run, metric: str) -> dict[str, Any]:
    samples = list(run.samples.get(metric, ()))
    info = run.info
    return {
        "test_id": info.test_id,
        "commit": info.commit,
        "started": info.started,
        "machine": machine_of(run),
        "median": median(samples) if samples else None,
        "samples": samples,
    }


def _unpaired(each: Unpaired) -> dict[str, Any]:
    title, engine = title_of(each.run)
    return {"side": each.side, "run": title, "engine": engine, "test_id": each.run.info.test_id, "reason": each.reason}
