"""Rows of the user's table as a handler takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_Make = Callable[["pa.Table"], list[Any]]


def read_rows(source: str, most: int, handler: Any) -> list[Any]:
    """The first rows of a table, each as an example of a handler.

    Handlers of this package and of Beam have names that tell what they take: `…Numpy` an array of the columns,
    `…Pandas` a frame of one row, `…KeyedTensor` tensors by the names of the columns, `…Tensor` a tensor of them. All
    others, and those with pre-processing functions, are given what `runinference run` gives them: the value where
    there is one column, else a dict.

    Args:
        source: A file, folder or glob, as `runinference run` takes it.
        most: How many rows.
        handler: The handler.

    Raises:
        ConfigurationError: The input is not there, or of no format that is known.
        DataError: It cannot be read, or the handler takes numbers and it holds something else.
    """
    import pyarrow as pa

    from runinference.errors import DataError
    from runinference.jobs.readers import open_dataset

    dataset = open_dataset(source)
    table = pa.Table.from_batches(dataset.batches(limit=most), dataset.schema)
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    table = table.select([name for name in table.schema.names if name != dataset.key and name not in index])
    try:
        return _form(handler)(table) if len(table) else []
    except ValueError as error:
        raise DataError(f"{source} does not fit {type(handler).__name__}: {error}") from error


def _form(handler: Any) -> _Make:
    functions = getattr(handler, "get_preprocess_fns", None)
    if functions is not None and any(True for _ in functions()):
        return _values
    for kind in type(handler).__mro__:
        if kind.__module__ == "apache_beam.ml.inference.xgboost_inference" and kind.__name__.endswith("Numpy"):
            return _blocks
        for ending, form in _FORMS.items():
            if kind.__name__.endswith(ending):
                return form
    return _values


def _values(table: pa.Table) -> list[Any]:
    values: list[Any] = table.column(0).to_pylist() if table.num_columns == 1 else table.to_pylist()
    return values


def _arrays(table: pa.Table) -> list[Any]:
    from runinference.handlers.columns import to_matrix

    # Every row in one run of memory, as one has it that is an array of its own.
    return list(to_matrix(table.combine_chunks().to_batches()[0]).copy(order="C"))


def _blocks(table: pa.Table) -> list[Any]:
    """All that Beam's handler for XGBoost takes."""
    return [row[None] for row in _arrays(table)]


def _frames(table: pa.Table) -> list[Any]:
    frame = table.to_pandas()
    return [frame.iloc[row : row + 1] for row in range(len(frame))]


def _tensors(table: pa.Table) -> list[Any]:
    import torch

    return [torch.from_numpy(row) for row in _arrays(table)]


def _named_tensors(table: pa.Table) -> list[Any]:
    import torch

    return [{name: torch.tensor(value) for name, value in row.items()} for row in table.to_pylist()]


def _tensorflow_tensors(table: pa.Table) -> list[Any]:
    import tensorflow

    return [tensorflow.constant(row) for row in _arrays(table)]


# By the end of a class's name, the longer ones first.
_FORMS: dict[str, _Make] = {
    "TFModelHandlerTensor": _tensorflow_tensors,
    "KeyedTensor": _named_tensors,
    "Tensor": _tensors,
    "Numpy": _arrays,
    "Pandas": _frames,
}
