"""The embedded engine: `infer` in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runinference.benchmarks.passes import Pass, inference_of
from runinference.engine.local import infer
from runinference.metrics import Metrics
from runinference.prediction import Failure

if TYPE_CHECKING:
    from runinference.benchmarks.benchmark import Benchmark


def run(benchmark: Benchmark, examples: Sequence[Any]) -> Pass:
    """One pass over all elements."""
    handler, metrics = benchmark.handler(), Metrics()
    failed: list[Failure] = []
    start = time.perf_counter()
    answered = [
        benchmark.answer(inference_of(result))
        for result in infer(examples, handler, metrics=metrics, on_failure=failed.append)
    ]
    run_s = time.perf_counter() - start
    flat = metrics.snapshot().to_dict()
    numbers = {name: value for name, value in flat.items() if not isinstance(value, str)}
    return Pass(
        elements=len(answered),
        run_s=run_s,
        load_s=metrics.totals()["load_model_latency_milli_secs"] * 1e-3,
        answers=_with_gaps(answered, {failure.index for failure in failed}),
        failed=len(failed),
        metrics=numbers,
        texts={name: value for name, value in flat.items() if isinstance(value, str)},
    )


def _with_gaps(answers: list[Any], failed: set[int]) -> list[Any]:
    """The answers at the places of their elements; `None` for those that failed."""
    if not failed:
        return answers
    remaining = iter(answers)
    return [None if index in failed else next(remaining) for index in range(len(answers) + len(failed))]
