"""Several copies of a model in one process: how many threads on the CPU each of them gets."""

from __future__ import annotations

from runinference.engine.cores import available_cores


def threads_of_copy(copies: int) -> int:
    """The threads for one of so many copies: its part of the cores of this process, and at least one."""
    return max(1, available_cores() // copies)
