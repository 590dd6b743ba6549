"""Rows and tables as the tensors that a TensorFlow model takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runinference.errors import ModelFaultError
from runinference.handler import num_bytes as plain_num_bytes
from runinference.handlers.columns import check_feature_count, select, to_matrix
from runinference.handlers.stacking import stack
from runinference.handlers.tensorflow.call import UNNAMED, GraphCall
from runinference.handlers.tensorflow.load import import_tensorflow

Specs = dict[str, Any] | None


def tensors_of_rows(batch: Any, specs: Specs, call: GraphCall) -> dict[str, Any]:
    """A tensor of shape (rows, …) for each input of a model.

    Args:
        batch: Arrays, tensors, numbers or texts, mappings of them by the name of the input, or `tf.train.Example`
            objects where the input takes serialised ones. Or an array or tensor of all rows.
        specs: What the model takes; `None` where it does not tell.
        call: The model.

    Raises:
        ValueError: The rows differ in shape, or do not fit.
        ModelFaultError: The model takes another number of rows.
    """
    if not isinstance(batch[0], Mapping):
        if specs is not None and len(specs) != 1:
            raise ValueError(
                f"The model has {len(specs)} inputs, so an example must be a dict with "
                f"{', '.join(map(repr, specs))}; got {type(batch[0]).__name__}"
            )
        name, spec = next(iter(specs.items())) if specs else (UNNAMED, None)
        return {name: _tensor(_stacked(batch, name), name, spec, call)}
    columns = _columns(batch, specs)
    return {name: _tensor(column, name, specs[name] if specs else None, call) for name, column in columns.items()}


def tensors_of_block(block: Any, specs: Specs, call: GraphCall) -> dict[str, Any]:
    """A tensor of shape (rows, …) for each input of a model, out of a table.

    A model with one input is given all columns as a matrix; one with several is given the column of each by its name.

    Args:
        block: A record batch, or an array of shape (rows, features).
        specs: What the model takes; `None` where it does not tell.
        call: The model.

    Raises:
        ValueError: A column holds something else than the model takes.
        ModelFaultError: A column is missing, or there are more or fewer than the model takes.
    """
    if specs is not None and len(specs) != 1:
        if isinstance(block, np.ndarray):
            raise ModelFaultError(
                f"The model has {len(specs)} inputs, {', '.join(map(repr, specs))}; it needs a table with these "
                f"columns, not an array of {block.shape[1]} columns without names"
            )
        chosen = select(block, list(specs))
        return {name: _tensor(_of_column(chosen, name, spec), name, spec, call) for name, spec in specs.items()}
    name, spec = next(iter(specs.items())) if specs else (UNNAMED, None)
    if spec is None:
        return {name: _tensor(to_matrix(block), name, None, call)}
    if spec.dtype.name == "string" and not isinstance(block, np.ndarray):
        check_feature_count(block, 1)
        return {name: _tensor(_of_column(block, block.schema.names[0], spec), name, spec, call)}
    sizes = spec.shape[1:].as_list() if spec.shape.rank else [None]
    check_feature_count(block, None if None in sizes else math.prod(sizes))
    matrix = to_matrix(block)
    # Images and other arrays come as one list of numbers for each row.
    if len(sizes) > 1 and None not in sizes and matrix.shape[1] == math.prod(sizes):
        matrix = matrix.reshape(-1, *sizes)
    return {name: _tensor(matrix, name, spec, call)}


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor of TensorFlow that holds values."""
    return hasattr(value, "numpy") and type(value).__module__.startswith("tensorflow.")


def num_bytes(example: Any) -> int:
    """The bytes that an example holds: buffers of tensors and arrays, texts, and these within mappings."""
    if is_tensor(example):
        if example.dtype.name == "string":
            return sum(map(len, np.ravel(example.numpy())))
        return int(example.shape.num_elements()) * int(example.dtype.size)
    if hasattr(example, "ByteSize"):
        return int(example.ByteSize())
    if isinstance(example, Mapping):
        return sum(map(num_bytes, example.values()))
    if isinstance(example, np.ndarray) and example.dtype == object:
        return sum(map(plain_num_bytes, example.flat))
    return plain_num_bytes(example)


def _columns(batch: Sequence[Mapping[str, Any]], specs: Specs) -> dict[str, Any]:
    """The values of rows that are mappings, by the name of the input."""
    names = list(specs) if specs is not None else list(batch[0])
    if specs is not None and len(specs) == 1 and not any(name in batch[0] for name in names):
        # Rows of a table, which come as dicts where something needs single rows.
        return {names[0]: _stacked([np.asarray(list(row.values())) for row in batch], names[0])}
    for row in batch:
        missing = [name for name in names if name not in row]
        if missing or (unknown := [name for name in row if name not in names]):
            what = f"does not have {missing[0]!r}" if missing else f"has {unknown[0]!r}, which is none of them"
            raise ValueError(f"The model takes the inputs {', '.join(map(repr, names))}, but an example {what}")
    return {name: _stacked([row[name] for row in batch], name) for name in names}


def _stacked(rows: Any, name: str) -> Any:
    """The rows as one array or tensor of shape (rows, …)."""
    if isinstance(rows, np.ndarray) or is_tensor(rows):
        return rows
    first = rows[0]
    if is_tensor(first) and all(
        is_tensor(row) and (row.dtype, row.shape) == (first.dtype, first.shape) for row in rows
    ):
        return import_tensorflow().stack(list(rows))
    arrays = [_array(row) for row in rows]
    texts = sum(array.dtype.kind in "OSU" for array in arrays)
    if 0 < texts < len(arrays):  # numpy would turn the numbers into texts.
        raise ValueError(f"{_input(name)} is given texts and numbers in one batch")
    return stack(arrays)


def _array(row: Any) -> Any:
    if hasattr(row, "SerializeToString"):
        row = row.SerializeToString()
    if is_tensor(row):
        return np.asarray(row.numpy(), object if row.dtype.name == "string" else None)
    array = np.asarray(row)
    # As an array of fixed length, numpy would cut zeros off the end of bytes.
    return np.asarray(row, object) if array.dtype.kind == "S" and not isinstance(row, np.ndarray) else array


def _of_column(block: Any, name: str, spec: Any) -> Any:
    if spec.dtype.name != "string":
        matrix = to_matrix(block.select([name]))
        return matrix[:, 0] if spec.shape.rank == 1 and matrix.shape[1] == 1 else matrix
    values = block.column(name).to_pylist()
    if any(not isinstance(value, (str, bytes)) for value in values):
        wrong = next(value for value in values if not isinstance(value, (str, bytes)))
        raise ValueError(f"Column {name!r} must hold texts or bytes, got {wrong!r}")
    return np.array(values, object)


def _tensor(values: Any, name: str, spec: Any, call: GraphCall) -> Any:
    """An array or tensor of all rows as a tensor of the type and shape that the model takes."""
    tf = import_tensorflow()
    wanted = _natural_dtype(tf, values, call) if spec is None else spec.dtype
    _check_kind(values, wanted, name)
    if spec is not None and spec.shape.rank is not None:
        values = _fitted(values, name, spec.shape.as_list())
    if is_tensor(values):
        if values.dtype == wanted:
            return values
        if values.dtype.is_floating and wanted.is_floating:
            return tf.cast(values, wanted)
        values = values.numpy()
    if wanted != tf.string:
        values = _cast(values, np.dtype(wanted.as_numpy_dtype), name)
    return tf.convert_to_tensor(values, wanted)


def _check_kind(values: Any, wanted: Any, name: str) -> None:
    texts = _holds_texts(values)
    if wanted.name == "string" and not texts:
        raise ValueError(f"{_input(name)} takes texts or bytes, got numbers of type {values.dtype}")
    if wanted.name != "string" and texts:
        example = values.numpy() if is_tensor(values) else values
        found = sorted({type(value).__name__.removesuffix("_") for value in example.ravel()[:100]})
        raise ValueError(f"{_input(name)} takes numbers ({wanted.name}), got {', '.join(found)}")


def _holds_texts(values: Any) -> bool:
    return values.dtype.name == "string" if is_tensor(values) else values.dtype.kind in "OSU"


def _natural_dtype(tf: Any, values: Any, call: GraphCall) -> Any:
    """The type that a model which does not tell is likely to take: floats are as its variables are."""
    if _holds_texts(values):
        return tf.string
    found = tf.as_dtype(values.dtype)
    if not found.is_floating:
        return found
    own = (tf.as_dtype(variable.dtype) for variable in call.variables)
    return next((dtype for dtype in own if dtype.is_floating), tf.float32)


def _fitted(values: Any, name: str, shape: list[int | None]) -> Any:
    rows, found, wanted = len(values), list(values.shape[1:]), shape[1:]
    if not shape or (shape[0] is not None and shape[0] != rows):
        raise ModelFaultError(
            f"{_input(name)} has the fixed shape {tuple(shape)}, but the batch has {rows:,} rows. "
            "Save the model for any number of rows (None), or pass min_batch_size and max_batch_size of "
            f"{shape[0] if shape else 1}"
        )
    if len(found) == len(wanted) - 1 and wanted[-1] == 1:
        values, found = values[..., None], [*found, 1]
    elif len(found) == len(wanted) + 1 and found[-1] == 1:
        values, found = values[..., 0], found[:-1]
    if len(found) != len(wanted) or any(b is not None and a != b for a, b in zip(found, wanted, strict=True)):
        raise ValueError(f"{_input(name)} takes examples of shape {tuple(wanted)}, got {tuple(found)}")
    return values


def _cast(values: Any, wanted: Any, name: str) -> Any:
    if values.dtype == wanted:
        return values
    with np.errstate(invalid="ignore", over="ignore"):
        cast = values.astype(wanted)
        if wanted.kind in "iu" and not np.array_equal(cast, values):
            wrong = values[cast != values].ravel()[0]
            raise ValueError(f"{_input(name)} takes {wanted.name}, which cannot hold {wrong}")
    return cast


def _input(name: str) -> str:
    return f"The model's input {name!r}" if name else "The model"
