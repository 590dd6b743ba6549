"""Rows of numbers: made ones that are always the same, or those of the user's own files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from runinference.benchmarks.settings import Settings

Array = np.ndarray[Any, Any]


def made_matrix(rows: int, features: int, seed: int = 1) -> Array:
    """Normally distributed float32 of shape (rows, features)."""
    return np.random.default_rng(seed).standard_normal((rows, features), dtype=np.float32)


def made_labels(matrix: Array) -> Array:
    """Two classes, 0 and 1, that a hyperplane parts."""
    labels: Array = (matrix @ np.linspace(-1, 1, matrix.shape[1], dtype=np.float32) > 0).astype(np.int64)
    return labels


def rows_of(settings: Settings, features: int) -> list[Array]:
    """As many rows as are asked for, each an array of its own; of the user's input as many as there are.

    Args:
        settings: What is asked for.
        features: Width of rows that are made.

    Raises:
        ConfigurationError: The input is not there, or of no format that is known.
        DataError: The input cannot be read.
    """
    if settings.input is None:
        return list(made_matrix(settings.examples, features))
    return list(read_matrix(settings.input, settings.examples))


def read_matrix(source: str, most: int) -> Array:
    """The first rows of a table of numbers, as float32 of shape (rows, columns).

    Args:
        source: A file, folder or glob.
        most: How many rows.

    Raises:
        ConfigurationError: The input is not there, or of no format that is known.
        DataError: It cannot be read, or holds something that is not a number.
    """
    from runinference.errors import DataError
    from runinference.handlers.columns import to_matrix
    from runinference.jobs.readers import open_dataset

    dataset = open_dataset(source)
    try:
        parts = [to_matrix(batch).astype(np.float32) for batch in dataset.batches(limit=most)]
    except ValueError as error:
        raise DataError(f"{source} is no table of numbers: {error}") from error
    return np.concatenate(parts) if parts else np.empty((0, len(dataset.schema)), np.float32)


def num_bytes(rows: Sequence[Array]) -> int:
    """The bytes of the numbers in rows."""
    return sum(row.nbytes for row in rows)
