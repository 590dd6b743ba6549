"""Runs the contestants of the peer cases, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import dataclass
from pathlib import Path

from harness import child


@dataclass(frozen=True)
class Contestant:
    """One system, configured in one way.

    Attributes:
        name: What the table calls it.
        program: The script in `programs/`.
        kind: What the script is to do.
        package: The package that must be installed.
    """

    name: str
    program: str
    kind: str
    package: str = "runinference"

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return importlib.util.find_spec(self.package) is not None


@dataclass(frozen=True)
class Run:
    """What one process found.

    Attributes:
        cold_s: Seconds from the start of the process to the end of its first pass.
        warm_s: Seconds of the second pass, which finds everything imported and running.
        rows: Rows that came out of each pass.
        digest: The answers, condensed; `None` where nobody asked.
    """

    cold_s: float
    warm_s: float
    rows: list[int]
    digest: int | None = None


def measure(contestant: Contestant, *arguments: str | Path) -> Run:
    """Runs a contestant once."""
    start = time.time()
    _, output = child.python(child.PROGRAMS / contestant.program, contestant.kind, *arguments)
    found = json.loads(output.strip().splitlines()[-1])
    return Run(found["first_ended"] - start, found["warm_s"], found["rows"], found.get("digest"))
