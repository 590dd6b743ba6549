"""Columns of a table as the matrix or frame that a model takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runinference.batching.blocks import is_record_batch
from runinference.errors import MissingDependencyError, ModelFaultError, closest

if TYPE_CHECKING:
    import pandas as pd


def select(block: Any, names: Sequence[str] | None) -> Any:
    """The columns of a record batch that a model was trained with, in that order; all where it does not tell.

    Raises:
        ModelFaultError: A column is missing.
    """
    if names is None or not is_record_batch(block) or block.schema.names == list(names):
        return block
    missing = [name for name in names if name not in block.schema.names]
    if missing:
        raise ModelFaultError(
            f"The model was trained with column {missing[0]!r}, which the table does not have."
            f"{closest(missing[0], block.schema.names)} "
            f"{len(missing)} of {len(names)} trained columns are missing; the table has: "
            f"{', '.join(itertools.islice(block.schema.names, 20))}"
        )
    return block.select(list(names))


def check_feature_count(block: Any, expected: int | None) -> None:
    """Checks that a block has as many columns as a model was trained with, where the model tells.

    Raises:
        ModelFaultError: It has more or fewer.
    """
    if expected is None:
        return
    if isinstance(block, np.ndarray):
        found, names = block.shape[1], ""
    elif block.num_columns == 1 and hasattr(block.schema.field(0).type, "value_type"):
        return
    else:
        found, names = block.num_columns, f": {', '.join(itertools.islice(block.schema.names, 10))}"
        names += ", …" if found > 10 else ""
    if found != expected:
        raise ModelFaultError(
            f"The model was trained with {expected:,} features but is given {found:,} columns{names}. "
            "Name its columns: columns=[…], on the command line --columns"
        )


def all_numbers(block: Any) -> bool:
    """Whether every column of a block holds numbers, or lists of them, by its type."""
    if isinstance(block, np.ndarray):
        return True
    import pyarrow as pa

    def is_number(kind: Any) -> bool:
        kind = kind.value_type if hasattr(kind, "value_type") else kind
        return bool(
            pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_decimal(kind)
            or pa.types.is_null(kind)
        )

    return all(is_number(kind) for kind in block.schema.types)


def to_frame(block: Any) -> pd.DataFrame:
    """A block as a pandas frame; columns that can be shared are not copied.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingDependencyError("pandas", "pandas", "run a model on named columns of several types") from None
    return pd.DataFrame(block) if isinstance(block, np.ndarray) else block.to_pandas()


def to_matrix(block: Any) -> np.ndarray[Any, Any]:
    """The columns of a record batch side by side, as an array of shape (rows, features).

    Integers, floats, booleans, decimals and texts that are numbers become the smallest common number type; a null
    becomes NaN. One column of lists of equal length is one row of the matrix each.

    Raises:
        ValueError: A column holds something that is not a number.
    """
    if isinstance(block, np.ndarray):
        return block
    if block.num_columns == 1 and hasattr(block.schema.field(0).type, "value_type"):
        nested = _nested_to_matrix(block.column(0), block.schema.names[0])
        if nested is not None:
            return nested
    columns = [_to_numbers(block.column(i), name) for i, name in enumerate(block.schema.names)]
    if not columns:
        raise ValueError("No columns are left to predict from")
    # Filled column by column, so that each copy is one run of memory; models take either order.
    matrix = np.empty((len(columns), block.num_rows), dtype=np.result_type(*columns))
    for target, column in zip(matrix, columns, strict=True):
        target[:] = column
    return matrix.T


def _to_numbers(column: Any, name: str) -> np.ndarray[Any, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            raise ValueError(f"Column {name!r} holds text that is not a number: {_first_text(column)}") from None
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ValueError(f"Column {name!r} is of type {kind}, which is not a number; choose columns without it")
    if column.null_count and not pa.types.is_floating(column.type):
        column = pc.cast(column, pa.float64())
    numbers: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False)
    return numbers


def _first_text(column: Any) -> str:
    for value in column.to_pylist():
        try:
            float(value if value is not None else 0)
        except ValueError:
            return repr(value)
    return "an unusual number"


def _nested_to_matrix(column: Any, name: str) -> np.ndarray[Any, Any] | None:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return None
    if not (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)):
        raise ValueError(f"Column {name!r} is of type {kind}; a list column must hold numbers")
    if column.null_count:
        raise ValueError(f"Column {name!r} holds a null where a list of numbers is needed")
    values = column.flatten().to_numpy(zero_copy_only=False)
    if not pa.types.is_fixed_size_list(kind):
        lengths = set(column.value_lengths().to_pylist())
        if len(lengths) > 1:
            raise ValueError(
                f"Column {name!r} holds lists of {min(lengths)} to {max(lengths)} numbers, not of one length"
            )
    matrix: np.ndarray[Any, Any] = values.reshape(len(column), -1)
    return matrix
