"""The memory that several processes hold together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.child import ChildError


def proportional_bytes(program: Path, arguments: Sequence[str], count: int) -> int:
    """The sum of what so many processes of a program hold proportionally, all of them alive. Linux only.

    Args:
        program: Writes a line when it has done its work, and then waits for the end of its standard input.
        arguments: Its arguments.
        count: How many of them run at the same time.

    Raises:
        ChildError: One of them ended before it was done.
    """
    command = [sys.executable, str(program), *arguments]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise ChildError(f"{program.name} {' '.join(arguments)} ended before it was done")
        return sum(_of_process(process.pid) for process in processes)
    finally:
        for process in processes:
            process.communicate()


def _of_process(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ChildError(f"The system does not tell the memory of process {pid}")
