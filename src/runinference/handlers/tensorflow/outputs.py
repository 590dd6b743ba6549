"""What a TensorFlow model returns for a batch, as columns that are taken apart into rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runinference.handlers.tensorflow.load import import_tensorflow


class UnstackedTensor(Sequence[Any]):
    """The rows of a tensor of shape (rows, …), each a tensor.

    Taking all rows apart in one operation is a hundred times faster than asking the tensor for one after the other.

    Args:
        tensor: The tensor of all rows, dense or ragged.
    """

    def __init__(self, tensor: Any) -> None:
        self.shape = tuple(tensor.shape)
        self._rows = import_tensorflow().unstack(tensor) if hasattr(tensor, "device") else list(tensor)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __getitem__(self, position: Any) -> Any:
        return self._rows[position]


def outputs_of(value: Any) -> Any:
    """What a graph returned, with a tuple for several outputs and the bare output where it is the only one.

    A graph returns a list or tuple only for several outputs, never for several rows.
    """
    if isinstance(value, Mapping):
        return {name: outputs_of(part) for name, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return type(value)._make(map(outputs_of, value))
    if isinstance(value, (list, tuple)):
        return outputs_of(value[0]) if len(value) == 1 else tuple(map(outputs_of, value))
    return value


def map_tensors(value: Any, fn: Callable[[Any], Any]) -> Any:
    """`value` with `fn` applied to each tensor in its mappings and tuples."""
    if isinstance(value, Mapping):
        return {name: map_tensors(part, fn) for name, part in value.items()}
    if isinstance(value, tuple):
        parts = [map_tensors(part, fn) for part in value]
        return type(value)._make(parts) if hasattr(value, "_make") else tuple(parts)
    return fn(value)


def to_numpy(value: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    value = _dense(value)
    return value.numpy() if hasattr(value, "numpy") else value


def to_rows(value: Any) -> Any:
    """A tensor with a row axis as its rows; anything else as it is."""
    value = _dense(value)
    return UnstackedTensor(value) if hasattr(value, "numpy") and len(value.shape) > 0 else value


def _dense(value: Any) -> Any:
    sparse = hasattr(value, "dense_shape") and hasattr(value, "indices")
    return import_tensorflow().sparse.to_dense(value) if sparse else value
