"""Batches of rows of like length, by sorting a window of rows that is read ahead."""

from __future__ import annotations

from collections import deque

from runinference.batching.batch import Batch, FlushReason
from runinference.batching.limit import Limit
from runinference.batching.rows import Rows


class WindowBatcher:
    """Reads a window of several batches ahead, sorts it by length and cuts it into batches of like length.

    The longest rows go first, so that memory shows at once whether it suffices. A window is cut when it holds
    `lookahead` full batches, when its oldest row must go, or when the input ends.

    Args:
        limit: How large a batch may be; by area, so that padding counts.
        max_delay_s: Longest wait of a row in seconds; `None` waits for a full window.
        lookahead: How many full batches make a window.
    """

    def __init__(self, limit: Limit, max_delay_s: float | None = None, lookahead: int = 16) -> None:
        self._limit = limit
        self._max_delay_s = max_delay_s
        self._lookahead = lookahead
        self._runs: list[tuple[Rows, float]] = []
        self._count = 0
        self._weight = 0
        self._ready: deque[Batch] = deque()

    def add(self, rows: Rows, now: float) -> None:
        """Takes in rows that arrived at `now`; each has a length."""
        if len(rows):
            self._runs.append((rows, now))
            self._count += len(rows)
            self._weight += sum(max(1, size) for size in rows.sizes or ())

    def poll(self, now: float) -> Batch | None:
        """The next batch of a window that is full or whose oldest row must go at `now`."""
        if self._ready:
            return self._ready.popleft()
        if self._is_full():
            self._cut("full")
        else:
            deadline = self.next_deadline()
            if deadline is None or now < deadline:
                return None
            self._cut("deadline")
        return self._ready.popleft()

    def flush(self) -> Batch | None:
        """The next batch of what is left, when no row will follow."""
        if not self._ready and self._runs:
            self._cut("end")
        return self._ready.popleft() if self._ready else None

    def next_deadline(self) -> float | None:
        """When the oldest row must go."""
        return None if self._max_delay_s is None or not self._runs else self._runs[0][1] + self._max_delay_s

    @property
    def room(self) -> int:
        """Rows until the window is full, as far as that can be told; 1 at least."""
        rows = self._limit.rows
        return max(1, 64 if rows is None else rows * self._lookahead - self._count)

    def _is_full(self) -> bool:
        rows, weight = self._limit.rows, self._limit.weight
        return (rows is not None and self._count >= rows * self._lookahead) or (
            weight is not None and self._weight >= weight * self._lookahead
        )

    def _cut(self, last: FlushReason) -> None:
        since = self._runs[0][1]
        window = Rows.join([run for run, _ in self._runs])
        sizes = window.sizes or []
        self._runs, self._count, self._weight = [], 0, 0
        order = sorted(range(len(window)), key=sizes.__getitem__, reverse=True)
        start = 0
        while start < len(order):
            count, area, kept_out = self._limit.fits(sizes[p] for p in order[start:])
            chosen = order[start : start + count]
            start += count
            # Within a batch the rows keep the order of the input, so that results are easy to follow.
            rows = window.pick(sorted(chosen))
            lengths = [sizes[p] for p in chosen]
            reason: FlushReason = "memory" if kept_out else "full" if start < len(order) else last
            fill = self._limit.fill(count, area)
            self._ready.append(Batch(rows, reason, fill, since, sum(lengths), count * lengths[0]))
