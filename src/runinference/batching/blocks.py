"""Blocks of rows in columns, cut and joined without an object for each row.

A block is a `pyarrow.RecordBatch` or a numpy array whose first axis counts rows. Data that is neither is a list.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
    """The rows of several lists or blocks of one kind, in their order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if is_record_batch(first):
        return _join_record_batches(parts)
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if hasattr(first, "to_pylist"):  # Predictions as an Arrow array.
        return sys.modules["pyarrow"].concat_arrays(parts)
    joined = list(first)
    for part in parts[1:]:
        joined += part
    return joined


def _join_record_batches(parts: Sequence[Any]) -> Any:
    pyarrow = sys.modules["pyarrow"]
    if all(part.schema.equals(parts[0].schema) for part in parts):
        return pyarrow.concat_batches(parts)
    # Such as frames of which only some have a missing value in a column of integers.
    tables = [pyarrow.Table.from_batches([part]) for part in parts]
    joined = pyarrow.concat_tables(tables, promote_options="permissive").combine_chunks()
    return joined.to_batches()[0]
