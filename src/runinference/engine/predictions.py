"""Predictions of every kind as a column."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runinference.errors import DataError
from runinference.packages import require


def to_arrow(values: Any) -> Any:
    """Predictions as an Arrow array with one entry for each row.

    An array of shape (rows, n) becomes lists of fixed size. Rows that are arrays or tensors become lists, whose length
    may differ from row to row; rows that are dicts, named tuples, dataclasses or tuples of arrays become a struct.

    Raises:
        DataError: They hold something that a table cannot.
    """
    pa = require("pyarrow", "arrow", "run a model over tables")
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    try:
        return _matrix(pa, values) if isinstance(values, np.ndarray) else _rows(pa, list(values))
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"Predictions of type {type(values[0]).__name__} cannot be a column ({error}). "
            "Turn them into numbers, texts, lists or dicts, for instance with with_postprocess_fn"
        ) from None


def _matrix(pa: Any, values: np.ndarray[Any, Any]) -> Any:
    column = pa.array(values.reshape(-1))
    for size in reversed(values.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def _rows(pa: Any, values: list[Any]) -> Any:
    values = [_fields(value) for value in _with_arrays(values)]
    first = values[0] if values else None
    if isinstance(first, np.ndarray) and _same(values, np.ndarray, lambda value: value.ndim):
        return _lists(pa, values) if first.ndim else pa.array(np.stack(values))
    if isinstance(first, dict) and first and _same(values, dict, list):
        return pa.StructArray.from_arrays([_rows(pa, [row[name] for row in values]) for name in first], list(first))
    return pa.array([_plain(value) for value in values])


def _same(values: Sequence[Any], kind: type, aspect: Callable[[Any], Any]) -> bool:
    """Whether all values are of a kind and alike in an aspect."""
    expected = aspect(values[0])
    return all(isinstance(value, kind) and aspect(value) == expected for value in values)


def _lists(pa: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """Arrays of any shapes with the same number of axes as nested lists, without an object for each number."""
    column = pa.array(np.concatenate([array.reshape(-1) for array in arrays]))
    shapes = [array.shape for array in arrays]
    for axis in reversed(range(1, arrays[0].ndim)):
        counts = [int(np.prod(shape[:axis])) for shape in shapes]
        column = _list(pa, column, np.repeat([shape[axis] for shape in shapes], counts))
    return _list(pa, column, np.array([shape[0] for shape in shapes]))


def _list(pa: Any, column: Any, lengths: np.ndarray[Any, Any]) -> Any:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), column)


def _with_arrays(values: list[Any]) -> list[Any]:
    """The values, with an array for each tensor of PyTorch or TensorFlow."""
    if not any(name in sys.modules for name in ("torch", "tensorflow")):
        return values
    return [value.numpy() if _is_tensor(value) else value for value in values]


def _fields(value: Any) -> Any:
    """Several outputs of one row by name; anything else as it is."""
    if hasattr(value, "_asdict"):
        return value._asdict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and any(isinstance(each, np.ndarray) or _is_tensor(each) for each in value):
        return {str(position): each for position, each in enumerate(value)}
    return value


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("torch", "tensorflow") and hasattr(value, "numpy")


def _plain(value: Any) -> Any:
    if _is_tensor(value):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
