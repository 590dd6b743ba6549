"""The one table of what a benchmark measures beyond the metrics of the engine: names, units, definitions.

`JobRuntimeSeconds`, `AvgThroughputElements`, `AvgThroughputBytes` and `EstimatedCost` are the names under which Apache
Beam publishes the same quantities, so that queries and dashboards stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity of a benchmark.

    Attributes:
        name: The name under which it is published.
        unit: Unit of its values; `ratio` for a share between 0 and 1.
        label: What people call it.
        help: What exactly it is, in one or two sentences.
        better: Which way is better; `None` where neither is.
    """

    name: str
    unit: str
    label: str
    help: str
    better: Literal["lower", "higher"] | None = "lower"


_ROWS = [
    Measure(
        "JobRuntimeSeconds",
        "s",
        "run time",
        "From the start of the job to its last answer, loading the model included. On Dataflow, from the message that "
        "all workers have started to the one that they are stopped.",
    ),
    Measure(
        "AvgThroughputElements",
        "elements/s",
        "throughput",
        "Elements that were answered, divided by the run time.",
        "higher",
    ),
    Measure(
        "AvgThroughputBytes",
        "bytes/s",
        "throughput in bytes",
        "Bytes of the elements as they are stored, such as those of JPEG files, divided by the run time.",
        "higher",
    ),
    Measure(
        "EstimatedCost",
        "USD",
        "estimated cost",
        "What the job costs at list prices: on Dataflow from the job's own usage, on a machine from its run time and "
        "the price of the machine type that is named. Nothing for storage, network and time between jobs.",
    ),
    Measure(
        "estimated_cost_per_million",
        "USD",
        "estimated cost per million",
        "The estimated cost, divided by the elements, times a million.",
    ),
    Measure(
        "throughput_after_load",
        "elements/s",
        "throughput after loading",
        "Elements that were answered, divided by the run time without loading the model.",
        "higher",
    ),
    Measure(
        "peak_memory_bytes",
        "bytes",
        "peak memory",
        "The most memory that the process had resident, since its start; passes to warm up are part of it.",
    ),
    Measure(
        "cpu_utilization",
        "ratio",
        "CPU utilisation",
        "Processor time of the process and its children, divided by the run time and the number of cores.",
        None,
    ),
    Measure(
        "peak_share",
        "ratio",
        "share of the limit",
        "Floating-point operations that the elements need, padding left out, per second of the run time after loading, "
        "divided by those of a large matrix product on the same device, measured in the same run.",
        "higher",
    ),
    Measure(
        "answers_equal",
        "ratio",
        "equal answers",
        "The share of elements for which this engine gave the same answer as the first engine of the run.",
        "higher",
    ),
    Measure(
        "failed_elements",
        "elements",
        "failed elements",
        "Elements that were set aside.",
    ),
]

MEASURES: Mapping[str, Measure] = MappingProxyType({measure.name: measure for measure in _ROWS})
"""Every measure by its name, in the order in which people are shown them."""
