"""Blocks of rows in columns, cut and joined without an object for each row.

A block is a `pyarrow.RecordBatch` or a numpy array whose first axis counts rows. Data that is neither is a list.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def is_record_batch(data: Any) -> bool:
    """Whether `data` is a `pyarrow.RecordBatch`; false without importing pyarrow where nobody has."""
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(data, pyarrow.RecordBatch)


def cut(data: Any, start: int, stop: int) -> Any:
    """Rows `start` to `stop` of a list or block; a block's buffers are shared, not copied."""
    if is_record_batch(data):
        return data.slice(start, stop - start)
    return data[start:stop]


def pick(data: Any, positions: Sequence[int]) -> Any:
    """The rows of a list or block at `positions`."""
    if is_record_batch(data):
        return data.take(sys.modules["pyarrow"].array(positions, "int64"))
    if isinstance(data, np.ndarray):
        return data[np.asarray(positions, dtype=np.intp)]
    return [data[position] for position in positions]


def join(parts: Sequence[Any]) -> Any:
    """The rows of several lists or blocks, in their order; a list where they are not of one kind."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if is_record_batch(first):
        return _join_record_batches(parts)
    if _alike(parts, np.ndarray, lambda part: part.shape[1:]):
        return np.concatenate(parts)
    if hasattr(first, "to_pylist") and _alike(parts, type(first), lambda part: part.type):
        return sys.modules["pyarrow"].concat_arrays(parts)  # Predictions as Arrow arrays.
    joined: list[Any] = []
    for part in parts:
        joined.extend(part.to_pylist() if hasattr(part, "to_pylist") else part)
    return joined


def _alike(parts: Sequence[Any], kind: type, aspect: Callable[[Any], Any]) -> bool:
    return all(isinstance(part, kind) and aspect(part) == aspect(parts[0]) for part in parts)


def _join_record_batches(parts: Sequence[Any]) -> Any:
    pyarrow = sys.modules["pyarrow"]
    if all(part.schema.equals(parts[0].schema) for part in parts):
        return pyarrow.concat_batches(parts)
    # Such as frames of which only some have a missing value in a column of integers.
    tables = [pyarrow.Table.from_batches([part]) for part in parts]
    joined = pyarrow.concat_tables(tables, promote_options="permissive").combine_chunks()
    return joined.to_batches()[0]
