"""Parquet: schemas and row counts from the footers, rows by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from runinference.errors import DataError
from runinference.jobs.paths import is_url
from runinference.jobs.readers.schemas import one_schema
from runinference.jobs.readers.set_aside import SetAside
from runinference.jobs.readers.streams import (
    each_named,
    file_size,
    inspect_all,
    naming,
    open_file,
    refuse_empty,
)


def inspect(files: Sequence[str]) -> tuple[pa.Schema, int | None]:
    """The common schema and the number of rows of all files, from their footers."""
    footers = inspect_all(_footer, files)
    return one_schema(files, [schema for schema, _ in footers]), sum(rows for _, rows in footers)


def read(path: str, schema: pa.Schema, batch_rows: int, set_aside: SetAside) -> Iterator[pa.RecordBatch]:
    """The batches of one file; a damaged row group ends the job, because its rows cannot be told apart."""
    del set_aside
    with _open(path) as file:
        for groups in _neighbours(file.metadata, batch_rows):
            what = f"row group {groups[0]} is damaged, cannot read"
            stored = file.iter_batches(batch_size=batch_rows, row_groups=groups)
            for batch in each_named(stored, path, what):
                yield _fitted(batch, schema, path)


def _footer(path: str) -> tuple[pa.Schema, int]:
    refuse_empty(path, file_size(path))
    with _open(path) as file:
        return file.schema_arrow, int(file.metadata.num_rows)


def _open(path: str) -> pq.ParquetFile:
    with naming(path):
        # A local file is not mapped: a job is no faster with it, counts the whole file as its memory, and dies of a
        # signal when somebody cuts the file short. Of a remote file, pre-buffering joins many small requests.
        if not is_url(path):
            return pq.ParquetFile(
                path, memory_map=False, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True
            )
        return pq.ParquetFile(open_file(path), pre_buffer=True, page_checksum_verification=True)


def _neighbours(footer: pq.FileMetaData, batch_rows: int) -> Iterator[list[int]]:
    """Row groups to read together: enough for a batch, no more, because pre-buffering keeps them in memory."""
    groups: list[int] = []
    rows = 0
    for group in range(footer.num_row_groups):
        groups.append(group)
        rows += footer.row_group(group).num_rows
        if rows >= batch_rows:
            yield groups
            groups, rows = [], 0
    if groups:
        yield groups


def _fitted(batch: pa.RecordBatch, schema: pa.Schema, path: str) -> pa.RecordBatch:
    """The batch with the dataset's columns, in its order and with its types; the same object where they agree."""
    if batch.schema.equals(schema):
        return batch
    columns = []
    for field in schema:
        column = batch.column(field.name)
        try:
            columns.append(column if column.type == field.type else column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"{path}: column {field.name!r} is {column.type} and cannot become {field.type}: {error}"
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)
