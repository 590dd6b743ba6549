"""Batches of rows in the order in which they came."""

from __future__ import annotations

from collections import deque

from runinference.batching.batch import Batch, FlushReason
from runinference.batching.limit import Limit
from runinference.batching.rows import Rows


class FifoBatcher:
    """Closes a batch when it has the size aimed at, when its weight is reached, or when its oldest row must go.

    Rows are kept in the runs in which they arrive; a batch that is one run, or a part of one, copies nothing.

    Args:
        limit: How large a batch may be.
        max_delay_s: Longest wait of a row in seconds; `None` waits for a full batch.
    """

    def __init__(self, limit: Limit, max_delay_s: float | None = None) -> None:
        self._limit = limit
        self._max_delay_s = max_delay_s
        self._runs: deque[tuple[Rows, float]] = deque()
        self._count = 0

    def add(self, rows: Rows, now: float) -> None:
        """Takes in rows that arrived at `now`."""
        if len(rows):
            self._runs.append((rows, now))
            self._count += len(rows)

    def poll(self, now: float) -> Batch | None:
        """The next batch that is full, or whose oldest row has waited long enough at `now`."""
        if not self._count:
            return None
        count, weight, kept_out = self._next()
        if kept_out or self._limit.is_full(count, weight):
            memory = kept_out or self._limit.tuner.limited_by_memory
            return self._take(count, weight, "memory" if memory else "full")
        deadline = self.next_deadline()
        if deadline is not None and now >= deadline:
            return self._take(count, weight, "deadline")
        return None

    def flush(self) -> Batch | None:
        """The next batch of what is left, when no row will follow."""
        if not self._count:
            return None
        count, weight, kept_out = self._next()
        return self._take(count, weight, "memory" if kept_out else "full" if count < self._count else "end")

    def next_deadline(self) -> float | None:
        """When the oldest row must go."""
        if self._max_delay_s is None or not self._runs:
            return None
        return self._runs[0][1] + self._max_delay_s

    @property
    def room(self) -> int:
        """Rows until the size aimed at; 1 at least."""
        return max(1, (self._limit.rows or 1) - self._count)

    def _next(self) -> tuple[int, int, bool]:
        if self._limit.weight is None:
            rows = self._limit.rows
            return self._count if rows is None else min(self._count, rows), 0, False
        return self._limit.fits(size for run, _ in self._runs for size in run.sizes or ())

    def _take(self, count: int, weight: int, reason: FlushReason) -> Batch:
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
        return Batch(Rows.join(parts), reason, self._limit.fill(count, weight), since)
