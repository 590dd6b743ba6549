"""The metrics of a pipeline by the names of the engine's table."""

from __future__ import annotations

from typing import Any

_STATISTICS = {"COUNT": "count", "SUM": "sum", "MIN": "min", "MAX": "max", "MEAN": "mean"}


def flat_metrics(result: Any) -> dict[str, float]:
    """What the transforms of a pipeline counted, over all of its steps.

    Args:
        result: Of a pipeline of Beam's that has ended.

    Returns:
        Values such as `num_inferences` and `inference_batch_latency_micro_secs_MEAN`.
    """
    query = result.metrics().query()
    flat: dict[str, float] = {}
    for counter in query["counters"]:
        name = counter.key.metric.name
        flat[name] = flat.get(name, 0) + counter.result
    for distribution in query["distributions"]:
        values = {key: getattr(distribution.result, name) for key, name in _STATISTICS.items()}
        flat |= {f"{distribution.key.metric.name}_{key}": value for key, value in values.items() if value is not None}
    return flat
