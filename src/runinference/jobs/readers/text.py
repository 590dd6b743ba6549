"""Plain text: one row per line, in a column called `text`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from runinference.jobs.readers.lines import line_blocks
from runinference.jobs.readers.set_aside import SetAside
from runinference.jobs.readers.streams import inspect_all, naming, open_stream

SCHEMA = pa.schema([("text", pa.string())])


def inspect(files: Sequence[str]) -> tuple[pa.Schema, int | None]:
    """The schema, which is always the same; checks that each file opens and decompresses."""
    inspect_all(_touch, files)
    return SCHEMA, None


def read(path: str, schema: pa.Schema, batch_rows: int, set_aside: SetAside) -> Iterator[pa.RecordBatch]:
    """The lines of one file without their line ends; a line that is not UTF-8 is set aside."""
    del batch_rows
    done = 0
    for block in line_blocks(path):
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if b"\r" in block:
            lines = [line.removesuffix(b"\r") for line in lines]
        texts = pa.array(lines, pa.binary())
        try:
            column = texts.cast(pa.string())
        except pa.ArrowInvalid:
            column = pa.array(_decoded(lines, done, set_aside), pa.string())
        done += len(lines)
        yield pa.RecordBatch.from_arrays([column], schema=schema)


def _decoded(lines: list[bytes], done: int, set_aside: SetAside) -> Iterator[str]:
    for number, line in enumerate(lines, done + 1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            set_aside(line.decode(errors="backslashreplace"), number, f"not UTF-8: {error}")


def _touch(path: str) -> None:
    with open_stream(path) as stream, naming(path):
        stream.read(1)
