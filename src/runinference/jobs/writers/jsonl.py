"""JSON Lines: one object per row."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from runinference.jobs.writers.json_values import json_value
from runinference.jobs.writers.writer import Writer

SLICE_BYTES = 16 << 20  # the lines of a slice are one Arrow text array, which ends at 2 GiB


class FormatWriter(Writer):
    """Writes one JSON Lines file; NaN becomes null, bytes base64, decimals and times text."""

    needs_schema = False
    _stream: Any = None

    def _start(self, schema: pa.Schema) -> None:
        self._stream = self._sink()
        # '{"a": ' before the first value, ', "b": ' before the second …
        signs = ["{"] + [", "] * (len(schema) - 1)
        self._keys = [f"{sign}{json.dumps(name)}: " for sign, name in zip(signs, schema.names, strict=False)]

    def _write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        rows = max(1, SLICE_BYTES * batch.num_rows // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            part = batch.slice(start, rows)
            pieces: list[Any] = []
            for key, column in zip(self._keys, part.columns, strict=True):
                pieces += [key, _texts(column)]
            lines = pc.binary_join_element_wise(*pieces, "}\n" if pieces else "{}\n", "")
            self._stream.write(_bytes(lines) if pieces else b"{}\n" * part.num_rows)

    def _finish(self) -> None:
        if self._stream is None:
            self._stream = self._sink()
        self._stream.close()

    def _drop(self) -> None:
        if self._stream is not None:
            with suppress(Exception):
                self._stream.close()


def _texts(column: pa.Array) -> pa.Array:
    """Each value as JSON. Plain numbers and texts without special characters never become Python objects."""
    kind = column.type
    if pa.types.is_floating(kind):
        column = column.cast(pa.float32()) if pa.types.is_float16(kind) else column
        texts = pc.if_else(pc.is_finite(column), column, None).cast(pa.string())
        # 1.0 must stay a float when it is read back.
        whole = pc.invert(pc.match_substring_regex(texts, "[.e]"))
        texts = pc.if_else(whole, pc.binary_join_element_wise(texts, ".0", ""), texts)
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        texts = column.cast(pa.string())
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        # Arrow writes nanoseconds, which Python's times cannot hold.
        texts = pc.replace_substring(column.cast(pa.string()), " ", "T")
        texts = pc.binary_join_element_wise('"', texts, '"', "")
    elif pa.types.is_string(kind) and not pc.any(pc.match_substring_regex(column, r'["\\\x00-\x1f]')).as_py():
        texts = pc.binary_join_element_wise('"', column, '"', "")
    else:
        texts = pa.array([_text(value) for value in column.to_pylist()], pa.string())
    return texts.fill_null("null")


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(json_value(value), ensure_ascii=False, allow_nan=False)


def _bytes(lines: pa.Array) -> memoryview:
    """The texts of an array one after the other, without a copy."""
    offsets = memoryview(lines.buffers()[1]).cast("i")
    return memoryview(lines.buffers()[2])[offsets[lines.offset] : offsets[lines.offset + len(lines)]]
