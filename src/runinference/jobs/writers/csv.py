"""CSV and TSV: a header and plain values."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import pyarrow as pa
from pyarrow import csv

from runinference.errors import DataError
from runinference.jobs.paths import file_format
from runinference.jobs.writers.writer import Writer


class FormatWriter(Writer):
    """Writes one CSV file, or a TSV file by its suffix; bytes are written as base64.

    A field of a struct, such as what one of several models said, becomes a column `prediction.field`.
    """

    _csv: csv.CSVWriter | None = None
    _stream: Any = None

    def _start(self, schema: pa.Schema) -> None:
        schema = _without_structs(schema.empty_table()).schema
        nested = [field.name for field in schema if pa.types.is_nested(field.type)]
        if nested:
            kinds = ", ".join(f"{name!r} ({schema.field(name).type})" for name in nested)
            raise DataError(
                f"cannot write {self.path}: CSV has no place for the nested column {kinds}; write .parquet or .jsonl"
            )
        found = file_format(self.path)
        options = csv.WriteOptions(delimiter="\t" if found and found.suffix == ".tsv" else ",")
        flat = pa.schema([(field.name, _flat_type(field.type)) for field in schema])
        self._stream = self._sink()
        self._csv = csv.CSVWriter(self._stream, flat, write_options=options)
        self._flat = flat

    def _write(self, batch: pa.RecordBatch) -> None:
        assert self._csv is not None
        table = _without_structs(pa.Table.from_batches([batch]))
        columns = [_flat(column.combine_chunks()) for column in table.columns]
        self._csv.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._flat))

    def _finish(self) -> None:
        assert self._csv is not None
        self._csv.close()
        self._stream.close()

    def _drop(self) -> None:
        for part in (self._csv, self._stream):
            if part is not None:
                with suppress(Exception):
                    part.close()


def _without_structs(table: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def _flat_type(kind: pa.DataType) -> pa.DataType:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return pa.string() if _is_bytes(kind) or pa.types.is_string_view(kind) else kind


def _flat(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_bytes(column.type):
        values = (None if value is None else base64.b64encode(value).decode() for value in column.to_pylist())
        return pa.array(values, pa.string())
    return column.cast(pa.string()) if pa.types.is_string_view(column.type) else column


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(test(kind) for test in tests)
