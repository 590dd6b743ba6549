"""Rows that wait for their batch, first come first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from runinference.batching.rows import Rows


class RunQueue:
    """Rows in the runs in which they arrived; what is taken as a whole run, or a part of one, copies nothing."""

    def __init__(self) -> None:
        self._runs: deque[tuple[Rows, float]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def oldest(self) -> float | None:
        """When the oldest row arrived; `None` where there is none."""
        return self._runs[0][1] if self._runs else None

    def sizes(self) -> Iterator[int]:
        """The weight or length of each row, in their order."""
        return (size for run, _ in self._runs for size in run.sizes or ())

    def add(self, rows: Rows, now: float) -> None:
        """Adds rows that arrived at `now`."""
        if len(rows):
            self._runs.append((rows, now))
            self._count += len(rows)

    def take(self, count: int) -> tuple[Rows, float]:
        """Takes out the first `count` rows, and tells when the oldest of them arrived."""
        since = self._runs[0][1]
        parts = []
        missing = count
        while missing:
            run, arrived = self._runs.popleft()
            if len(run) > missing:
                self._runs.appendleft((run.cut(missing, len(run)), arrived))
                run = run.cut(0, missing)
            parts.append(run)
            missing -= len(run)
        self._count -= count
        return Rows.join(parts), since
