"""Measurements as JSON Lines."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from typing import Self

from runinference.metrics.measurement import Measurement
from runinference.metrics.sinks.folder import check_folder
from runinference.metrics.sinks.sink import Unavailable

try:
    import fcntl
except ImportError:  # On Windows.
    fcntl = None  # type: ignore[assignment]


class JsonLinesSink:
    """Appends each measurement to a file as a line.

    Several processes may write to one file. A measurement that was written already is written again only where another
    came between: its `test_id` and `timestamp` tell.

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
            with open(self._path, "ab+", buffering=0) as file, _only_one(file):
                size = file.seek(0, os.SEEK_END)
                if not _ends_with(file, size, line):
                    _write(file, size, line)
        except OSError as error:
            raise Unavailable(f"{self.name}: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is open between two measurements."""


@contextmanager
def _only_one(file: RawIOBase) -> Iterator[None]:
    """Holds off other threads and processes, where the system has locks of files."""
    if fcntl is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _ends_with(file: RawIOBase, size: int, end: bytes) -> bool:
    if size < len(end):
        return False
    file.seek(size - len(end))
    return file.read(len(end)) == end


def _write(file: RawIOBase, size: int, line: bytes) -> None:
    if size and not _ends_with(file, size, b"\n"):
        line = b"\n" + line  # Somebody was killed in the middle of a line.
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
