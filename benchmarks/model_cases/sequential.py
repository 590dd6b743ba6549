"""A model on the predictions of another: `infer(infer(rows, a), b)`, against all rows of one and then of the other.

Each waits 4 ms for a batch of 64 rows. If both are busy all the time, the first way takes half as long.
"""

from __future__ import annotations

from functools import partial

from harness.contest import Contest, Work
from harness.result import Result, Settings
from model_cases.waiting import BATCH_ROWS, Times, wait
from runinference import infer

_MODEL_S = 0.004


def run(settings: Settings) -> list[Result]:
    """No target: 2 is what there is to be won."""
    rows = range(BATCH_ROWS * (40 if settings.quick else 200))
    contestants = {
        "chained": Work(len(rows), partial(_chained, rows)),
        "one after the other": Work(len(rows), partial(_in_turn, rows)),
    }
    contest = Contest.hold("sequential", contestants, settings.repeat)
    return [contest.against("chained", "one after the other", note="2 if both models are busy all the time")]


def _models() -> tuple[Times, Times]:
    return Times(2, wait(_MODEL_S)), Times(5, wait(_MODEL_S))


def _chained(rows: range) -> list[int]:
    a, b = _models()
    return list(infer(infer(rows, a), b))


def _in_turn(rows: range) -> list[int]:
    a, b = _models()
    first = list(infer(rows, a))
    return list(infer(first, b))
