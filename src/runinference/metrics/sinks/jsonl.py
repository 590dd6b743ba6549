"""Measurements as JSON Lines."""

from __future__ import annotations

import os
from typing import Self

from runinference.errors import ConfigurationError
from runinference.metrics.measurement import Measurement
from runinference.metrics.sinks.sink import Unavailable


class JsonLinesSink:
    """Appends each measurement to a file as a line.

    A line is written by one call of the system, so that several processes may write to one file. A measurement that
    was written already is written again only where the writer was killed at that moment: its `test_id` and `timestamp`
    tell.

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
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise ConfigurationError(f"jsonl:{path}: there is no folder {folder}")
        return cls(path)

    def write(self, measurement: Measurement) -> None:
        """Appends a line, unless the last line of the file is the same.

        Raises:
            Unavailable: The file cannot be written to.
        """
        line = f"{measurement.to_json()}\n".encode()
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                if not _ends_with(file, line):
                    _write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            raise Unavailable(f"{self.name}: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is open between two measurements."""


def _ends_with(file: int, line: bytes) -> bool:
    size = os.fstat(file).st_size
    return size >= len(line) and os.pread(file, len(line), size - len(line)) == line


def _write(file: int, line: bytes) -> None:
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        line = b"\n" + line  # Somebody was killed in the middle of a line.
    written = os.write(file, line)
    if written < len(line):
        raise OSError(28, "No space left on device")
