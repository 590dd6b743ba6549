"""Whether reading, pre-processing, inference and post-processing run at the same time.

Each step of a batch of 64 rows sleeps 10 ms (the source 5 ms) on one of its rows, without the interpreter lock. One
after the other a batch takes 35 ms; overlapped, no more than its longest step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from harness.measure import alternate
from harness.result import Result, Settings
from runinference import Metrics, ModelHandler, infer

_ROWS = 64
_STEP_S = 0.01
_SOURCE_S = 0.005
_TARGET = 1.15


class _Sleeper(ModelHandler[int, int, None]):
    def load_model(self) -> None:
        return None

    def run_inference(self, batch: Sequence[int], model: None, inference_args: Any = None) -> list[int]:
        del model, inference_args
        time.sleep(_STEP_S)
        return [2 * row for row in batch]


def run(settings: Settings) -> list[Result]:
    """As the engine decides; and with four threads, without a target."""
    batches = 40 if settings.quick else 200
    modes: dict[str, str] = {}
    wrong: list[str] = []

    def contestant(workers: int | None) -> Callable[[], float]:
        def work() -> float:
            metrics = Metrics()
            start = time.perf_counter()
            results = list(infer(_source(batches), _handler(), workers=workers, metrics=metrics))
            took = time.perf_counter() - start
            if results != [2 * row + 2 for row in range(_ROWS * batches)]:
                wrong.append(f"workers={workers}")
            modes[f"workers={workers}"] = str(metrics.snapshot().to_dict()["execution_mode"])
            return took

        return work

    samples = alternate({"workers=None": contestant(None), "workers=4": contestant(4)}, settings.repeat)
    ideal, in_turn = batches * _STEP_S, batches * (3 * _STEP_S + _SOURCE_S)
    return [
        Result(
            f"overlap: {name}",
            ours=median(figures),
            peer=ideal,
            unit="s",
            values=[figure / ideal for figure in figures],
            target=_TARGET if name == "workers=None" else None,
            at_least=False,
            answers_equal=not wrong,
            note=f"{batches} batches, ended {modes[name]}; one after the other would take {in_turn:g} s",
            samples={"wall_s": figures},
        )
        for name, figures in samples.items()
    ]


def _handler() -> Any:
    handler = _Sleeper(min_batch_size=_ROWS, max_batch_size=_ROWS)
    return handler.with_preprocess_fn(_prepare).with_postprocess_fn(_finish)


def _source(batches: int) -> Iterator[int]:
    for row in range(_ROWS * batches):
        if row % _ROWS == 0:
            time.sleep(_SOURCE_S)
        yield row


def _prepare(row: int) -> int:
    if row % _ROWS == 0:
        time.sleep(_STEP_S)
    return row + 1


def _finish(result: int) -> int:
    if result % (2 * _ROWS) == 2:
        time.sleep(_STEP_S)
    return result
