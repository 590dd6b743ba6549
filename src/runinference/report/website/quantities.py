"""What is shown of runs: which quantity, under which title, where its definition is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, NamedTuple

from runinference.metrics.history import Run
from runinference.metrics.measures import MEASURES, Measure
from runinference.metrics.table import METRICS
from runinference.report.website.archive import PEER, Section, Stop

RUN_TIME: Final = "JobRuntimeSeconds"
THROUGHPUT: Final = "AvgThroughputElements"
COST: Final = "estimated_cost_per_million"
SPEED_UP: Final = Measure(
    "speed_against_beam",
    "times",
    "speed against Beam's RunInference",
    "The run time of Beam's own RunInference (the engine beam-original), divided by that of this engine, both from "
    "runs that took turns: the median over the rounds, with the smallest and the largest. It is not stored.",
    "higher",
)
AT_LOAD: Final = re.compile(r"(?P<what>.+)_at_(?P<load>\d+(?:\.\d+)?)_percent")
"""What is measured at a load: `latency_p99_ms_at_70_percent`, `achieved_rate_at_70_percent`."""
LATENCY: Final = re.compile(r"latency_p(\d+(?:\.\d+)?)_ms")

_STATISTICS = {"MEAN": "mean", "P50": "p50", "P95": "p95", "P99": "p99", "MAX": "max"}
_ALL_STATISTICS = ("COUNT", "SUM", "MIN", *_STATISTICS)
_LARGE = (RUN_TIME, THROUGHPUT, SPEED_UP.name)
_SMALL = (
    "EstimatedCost",
    COST,
    "AvgThroughputBytes",
    "throughput_after_load",
    *(f"inference_batch_latency_micro_secs_{key}" for key in ("MEAN", "P50", "P95", "P99")),
    "load_model_latency_milli_secs_MEAN",
    "peak_memory_bytes",
    "device_memory_used_bytes_MAX",
    "cpu_utilization",
    "device_utilization_percent_MEAN",
    "peak_share",
    "padding_efficiency",
    "inference_request_batch_size_MEAN",
    "batch_fill_ratio_MEAN",
)
# Nobody needs a chart of these while all is well.
_IF_THEY_VARY = ("answers_equal", "failed_elements")


class Measured(NamedTuple):
    """A quantity of a run: the median over its passes, the smallest and the largest."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quantity:
    """One quantity that runs have.

    Attributes:
        metric: The name under which it is stored.
        title: What people call it, with a capital letter.
        unit: Unit of its values.
        better: Which way is better; `None` where neither is.
        entry: Its place in the glossary; `None` where nothing is known of it.
    """

    metric: str
    title: str
    unit: str
    better: Literal["lower", "higher"] | None
    entry: str | None

    @classmethod
    def of_measure(cls, measure: Measure, entry: str | None = None) -> Quantity:
        """The quantity that a row of the table of measures declares."""
        return cls(measure.name, capitalized(measure.label), measure.unit, measure.better, entry or measure.name)


def capitalized(text: str) -> str:
    """With a capital letter at the beginning; the others stay."""
    return text[:1].upper() + text[1:]


def quantity(metric: str) -> Quantity | None:
    """The quantity that is stored under a name; `None` where no table declares it."""
    if metric == SPEED_UP.name:
        return Quantity.of_measure(SPEED_UP)
    if metric in MEASURES:
        return Quantity.of_measure(MEASURES[metric])
    if metric in METRICS:
        spec = METRICS[metric]
        return Quantity(metric, capitalized(spec.label or spec.name.replace("_", " ")), spec.unit, None, metric)
    name, _, statistic = metric.rpartition("_")
    if name not in METRICS or statistic not in _ALL_STATISTICS:
        return None
    spec = METRICS[name]
    title = f"{capitalized(spec.label or name.replace('_', ' '))}, {_STATISTICS.get(statistic, statistic.lower())}"
    better: Literal["lower"] | None = "lower" if "latency" in name else None
    unit = spec.unit if statistic != "COUNT" else ""
    if metric == "inference_request_batch_size_MEAN":
        title = "Batch size, mean"
    return Quantity(metric, title, unit, better, name)


def own_entry(benchmark: str, measure: str) -> str:
    """Where the glossary has a measure that only one benchmark has."""
    return f"{benchmark}/{measure}"


def large_quantities(section: Section) -> list[Quantity]:
    """Those that have a chart over the whole width."""
    return [found for name in _LARGE if _there(section, name) and (found := quantity(name))]


def small_quantities(section: Section, own: Sequence[Measure]) -> list[Quantity]:
    """The others that have a chart, those of the benchmark's own last."""
    names = [name for name in _SMALL if _there(section, name)]
    names += [name for name in _IF_THEY_VARY if _varies(section, name)]
    found = [known for name in names if (known := quantity(name))]
    return found + [own for own in _own(section, own) if _there(section, own.metric)]


def _own(section: Section, declared: Sequence[Measure]) -> Iterator[Quantity]:
    """What the benchmark declares, and what nobody does."""
    stored = sorted({name for stop in section.stops for run in stop.runs.values() for name in run.samples})
    in_curves = _in_curves(stored)
    for measure in declared:
        if measure.name not in in_curves and quantity(measure.name) is None:
            yield Quantity.of_measure(measure, own_entry(section.benchmark, measure.name))
    names = {measure.name for measure in declared}
    for name in stored:
        # Metrics of one of several models are called after it, and are as many as there are models.
        of_a_model = quantity(name.rpartition("-")[2]) is not None
        if name not in names and not of_a_model and name not in in_curves:
            yield Quantity(name, name, "", None, None)


def _in_curves(names: Sequence[str]) -> set[str]:
    """What is shown against the load alone: what is measured at several, but for the highest percentile of latency."""
    matches = [match for name in names if (match := AT_LOAD.fullmatch(name))]
    whats = [match["what"] for match in matches]
    percentiles = [found for what in whats if (found := LATENCY.fullmatch(what))]
    highest = max(percentiles, key=lambda found: float(found[1]))[0] if percentiles else None
    return {match[0] for match in matches if whats.count(match["what"]) > 1 and match["what"] != highest}


def measured(stop: Stop, engine: str, metric: str) -> Measured | None:
    """A quantity of the run of an engine; `None` where there is no such run or it was not measured."""
    run = stop.runs.get(engine)
    if run is None:
        return None
    if metric == SPEED_UP.name:
        return _speed_up(run, stop.runs.get(PEER))
    values = samples(run, metric)
    return Measured(median(values), min(values), max(values)) if values else None


def samples(run: Run, metric: str) -> list[float]:
    """The values of a metric, one for each pass; only finite numbers."""
    return [float(value) for value in run.samples.get(metric, ()) if _is_number(value)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _speed_up(run: Run, peer: Run | None) -> Measured | None:
    if peer is None or peer is run:
        return None
    ours, theirs = samples(run, RUN_TIME), samples(peer, RUN_TIME)
    if not ours or not theirs or min(*ours, *theirs) <= 0:
        return None
    rounds = [b / a for a, b in zip(ours, theirs, strict=False)]
    return Measured(median(rounds), min(rounds), max(rounds))


def _there(section: Section, metric: str) -> bool:
    return any(measured(stop, engine, metric) for stop in section.stops for engine in stop.runs)


def _varies(section: Section, metric: str) -> bool:
    found = (measured(stop, engine, metric) for stop in section.stops for engine in stop.runs)
    return len({value for each in found if each for value in each}) > 1
