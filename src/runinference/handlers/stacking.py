"""Rows that are arrays, joined to one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def stack(batch: Sequence[Any], dtype: Any = None) -> Array:
    """Stacks arrays of one shape to an array of shape (rows, *shape).

    Args:
        batch: At least one array, list or number; an array of shape (rows, *shape) is not copied.
        dtype: The type that each of them is read as; by default its own.

    Raises:
        ValueError: The shapes differ.
    """
    if isinstance(batch, np.ndarray) and batch.dtype != object:
        return np.asarray(batch, dtype)
    rows = list(map(np.asarray, batch)) if dtype is None else [np.asarray(row, dtype) for row in batch]
    try:
        # numpy.array does what numpy.stack does, without its work for each row; but single objects it would wrap.
        return np.stack(rows) if rows[0].dtype == object else np.array(rows)
    except ValueError:
        found = ", ".join(map(str, sorted({row.shape for row in rows}, key=str)[:5]))
        raise ValueError(f"The arrays of a batch must have one shape, got {found}") from None
