"""Streams of bytes cut at line ends, and which line a record of a CSV file begins on."""

from __future__ import annotations

from collections.abc import Iterator

from runinference.jobs.readers.streams import naming, open_stream

BLOCK_BYTES = 4 << 20
UTF8_MARK = b"\xef\xbb\xbf"


def line_blocks(path: str, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The file in blocks of whole lines, each about `block_bytes` long; only the last may lack its line end.

    A mark of UTF-8 at the start is left out.
    """
    with open_stream(path) as stream:
        rest: list[bytes] = []
        first = True
        while True:
            with naming(path):
                block = stream.read(block_bytes)
            if not block:
                break
            if first:
                block, first = block.removeprefix(UTF8_MARK), False
            end = block.rfind(b"\n") + 1
            if end:
                yield b"".join([*rest, block[:end]])
                rest = []
            rest.append(block[end:])
        if any(rest):
            yield b"".join(rest)


class RecordLines:
    """Tells on which line each record of a CSV file begins, counted from 1.

    Reads the file a second time, but only as far as it is asked, which is only when a record failed. A quote within
    an unquoted value shifts the numbers; nothing but messages depends on them.
    """

    def __init__(self, path: str) -> None:
        self._starts = enumerate(_record_starts(path), 1)
        self._last = (0, 0)

    def of(self, record: int) -> int:
        """The line of a record, the header being record 1; must be asked in rising order. -1 if not known."""
        while self._last[0] < record:
            found = next(self._starts, None)
            if found is None:
                return -1
            self._last = found
        return self._last[1] if self._last[0] == record else -1


def _record_starts(path: str) -> Iterator[int]:
    line, quoted = 0, False
    for block in line_blocks(path):
        for text in block.splitlines(keepends=True):
            line += 1
            if not quoted and text.strip(b"\r\n"):
                yield line
            quoted ^= text.count(b'"') % 2 == 1
