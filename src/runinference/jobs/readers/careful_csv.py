"""CSV row by row: what is read once a file turned out to have rows that do not convert.

Every byte is first taken for one Latin-1 character, so that no row is lost to its encoding, and every value for text.
Then each column is decoded and cast, and the rows that fail are found by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from runinference.jobs.readers.lines import UTF8_MARK, RecordLines
from runinference.jobs.readers.set_aside import SetAside
from runinference.jobs.readers.streams import each_named, naming, open_stream, plain

NULLS = pa.array(csv.ConvertOptions().null_values)

_Bad = tuple[int, Any, str]  # the record, what it holds, why it was refused


def read(
    path: str, schema: pa.Schema, delimiter: str, block: int, skip: int, set_aside: SetAside
) -> Iterator[pa.RecordBatch]:
    """The rows of `path` after the first `skip`, which were given out already."""
    ragged: list[csv.InvalidRow] = []
    lines = RecordLines(path)
    record = 2
    with _unmarked(path) as stream:
        with naming(path):
            reader = _open(stream, delimiter, block, ragged, _header(path, delimiter, block))
        names = [_utf8(name) for name in reader.schema.names]
        for stored in each_named(reader, path):
            rows = stored.num_rows
            refused = [row.number for row in ragged]
            # Arrow numbers the rows that it refuses among all of them; the others fill the gaps.
            numbers = np.setdiff1d(np.arange(record, record + rows + len(refused)), refused)[:rows]
            record = int(numbers[-1]) + 1 if rows else record
            drop = min(skip, rows)
            skip -= drop
            texts = pa.RecordBatch.from_arrays(stored.columns, names=names).slice(drop)
            batch, failed = _typed(texts, schema)
            bad: list[_Bad] = [_described(row) for row in ragged if row.number < record]
            bad += [(int(numbers[drop + row]), _texts(texts, row), reason) for row, reason in failed.items()]
            ragged[:] = [row for row in ragged if row.number >= record]
            _report(bad, lines, set_aside)
            if batch.num_rows:
                yield batch
    _report([_described(row) for row in ragged], lines, set_aside)


def sampled(path: str, delimiter: str, block: int) -> pa.Schema:
    """Names and types from the rows of the first block that have the right number of values."""
    with _unmarked(path) as stream:
        schema = _open(stream, delimiter, block, []).schema
    fields = [pa.field(_utf8(field.name), field.type) for field in schema]
    return pa.schema(fields)


def _header(path: str, delimiter: str, block: int) -> csv.ConvertOptions:
    with _unmarked(path) as stream:
        names = _open(stream, delimiter, block, []).schema.names
    return csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))


def _unmarked(path: str) -> pa.NativeFile:
    """The file's bytes after a mark of UTF-8, which would be text when read as Latin-1."""
    stream = open_stream(path)
    with naming(path):
        if stream.read(len(UTF8_MARK)) == UTF8_MARK:
            return stream
    stream.close()
    return open_stream(path)


def _open(
    stream: pa.NativeFile,
    delimiter: str,
    block: int,
    ragged: list[csv.InvalidRow],
    convert: csv.ConvertOptions | None = None,
) -> csv.CSVStreamingReader:
    def keep(row: csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    return csv.open_csv(
        stream,
        read_options=csv.ReadOptions(use_threads=False, block_size=block, encoding="latin-1"),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep),
        convert_options=convert,
    )


def _typed(texts: pa.RecordBatch, schema: pa.Schema) -> tuple[pa.RecordBatch, dict[int, str]]:
    """The rows that convert, and why the others do not."""
    failed: dict[int, str] = {}
    columns = []
    for field in schema:
        stored = _bytes(texts.column(field.name))
        column, bad = _cast_each(stored, partial(_cast, kind=field.type))
        for row in bad:
            shown = plain(stored[row].as_py().decode(errors="backslashreplace"))
            reason = "is not UTF-8" if pa.types.is_string(field.type) else f"is not {field.type}"
            failed.setdefault(row, f"column {field.name!r}: {shown} {reason}, the column's type")
        columns.append(column)
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    if failed:
        kept = np.ones(batch.num_rows, dtype=bool)
        kept[list(failed)] = False
        batch = batch.filter(pa.array(kept))
    return batch, failed


def _cast_each(values: pa.Array, cast: Callable[[pa.Array], pa.Array]) -> tuple[pa.Array, list[int]]:
    """`cast(values)` with null for the values that cannot be cast, and their positions."""
    try:
        return cast(values), []
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        bad = list(_failing(values, cast, 0))
    mask = np.zeros(len(values), dtype=bool)
    mask[bad] = True
    return cast(pc.if_else(pa.array(mask), pa.scalar(None, values.type), values)), bad


def _failing(values: pa.Array, cast: Callable[[pa.Array], pa.Array], start: int) -> Iterator[int]:
    try:
        cast(values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(values) == 1:
            yield start
            return
        half = len(values) // 2
        yield from _failing(values[:half], cast, start)
        yield from _failing(values[half:], cast, start + half)


def _cast(stored: pa.Array, kind: pa.DataType) -> pa.Array:
    """What Arrow's CSV reader makes of the same bytes: it trims numbers and knows several words for null."""
    texts = stored.cast(pa.string())
    if pa.types.is_string(kind):
        return texts
    texts = pc.if_else(pc.is_in(texts, NULLS), pa.scalar(None, pa.string()), texts)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        texts = pc.ascii_trim(texts, characters=" \t")
    return texts.cast(kind)


def _bytes(latin: pa.Array) -> pa.Array:
    """The bytes that were read as Latin-1."""
    if pc.sum(pc.binary_length(latin)).as_py() == pc.sum(pc.utf8_length(latin)).as_py():
        return latin.cast(pa.binary())
    return pa.array([text.encode("latin-1") for text in latin.to_pylist()], pa.binary())


def _utf8(latin: str) -> str:
    return latin.encode("latin-1").decode(errors="backslashreplace")


def _described(row: csv.InvalidRow) -> _Bad:
    return row.number, _utf8(row.text), f"expected {row.expected_columns} columns, found {row.actual_columns}"


def _texts(texts: pa.RecordBatch, row: int) -> dict[str, str]:
    return {name: _utf8(value) for name, value in texts.slice(row, 1).to_pylist()[0].items()}


def _report(bad: list[_Bad], lines: RecordLines, set_aside: SetAside) -> None:
    for record, example, reason in sorted(bad, key=lambda entry: entry[0]):
        set_aside(example, lines.of(record), reason, row=record - 1)
