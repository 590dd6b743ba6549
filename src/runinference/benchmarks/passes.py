"""What one pass of an engine over the elements of a benchmark gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Pass:
    """One pass over all elements.

    Attributes:
        elements: How many were answered.
        run_s: Seconds from the start to the last answer, loading the model included.
        load_s: Seconds of these that loading the model took.
        answers: The answer for each element in their order, numbers or texts; empty where they are not collected.
        failed: How many elements were set aside.
        metrics: What the engine measured, by the names of its table, such as `inference_batch_latency_micro_secs_MEAN`;
            or measures of the benchmark's own.
        texts: Metrics that are words.
        job_id: What the runner calls the job, where it was one of its own.
    """

    elements: int
    run_s: float
    load_s: float = 0.0
    answers: Sequence[Any] = ()
    failed: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    job_id: str | None = None


def inference_of(result: Any) -> Any:
    """What a result says of its element: post-processing may leave no `PredictionResult`, but anything."""
    return getattr(result, "inference", result)
