"""Batches of rows in the order in which they came."""

from __future__ import annotations

from runinference.batching.batch import Batch, FlushReason
from runinference.batching.limit import Limit
from runinference.batching.rows import Rows
from runinference.batching.run_queue import RunQueue


class FifoBatcher:
    """Closes a batch when it has the size aimed at, when its weight is reached, or when its oldest row must go.

    Args:
        limit: How large a batch may be.
        max_delay_s: Longest wait of a row in seconds; `None` waits for a full batch.
    """

    def __init__(self, limit: Limit, max_delay_s: float | None = None) -> None:
        self._limit = limit
        self._max_delay_s = max_delay_s
        self._waiting = RunQueue()

    def add(self, rows: Rows, now: float) -> None:
        """Takes in rows that arrived at `now`."""
        self._waiting.add(rows, now)

    def poll(self, now: float) -> Batch | None:
        """The next batch that is full, or whose oldest row has waited long enough at `now`."""
        if not self._waiting:
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
        if not self._waiting:
            return None
        count, weight, kept_out = self._next()
        return self._take(count, weight, "memory" if kept_out else "full" if count < len(self._waiting) else "end")

    def next_deadline(self) -> float | None:
        """When the oldest row must go."""
        oldest = self._waiting.oldest
        return None if self._max_delay_s is None or oldest is None else oldest + self._max_delay_s

    @property
    def room(self) -> int:
        """Rows until the size aimed at; 1 at least."""
        return max(1, (self._limit.rows or 1) - len(self._waiting))

    def _next(self) -> tuple[int, int, bool]:
        if self._limit.weight is None:
            rows, waiting = self._limit.rows, len(self._waiting)
            return waiting if rows is None else min(waiting, rows), 0, False
        return self._limit.fits(self._waiting.sizes())

    def _take(self, count: int, weight: int, reason: FlushReason) -> Batch:
        rows, since = self._waiting.take(count)
        return Batch(rows, reason, self._limit.fill(count, weight), since)
