"""Parquet: small batches are gathered to row groups that read fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runinference.jobs.writers.writer import Writer

GROUP_ROWS = 131_072
GROUP_BYTES = 256 << 20  # rows of images or embeddings fill the memory long before they fill a row group


class FormatWriter(Writer):
    """Writes one Parquet file."""

    _parquet: pq.ParquetWriter | None = None

    def _start(self, schema: pa.Schema) -> None:
        self._gathered: list[pa.RecordBatch] = []
        self._gathered_rows = self._gathered_bytes = 0
        notes = {**(schema.metadata or {}), **{key.encode(): text.encode() for key, text in self._metadata.items()}}
        # Measured on float32 noise: snappy writes as fast as no compression, lz4 alike, zstd a third slower; a
        # dictionary of numbers that hardly repeat costs five times the rest.
        self._parquet = pq.ParquetWriter(
            self._output,
            schema.with_metadata(notes or None),
            compression="snappy",
            use_dictionary=[path for field in schema for path in _repeating(field.type, field.name)],
        )

    def _write(self, batch: pa.RecordBatch) -> None:
        self._gathered.append(batch)
        self._gathered_rows += batch.num_rows
        self._gathered_bytes += batch.nbytes
        while self._gathered_rows >= GROUP_ROWS:
            self._flush(GROUP_ROWS)
        if self._gathered_bytes >= GROUP_BYTES:
            self._flush(self._gathered_rows)

    def _finish(self) -> None:
        if self._gathered_rows:
            self._flush(self._gathered_rows)
        if self._parquet is not None:
            self._parquet.close()

    def _drop(self) -> None:
        if self._parquet is not None:
            with suppress(Exception):
                self._parquet.close()
            # What could not be closed now must not be tried again when it is collected.
            self._parquet.is_open = False

    def _flush(self, rows: int) -> None:
        """Writes the first `rows` gathered rows as one row group."""
        assert self._parquet is not None
        table = pa.Table.from_batches(self._gathered)
        self._parquet.write_table(table.slice(0, rows), row_group_size=rows)
        self._gathered = table.slice(rows).to_batches()
        self._gathered_rows -= rows
        self._gathered_bytes = sum(batch.nbytes for batch in self._gathered)


def _repeating(kind: pa.DataType, path: str) -> Iterator[str]:
    """Paths of the Parquet columns whose values are likely to repeat: everything but floats."""
    types: Any = pa.types
    if types.is_struct(kind):
        for field in kind:
            yield from _repeating(field.type, f"{path}.{field.name}")
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        yield from _repeating(kind.value_type, f"{path}.list.element")
    elif not types.is_floating(kind) and not types.is_nested(kind):
        yield path
