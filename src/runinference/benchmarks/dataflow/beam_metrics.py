"""The metrics of a pipeline of Beam, by the names under which Beam's benchmarks publish theirs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_STATISTICS = ("count", "max", "min", "sum", "mean")
_RUNTIME = "runtime"


def flat_metrics(metrics: Any, namespaces: Collection[str] | None = None) -> dict[str, float]:
    """Counters, gauges and distributions of a pipeline as numbers by name.

    A counter or gauge is called `<namespace>_<step>_<name>`. A distribution is five numbers,
    `<namespace>_<step>_<count|max|min|sum|mean>_<name>`; what it does not have is left out. Distributions called
    `runtime` hold times at which something happened, and give `<namespace>_runtime`, the seconds from the first to the
    last of all steps.

    Args:
        metrics: What `PipelineResult.metrics()` returns.
        namespaces: Only metrics of these; all by default.
    """
    found = metrics.query()
    flat: dict[str, float] = {}
    times: dict[str, tuple[float, float]] = {}
    for kind in ("counters", "gauges", "distributions"):
        for metric in found.get(kind, ()):
            namespace, name = metric.key.metric.namespace, metric.key.metric.name
            if metric.result is None or (namespaces is not None and namespace not in namespaces):
                continue
            start = f"{namespace}_{_step(metric.key.step)}"
            if kind != "distributions":
                value = getattr(metric.result, "value", metric.result)
                flat |= {f"{start}_{name}": float(value)} if isinstance(value, (int, float)) else {}
                continue
            numbers = {statistic: getattr(metric.result, statistic) for statistic in _STATISTICS}
            if name == _RUNTIME and numbers["min"] is not None:
                first, last = times.get(namespace, (numbers["min"], numbers["max"]))
                times[namespace] = min(first, numbers["min"]), max(last, numbers["max"])
            else:
                flat |= {
                    f"{start}_{key}_{name}": float(number) for key, number in numbers.items() if number is not None
                }
    return flat | {f"{namespace}_{_RUNTIME}": float(last - first) for namespace, (first, last) in times.items()}


def inferences(metrics: Any) -> int | None:
    """How many elements were answered, in the step that answered most; `None` where nothing was counted."""
    counts = [each.result for each in metrics.query()["counters"] if each.key.metric.name == "num_inferences"]
    return max(counts, default=None)


def _step(step: str | None) -> str:
    """A step as part of a name: `Step: My step` is `my_step`."""
    return (step or "").lower().replace(" ", "_").removeprefix("step").strip(":_")
