"""A model of one large matrix in a file, and rows for it that come at a fixed rate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from runinference import ModelHandler, PredictionResult

FACTORS = (2, 3)
"""What all weights of the first file are, and of the second."""

Array = np.ndarray[Any, Any]


class WeightsHandler(ModelHandler[int, PredictionResult, Array]):
    """Multiplies a vector for each row with the matrix in a file, whose weights are all the same number.

    Args:
        path: The file, as numpy saves it.
        batch_rows: Rows of each batch.
    """

    def __init__(self, path: str, batch_rows: int) -> None:
        super().__init__(min_batch_size=batch_rows, max_batch_size=batch_rows)
        self._path = path

    def load_model(self) -> Array:
        """Reads the file."""
        return np.load(self._path)

    def run_inference(self, batch: Sequence[int], model: Array, inference_args: Any = None) -> list[PredictionResult]:
        """Gives each row times the number that the weights are."""
        del inference_args
        vectors = np.zeros((len(batch), len(model)), np.float32)
        vectors[:, 0] = batch
        numbers = (vectors @ model)[:, 0].tolist()
        return [PredictionResult(row, number, self._path) for row, number in zip(batch, numbers, strict=True)]

    def get_model_id(self) -> str:
        """The file."""
        return self._path

    def update_model_path(self, model_path: str | None = None) -> None:
        """Reads another file from now on."""
        self._path = model_path or self._path


def stream(per_second: float, rows: int) -> Iterator[int]:
    """Rows that come when they are due; late ones at once."""
    start = time.perf_counter()
    for row in range(rows):
        time.sleep(max(0.0, start + row / per_second - time.perf_counter()))
        yield row
