"""Two models over the same rows: in one pass of an ensemble, against two passes one after the other.

Of each batch of 64 rows, reading takes 2 ms, pre-processing 2 ms, and each model 4 ms. All of that waits, without the
interpreter lock, so that it may happen at the same time: then a batch takes as long as its longest part, in either
contest, and a pass is saved.

Where the same steps compute on 2 cores, the cores are what is short, and the work itself is only 4/3 less: reading and
pre-processing cost as much as one model, and are done once instead of twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from threadpoolctl import threadpool_limits

from harness.contest import Contest, Work
from harness.result import Result, Settings
from model_cases.waiting import BATCH_ROWS, Step, Times, compute, once_a_batch, wait
from runinference import EnsembleModelHandler, infer

_TARGET = 1.7
_STEP_S = 0.002
_STEP_PRODUCTS = 4


@dataclass(frozen=True)
class _Costs:
    """What is done for each batch: reading, pre-processing, and either model."""

    read: Step
    prepare: Step
    model: Step


def run(settings: Settings) -> list[Result]:
    """With steps that wait, and with steps that compute."""
    batches = 40 if settings.quick else 200
    waiting = _Costs(wait(_STEP_S), wait(_STEP_S), wait(2 * _STEP_S))
    computing = _Costs(compute(_STEP_PRODUCTS), compute(_STEP_PRODUCTS), compute(2 * _STEP_PRODUCTS))
    with threadpool_limits(1):
        return [
            _compare("waiting", waiting, batches, settings, _TARGET),
            _compare("computing", computing, batches, settings, None, "the work itself is 4/3 less; no target"),
        ]


def _compare(
    name: str, costs: _Costs, batches: int, settings: Settings, target: float | None, note: str = ""
) -> Result:
    rows = BATCH_ROWS * batches
    contestants = {
        "one pass": Work(rows, partial(_one_pass, costs, rows), _coded),
        "two passes": Work(rows, partial(_two_passes, costs, rows), _coded),
    }
    contest = Contest.hold(f"ab_one_pass: {name}", contestants, settings.repeat)
    return contest.against("one pass", "two passes", target, note=note)


def _one_pass(costs: _Costs, rows: int) -> list[Any]:
    models = {"a": Times(2, costs.model), "b": Times(3, costs.model)}
    handler = EnsembleModelHandler(models).with_preprocess_fn(partial(_prepare, costs))
    return list(infer(_read(costs, rows), handler))


def _two_passes(costs: _Costs, rows: int) -> list[Any]:
    a, b = (
        list(infer(_read(costs, rows), Times(factor, costs.model).with_preprocess_fn(partial(_prepare, costs))))
        for factor in (2, 3)
    )
    return [{"a": of_a, "b": of_b} for of_a, of_b in zip(a, b, strict=True)]


def _read(costs: _Costs, rows: int) -> Iterator[int]:
    for row in range(rows):
        once_a_batch(costs.read, row)
        yield row


def _prepare(costs: _Costs, row: int) -> int:
    once_a_batch(costs.prepare, row)
    return row


def _coded(both: dict[str, int]) -> int:
    return both["a"] * 10**9 + both["b"]
