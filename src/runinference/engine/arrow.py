"""Tables of every kind as blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from runinference.engine.predictions import to_arrow
from runinference.errors import ConfigurationError
from runinference.packages import require

FEATURES_COLUMN = "features"


def blocks_of(source: Any) -> Iterable[Any]:
    """The record batches or 2-D arrays that `source` consists of; nothing is copied where that can be helped.

    Raises:
        ConfigurationError: It is not a table, nor an iterable of tables. For an iterable this shows while iterating.
    """
    blocks = _blocks_of_one(source)
    if blocks is not None:
        return blocks
    if isinstance(source, (str, bytes, Mapping)) or not isinstance(source, Iterable):
        raise ConfigurationError(
            f"infer_table needs a table (Arrow, pandas, polars, 2-D array) or an iterable of them, got {_kind(source)}"
        )
    return _blocks_of_many(source)


def known_rows(source: Any) -> int | None:
    """The number of rows of a table; `None` where only reading tells."""
    if isinstance(source, np.ndarray) or (hasattr(source, "__len__") and hasattr(source, "columns")):
        return len(source)
    rows = getattr(source, "num_rows", None)
    return rows if isinstance(rows, int) else None


def num_rows(block: Any) -> int:
    """The number of rows of a block."""
    return len(block) if isinstance(block, np.ndarray) else int(block.num_rows)


def add_column(block: Any, name: str, values: Any) -> Any:
    """The block as a record batch with one more column; its own columns are shared, not copied."""
    pa = _pyarrow()
    if isinstance(block, np.ndarray):
        return pa.RecordBatch.from_arrays([to_arrow(block), values], [FEATURES_COLUMN, name])
    schema = block.schema.append(pa.field(name, values.type))
    return pa.RecordBatch.from_arrays([*block.columns, values], schema=schema)


def _blocks_of_one(source: Any) -> Iterable[Any] | None:
    if isinstance(source, np.ndarray):
        if source.ndim != 2:
            raise ConfigurationError(f"An array must have shape (rows, features), got {source.shape}")
        return [source]
    kind = type(source)
    package = kind.__module__.partition(".")[0]
    pa = _pyarrow()
    if isinstance(source, pa.RecordBatch):
        return [source]
    if isinstance(source, pa.RecordBatchReader):
        batches: Iterable[Any] = source
        return batches
    if package == "pandas" and kind.__name__ == "DataFrame":
        source = pa.Table.from_pandas(source)
    elif package == "polars" and kind.__name__ in {"DataFrame", "LazyFrame"}:
        frame = source.collect() if kind.__name__ == "LazyFrame" else source
        source = frame.to_arrow()
    if isinstance(source, pa.Table):
        chunks: list[Any] = source.to_batches()
        return chunks
    if hasattr(source, "__arrow_c_stream__"):
        stream: Iterable[Any] = pa.RecordBatchReader.from_stream(source)
        return stream
    return None


def _blocks_of_many(sources: Iterable[Any]) -> Iterator[Any]:
    def each(source: Any) -> Iterable[Any]:
        blocks = _blocks_of_one(source)
        if blocks is None:
            raise ConfigurationError(
                f"infer_table needs an iterable of tables, but it holds {_kind(source)}; infer() takes rows"
            )
        return blocks

    return chain.from_iterable(map(each, sources))


def _kind(value: Any) -> str:
    return type(value).__name__


def _pyarrow() -> Any:
    return require("pyarrow", "arrow", "run a model over tables")
