"""What an ONNX model takes: rows, tables and arguments as the arrays that its inputs ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runinference.batching.blocks import is_record_batch
from runinference.errors import ModelFaultError, ModelLoadError, closest
from runinference.handlers.columns import check_feature_count, select, to_matrix
from runinference.handlers.stacking import Array, stack

_TYPES = {
    **{name: np.dtype(name) for name in ("bool", "float16", "int8", "int16", "int32", "int64")},
    **{name: np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64")},
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "string": np.dtype(object),
}
# A number may become one of a later kind, but not of an earlier one.
_KINDS = {"b": 0, "i": 1, "u": 1, "f": 2}


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a model.

    Attributes:
        name: Its name.
        dtype: The type of its array; `object` for texts.
        shape: Length of each axis: a number, or a name or `None` where it is free. Empty where the model does not
            tell, or where it is a single number.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]

    @classmethod
    def of(cls, node: Any) -> Input:
        """The input that onnxruntime describes as `node`.

        Raises:
            ModelLoadError: There is no array for its type.
        """
        dtype = _TYPES.get(node.type.removeprefix("tensor(").removesuffix(")"))
        if dtype is None:
            raise ModelLoadError(
                f"The model's input {node.name!r} is of type {node.type}, which numpy arrays cannot hold; "
                "pass inference_fn to say how the model is run"
            )
        return cls(node.name, dtype, tuple(node.shape))

    def of_rows(self, values: Sequence[Any]) -> Array:
        """The array of a batch, of shape (rows, …), from one array, list, number or text for each row.

        Raises:
            ValueError: Type or shape are not those of the input.
        """
        return self._shaped(self._cast(stack(values, object if self.dtype == object else None)))

    def of_columns(self, block: Any) -> Array:
        """The array of a block, of shape (rows, …), from its columns side by side.

        Raises:
            ModelFaultError: There are more or fewer columns than the input takes.
            ValueError: The values are not of the input's type or shape.
        """
        rank = len(self.shape)
        if rank in (1, 2):
            check_feature_count(block, 1 if rank == 1 else _known(self.shape[1]))
        if self.dtype == object and is_record_batch(block):
            matrix = np.array([column.to_pylist() for column in block.columns], object).T
        else:
            matrix = to_matrix(block)
        if rank == 1 and matrix.shape[1] == 1:
            matrix = matrix[:, 0]
        sizes = [size for size in self.shape[1:] if isinstance(size, int)]
        if len(sizes) == rank - 1 > 1 and matrix.shape[1] == math.prod(sizes):
            matrix = matrix.reshape(-1, *sizes)  # Such as images, which tables hold as flat lists.
        return self._shaped(self._cast(matrix))

    def of_argument(self, value: Any) -> Array:
        """The array of a value that is the same for all rows.

        Raises:
            ModelFaultError: Type or rank are not those of the input.
        """
        try:
            array = self._cast(np.asarray(value, object if self.dtype == object else None))
        except ValueError as error:
            raise ModelFaultError(f"inference_args: {error}") from None
        if array.ndim == 0 and len(self.shape) == 1:
            array = array.reshape(1)
        if self.shape and not _fits(array.shape, self.shape):
            raise ModelFaultError(
                f"inference_args: the input {self.name!r} takes an array of shape {_text(self.shape)}, "
                f"got {_text(array.shape)}"
            )
        return array

    def _shaped(self, array: Array) -> Array:
        if array.ndim == 1 and len(self.shape) == 2 and _known(self.shape[1]) in (None, 1):
            array = array.reshape(-1, 1)
        if self.shape and not _fits(array.shape[1:], self.shape[1:]):
            raise ValueError(
                f"The model's input {self.name!r} takes rows of shape {_text(self.shape[1:])}, "
                f"got {_text(array.shape[1:])}"
            )
        return array

    def _cast(self, array: Array) -> Array:
        if self.dtype == object:
            return self._texts(array)
        if array.dtype == self.dtype:
            return array
        if array.dtype.kind not in _KINDS:
            raise ValueError(f"The model's input {self.name!r} takes {self.dtype}, got {_first_non_number(array)}")
        if _KINDS[array.dtype.kind] > _KINDS[self.dtype.kind]:
            raise ValueError(
                f"The model's input {self.name!r} takes {self.dtype}, which cannot hold {array.dtype}; "
                "convert it, for instance with with_preprocess_fn"
            )
        try:
            self._check_range(array)
            with np.errstate(over="raise"):
                return array.astype(self.dtype, order="C")
        except (FloatingPointError, OverflowError):
            finite = array[np.isfinite(array)]
            largest = max(finite.min(), finite.max(), key=abs)
            raise ValueError(
                f"The model's input {self.name!r} takes {self.dtype}, which cannot hold {largest}"
            ) from None

    def _check_range(self, array: Array) -> None:
        if self.dtype.kind not in "iu" or not array.size or np.can_cast(array.dtype, self.dtype):
            return
        limits = np.iinfo(self.dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise OverflowError

    def _texts(self, array: Array) -> Array:
        for value in array.flat:
            if not isinstance(value, str):
                raise ValueError(f"The model's input {self.name!r} takes texts, got {type(value).__name__} {value!r}")
        return array


def split_inputs(session: Any, inference_args: Mapping[str, Any] | None) -> tuple[list[Input], dict[str, Array]]:
    """The inputs that the rows must give, and the arrays of those that `inference_args` give for all of them.

    Raises:
        ModelFaultError: `inference_args` have a name that is no input or a value that does not fit, or leave no input
            for the rows.
    """
    nodes = {node.name: node for node in session.get_inputs()}
    if not inference_args:
        return list(map(Input.of, nodes.values())), {}
    known = nodes | {node.name: node for node in session.get_overridable_initializers()}
    for name in inference_args:
        if name not in known:
            raise ModelFaultError(
                f"inference_args: the model has no input {name!r}.{closest(name, known)} Inputs: {', '.join(known)}"
            )
    fixed = {name: Input.of(known[name]).of_argument(value) for name, value in inference_args.items()}
    of_rows = [Input.of(node) for name, node in nodes.items() if name not in fixed]
    if not of_rows:
        raise ModelFaultError(
            f"inference_args give every input of the model ({', '.join(fixed)}), so none is left for the rows"
        )
    return of_rows, fixed


def feed_of_rows(batch: Sequence[Any], inputs: Sequence[Input]) -> dict[str, Array]:
    """The arrays of a batch of examples, by name of the input.

    Raises:
        ValueError: An example lacks an input, has one that the model does not know, or does not fit.
    """
    names = [each.name for each in inputs]
    if not isinstance(batch[0], Mapping):
        if len(inputs) > 1:
            raise ValueError(
                f"The model has several inputs, so each example must be a dict of {', '.join(names)}; "
                f"got {type(batch[0]).__name__}"
            )
        return {names[0]: inputs[0].of_rows(batch)}
    if len(inputs) == 1 and _is_table_row(batch[0], names[0]):
        return {names[0]: inputs[0].of_rows([list(row.values()) for row in batch])}
    for row in batch:
        _check_names(row, names)
    return {each.name: each.of_rows([row[each.name] for row in batch]) for each in inputs}


def feed_of_block(block: Any, inputs: Sequence[Input]) -> dict[str, Array]:
    """The arrays of a block, by name of the input: all its columns for one input, else each the column of its name.

    Raises:
        ModelFaultError: It lacks a column, or has more or fewer than the model takes.
        ValueError: Its values are not of the inputs' types or shapes.
    """
    if len(inputs) == 1:
        return {inputs[0].name: inputs[0].of_columns(block)}
    names = [each.name for each in inputs]
    if not is_record_batch(block):
        raise ModelFaultError(
            f"The model has several inputs ({', '.join(names)}), for which an array has no columns with names; "
            "pass a table"
        )
    block = select(block, names)
    return {each.name: each.of_columns(block.select([each.name])) for each in inputs}


def examples_of_block(block: Any, nodes: Sequence[Any]) -> list[Any]:
    """The rows of a block one by one, as a function of one's own takes them: arrays, or dicts for several inputs."""
    if not is_record_batch(block):
        return list(block)
    if len(nodes) == 1 and nodes[0].type != "tensor(string)":
        return list(to_matrix(block))
    rows: list[Any] = block.column(0).to_pylist() if block.num_columns == 1 else block.to_pylist()
    return rows


def _is_table_row(row: Mapping[str, Any], name: str) -> bool:
    """Whether an example is a row of a table, which comes as a dict where something needs single rows."""
    return len(row) > 1 and name not in row and not any(np.ndim(value) for value in row.values())


def _check_names(row: Any, names: Sequence[str]) -> None:
    if not isinstance(row, Mapping):
        raise ValueError(f"Examples of a batch must all be dicts of {', '.join(names)}; got {type(row).__name__}")
    if len(row) == len(names) and all(name in row for name in names):
        return
    for name in row:
        if name not in names:
            raise ValueError(
                f"The example has {name!r}, which is not among the inputs that an example gives the model: "
                f"{', '.join(names)}.{closest(str(name), names)}"
            )
    missing = next(name for name in names if name not in row)
    raise ValueError(f"The example has no {missing!r}; the inputs that it gives the model are {', '.join(names)}")


def _known(size: int | str | None) -> int | None:
    return size if isinstance(size, int) else None


def _fits(found: tuple[int, ...], wanted: tuple[int | str | None, ...]) -> bool:
    return len(found) == len(wanted) and all(
        _known(size) in (None, length) for length, size in zip(found, wanted, strict=True)
    )


def _text(shape: Sequence[int | str | None]) -> str:
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _first_non_number(array: Array) -> str:
    if array.dtype.kind != "O":
        return f"{array.dtype} such as {array.flat[0]!r}" if array.size else str(array.dtype)
    wrong = next((v for v in array.flat if not isinstance(v, (bool, int, float, np.number))), array.flat[0])
    return f"{type(wrong).__name__} {wrong!r}"
