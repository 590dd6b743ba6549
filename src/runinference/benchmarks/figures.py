"""What is published of a pass."""

from __future__ import annotations

import math
from collections.abc import Callable

from runinference.benchmarks.contestant import Ready, Timed
from runinference.metrics.machine import cores


def figures(ready: Ready, timed: Timed, cost: Callable[[float], float | None]) -> dict[str, float]:
    """The measures of a pass with the metrics of its engine; what is not known is left out.

    Args:
        ready: What the elements are.
        timed: The pass.
        cost: What a job of so many seconds costs, in USD; `None` where there is no price.
    """
    result = timed.result
    after_load = result.run_s - result.load_s
    estimated = result.metrics.get("EstimatedCost", cost(result.run_s))
    optional = {
        "AvgThroughputElements": _per(result.elements, result.run_s),
        "AvgThroughputBytes": None if ready.num_bytes is None else _per(ready.num_bytes, result.run_s),
        "EstimatedCost": estimated,
        "estimated_cost_per_million": None if estimated is None else _per(estimated * 1e6, result.elements),
        "throughput_after_load": _per(result.elements, after_load),
        "peak_memory_bytes": timed.peak_bytes,
        "cpu_utilization": None if timed.cpu_s is None else _per(timed.cpu_s, result.run_s * cores()),
    }
    known = {name: float(value) for name, value in optional.items() if value is not None}
    own = {"JobRuntimeSeconds": result.run_s, "failed_elements": float(result.failed)}
    # What the benchmark measured itself, or its runner, goes before what is derived here.
    return {name: value for name, value in (own | known | dict(result.metrics)).items() if math.isfinite(value)}


def peak_share(ready: Ready, timed: Timed, peak: float | None) -> float | None:
    """The share of the device's peak that a pass reached; `None` where it is not known.

    Args:
        ready: What the elements are.
        timed: The pass.
        peak: Operations per second of a large matrix product.
    """
    if ready.flops is None or peak is None:
        return None
    rate = _per(ready.flops, timed.result.run_s - timed.result.load_s)
    return None if rate is None else rate / peak


def _per(amount: float, of: float) -> float | None:
    return amount / of if of > 0 else None
