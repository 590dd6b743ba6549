"""Measurements as JSON Lines."""

from __future__ import annotations

import errno
import os
from io import FileIO
from typing import Self

from runinference.metrics.locked import locked
from runinference.metrics.measurement import Measurement
from runinference.metrics.sinks.folder import check_folder
from runinference.metrics.sinks.sink import Unavailable

_START = b'{"run": {"'
_CHUNK = 2**16


class JsonLinesSink:
    """Appends each measurement to a file as a line.

    Several processes may write to one file. What a process that was killed has written of a line is taken away with the
    next one. A measurement that was written already is written again only where another came between: its `test_id` and
    `timestamp` tell.

    Args:
        path: The file; it is made where there is none.
    """

    def __init__(self, path: str) -> None:
        self.name = f"jsonl:{path}"
        self._path = path

    @classmethod
    def from_address(cls, path: str) -> Self:
        """The sink for a file.

        Raises:
            ConfigurationError: Its folder is not there.
        """
        check_folder("jsonl", path)
        return cls(path)

    def write(self, measurement: Measurement) -> None:
        """Appends a line, unless the last line of the file is the same.

        Raises:
            Unavailable: The file cannot be written to.
        """
        line = f"{measurement.to_json()}\n".encode()
        try:
            with open(self._path, "ab+", buffering=0) as file, locked(file):
                _cut_torn_line(file)
                size = file.seek(0, os.SEEK_END)
                if not _ends_with(file, size, line):
                    _write(file, size, line)
        except OSError as error:
            raise Unavailable(f"{self.name}: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is open between two measurements."""


def _cut_torn_line(file: FileIO) -> None:
    """Takes away what is left of a measurement whose writer was killed; nothing else is touched."""
    size = file.seek(0, os.SEEK_END)
    if not size or _ends_with(file, size, b"\n"):
        return
    start = _start_of_last_line(file, size)
    file.seek(start)
    if _START.startswith(file.read(len(_START))):
        file.truncate(start)


def _start_of_last_line(file: FileIO, size: int) -> int:
    end = size
    while end > 0:
        start = max(0, end - _CHUNK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _ends_with(file: FileIO, size: int, end: bytes) -> bool:
    if size < len(end):
        return False
    file.seek(size - len(end))
    return file.read(len(end)) == end


def _write(file: FileIO, size: int, line: bytes) -> None:
    if size and not _ends_with(file, size, b"\n"):
        line = b"\n" + line  # The last line of somebody else.
    if file.write(line) != len(line):
        file.truncate(size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
