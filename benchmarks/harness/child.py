"""Work in a process of its own, timed from outside: start-up is part of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"


class ChildError(Exception):
    """A process ended with an error; the message has the end of what it wrote."""


def run(command: Sequence[str | Path], timeout_s: float = 900) -> tuple[float, str]:
    """Runs a command and returns its seconds from start to end and what it wrote to standard output.

    Raises:
        ChildError: It failed.
    """
    start = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout_s)
    took = time.perf_counter() - start
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        raise ChildError(f"{' '.join(map(str, command[:4]))} ... ended with exit code {done.returncode}:\n{last}")
    return took, done.stdout


def command() -> Path:
    """The console script `runinference` of this environment."""
    return Path(sys.executable).with_name("runinference")


def python(*arguments: str | Path) -> tuple[float, str]:
    """Runs this Python with `arguments`."""
    return run([sys.executable, *arguments])


def program(name: str, *arguments: str | Path) -> dict[str, Any]:
    """Runs a script of `programs/`, whose last line of output is a JSON document.

    Returns:
        The document, with `total_s`, the seconds from start to end of the process.
    """
    took, output = python(PROGRAMS / name, *arguments)
    return {**json.loads(output.strip().splitlines()[-1]), "total_s": took}
