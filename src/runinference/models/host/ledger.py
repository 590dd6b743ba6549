"""What a copy of a model notes for the case of its death."""

from __future__ import annotations

import os
import struct

_ENTRY = struct.Struct("<QQ")


class Ledger:
    """An open file in which a copy notes what it does; its host reads it after the death of the copy.

    Args:
        file: The number of the file, which may be open in both processes.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._served = 0

    def begin(self, rows: int) -> None:
        """A request with so many rows is about to run."""
        os.pwrite(self._file, _ENTRY.pack(self._served, rows), 0)

    def end(self) -> None:
        """It was run, whatever came of it."""
        self._served += 1
        self.begin(0)

    def read(self) -> tuple[int, int]:
        """How many requests were run, and how many rows the one had that was not finished."""
        entry = os.pread(self._file, _ENTRY.size, 0)
        served, rows = _ENTRY.unpack(entry) if entry else (0, 0)
        return served, rows
