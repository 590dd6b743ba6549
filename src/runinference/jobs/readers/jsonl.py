"""JSON Lines: one object per line; keys are columns, a missing key is null.

Arrow parses whole blocks of lines. A block that it refuses goes through `careful_json`, which tells the lines apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyarrow import json

from runinference.errors import DataError
from runinference.jobs.readers import careful_json
from runinference.jobs.readers.lines import line_blocks
from runinference.jobs.readers.schemas import common_type, one_schema, replace_types
from runinference.jobs.readers.set_aside import SetAside
from runinference.jobs.readers.streams import inspect_all

_BLANK_LINE = re.compile(rb"\n[ \t\r]*(?=\n)")


def inspect(files: Sequence[str]) -> tuple[pa.Schema, int | None]:
    """The union of what the first block of every file holds."""
    known = [(path, schema) for path, schema in zip(files, inspect_all(_sampled, files), strict=True) if schema]
    if not known:
        raise DataError(f"{files[0]} has no rows, so its columns are not known")
    schema = one_schema([path for path, _ in known], [schema for _, schema in known], optional=True)
    return replace_types(schema, {pa.null(): pa.string()}), None


def read(path: str, schema: pa.Schema, batch_rows: int, set_aside: SetAside) -> Iterator[pa.RecordBatch]:
    """The batches of one file; lines that are no object of these columns are set aside."""
    del batch_rows
    done = 0
    options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    for block in line_blocks(path):
        table = _parsed(block, options)
        # Two objects on one line, or one on two, are not JSON Lines although Arrow takes them.
        if table is not None and table.num_rows == _rows(block):
            yield from table.select(schema.names).combine_chunks().to_batches()
        else:
            yield careful_json.read(block, done, schema, set_aside)
        done += block.count(b"\n")


def _parsed(block: bytes, options: json.ParseOptions) -> pa.Table | None:
    try:
        # Arrow does not check that text is UTF-8.
        if not block.isascii():
            block.decode()
        read_options = json.ReadOptions(block_size=len(block) + 1)
        return json.read_json(pa.BufferReader(block), read_options=read_options, parse_options=options)
    except (pa.ArrowException, UnicodeDecodeError):
        return None


def _rows(block: bytes) -> int:
    """How many rows the block should have: its lines that are not blank."""
    text = block.strip(b" \t\r\n")
    return text.count(b"\n") + 1 - len(_BLANK_LINE.findall(text)) if text else 0


def _sampled(path: str) -> pa.Schema | None:
    """What the first block holds; `None` for a file without rows."""
    block = next(line_blocks(path), b"")
    lines = [line for line in block.split(b"\n") if line.strip()]
    if not lines:
        return None
    schema = _inferred(lines)
    if schema is None:
        what = "a JSON array" if lines[0].lstrip().startswith(b"[") else "something else"
        raise DataError(
            f"{path}: no line of the first {len(lines)} is a JSON object; one per line is needed, found {what}"
        )
    if not schema.names:
        raise DataError(f"{path}: the objects of the first {len(lines)} lines are all empty")
    return schema


def _inferred(lines: list[bytes]) -> pa.Schema | None:
    """The schema of the lines; where two lines disagree, the earlier one is right."""
    table = _parsed(b"\n".join(lines), json.ParseOptions())
    if table is not None:
        # Arrow takes text that looks like a time for one; it stays text, so that it is written as it came.
        return replace_types(table.schema, {pa.timestamp("s"): pa.string()})
    if len(lines) == 1:
        return None
    half = len(lines) // 2
    first, second = _inferred(lines[:half]), _inferred(lines[half:])
    if first is None or second is None:
        return first if second is None else second
    fields = {field.name: field.type for field in first}
    for field in second:
        known = fields.setdefault(field.name, field.type)
        fields[field.name] = common_type(known, field.type) or known
    return pa.schema(list(fields.items()))
