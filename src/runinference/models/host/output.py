"""Where a process writes that may outlive whoever reads it."""

from __future__ import annotations

import io
import sys
from typing import Any


def write_to_whoever_listens() -> None:
    """Has everything that Python prints written to standard error, and dropped once nobody reads that any more.

    A model outlives the process that had it loaded and with it, perhaps, the other end of a pipe. That must not make
    a handler fail that prints something.
    """
    raw = _MayBreak(2, "w", closefd=False)
    sys.stdout = sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), errors="backslashreplace", line_buffering=True, write_through=True
    )


class _MayBreak(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)
