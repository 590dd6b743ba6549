"""How long each call of a handler takes, which Beam's metrics tell the mean of only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runinference.metrics.distribution import Distribution

_NAME = "inference_batch_latency_micro_secs"


@contextmanager
def latencies_of(handler: Any) -> Iterator[dict[str, float]]:
    """Times the calls of `run_inference` of a handler of Beam's within, in this process.

    The class of the handler is changed meanwhile, because pipelines run copies of the handler. That is only for a
    process that does nothing else.

    Args:
        handler: The handler that runs the model, not one that wraps it.

    Returns:
        Their p50, p95 and p99; empty until the end.
    """
    kind, calls = type(handler), Distribution()
    original = kind.run_inference
    found: dict[str, float] = {}

    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        results = list(original(self, *args, **kwargs))
        calls.add((time.perf_counter() - start) * 1e6)
        return results

    kind.run_inference = timed
    try:
        yield found
    finally:
        kind.run_inference = original
        for percent in (50, 95, 99):
            value = calls.quantile(percent / 100)
            if value is not None:
                found[f"{_NAME}_P{percent}"] = value
