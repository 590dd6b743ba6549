"""Handlers that spend their time waiting, or computing without the interpreter lock, on batches of 64 rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runinference import ModelHandler

BATCH_ROWS = 64

Step = Callable[[], None]

_MATRIX = np.random.default_rng(0).standard_normal((256, 256), dtype=np.float32)


def wait(seconds: float) -> Step:
    """Waits, as for a disk or for a device."""
    return lambda: time.sleep(seconds)


def compute(products: int) -> Step:
    """Multiplies so many matrices, about half a millisecond each."""

    def work() -> None:
        for _ in range(products):
            _MATRIX @ _MATRIX

    return work


def once_a_batch(step: Step, row: int) -> None:
    """Does `step` on the first row of each batch."""
    if row % BATCH_ROWS == 0:
        step()


class Times(ModelHandler[int, int, None]):
    """Multiplies integers, and takes its time for each batch."""

    def __init__(self, factor: int, step: Step) -> None:
        super().__init__(min_batch_size=BATCH_ROWS, max_batch_size=BATCH_ROWS)
        self._factor = factor
        self._step = step

    def load_model(self) -> None:
        """There is none."""

    def run_inference(self, batch: Sequence[int], model: None, inference_args: Any = None) -> list[int]:
        """Multiplies each row."""
        del model, inference_args
        self._step()
        return [self._factor * row for row in batch]
