"""Batches of rows of like length, by sorting a window of rows that is read ahead."""

from __future__ import annotations

from itertools import islice

from runinference.batching.batch import Batch, FlushReason
from runinference.batching.limit import Limit
from runinference.batching.rows import Rows

_ROWS_OF_UNKNOWN_LENGTH = 64


class WindowBatcher:
    """Reads a window of several batches ahead, sorts it by length and cuts it into batches of like length.

    The longest rows go first, so that memory shows at once whether it suffices. A window is sorted when it holds
    `lookahead` full batches, when its oldest row must go, or when the input ends. Each batch is cut when it is asked
    for, with the limit that holds by then, which grows or shrinks with what was learnt from the batches before.

    Args:
        limit: How large a batch may be; by area, so that padding counts.
        max_delay_s: Longest wait of a row in seconds; `None` waits for a full window.
        lookahead: How many full batches make a window.
    """

    def __init__(self, limit: Limit, max_delay_s: float | None = None, lookahead: int = 32) -> None:
        self._limit = limit
        self._max_delay_s = max_delay_s
        self._lookahead = lookahead
        self._runs: list[tuple[Rows, float]] = []
        self._count = 0
        self._weight = 0
        self._seen = self._seen_weight = 0
        self._window = Rows([], range(0), sizes=[])
        self._order: list[int] = []
        self._start = 0
        self._since = 0.0
        self._last: FlushReason = "full"

    def add(self, rows: Rows, now: float) -> None:
        """Takes in rows that arrived at `now`; each has a length."""
        if len(rows):
            weight = sum(max(1, size) for size in rows.sizes or ())
            self._runs.append((rows, now))
            self._count += len(rows)
            self._weight += weight
            self._seen += len(rows)
            self._seen_weight += weight

    def poll(self, now: float) -> Batch | None:
        """The next batch of a window that is full or whose oldest row must go at `now`."""
        if not self._is_sorted:
            deadline = self.next_deadline()
            if self._is_full():
                self._sort("full")
            elif deadline is not None and now >= deadline:
                self._sort("deadline")
        return self._cut() if self._is_sorted else None

    def flush(self) -> Batch | None:
        """The next batch of what is left, when no row will follow."""
        if not self._is_sorted and self._runs:
            self._sort("end")
        return self._cut() if self._is_sorted else None

    def next_deadline(self) -> float | None:
        """When the oldest row must go."""
        return None if self._max_delay_s is None or not self._runs else self._runs[0][1] + self._max_delay_s

    @property
    def room(self) -> int:
        """Rows until the window is full, as far as that can be told; 1 at least."""
        rows, weight = self._limit.rows, self._limit.weight
        left = [] if rows is None else [rows * self._lookahead - self._count]
        if weight is not None and self._seen:
            # As if the rows to come were as long as those before.
            left.append(round((weight * self._lookahead - self._weight) * self._seen / self._seen_weight))
        return max(1, min(left, default=_ROWS_OF_UNKNOWN_LENGTH))

    def _is_full(self) -> bool:
        rows, weight = self._limit.rows, self._limit.weight
        return (rows is not None and self._count >= rows * self._lookahead) or (
            weight is not None and self._weight >= weight * self._lookahead
        )

    @property
    def _is_sorted(self) -> bool:
        """Whether there are sorted rows."""
        return self._start < len(self._order)

    def _sort(self, last: FlushReason) -> None:
        self._since, self._last = self._runs[0][1], last
        self._window = Rows.join([run for run, _ in self._runs])
        self._runs, self._count, self._weight = [], 0, 0
        sizes = self._window.sizes or []
        self._order, self._start = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True), 0

    def _cut(self) -> Batch:
        sizes = self._window.sizes or []
        count, area, kept_out = self._limit.fits(sizes[p] for p in islice(self._order, self._start, None))
        chosen = self._order[self._start : self._start + count]
        self._start += count
        # Within a batch the rows keep the order of the input, so that results are easy to follow.
        rows = self._window.pick(sorted(chosen))
        lengths = [sizes[p] for p in chosen]
        reason: FlushReason = "memory" if kept_out else "full" if self._is_sorted else self._last
        if not self._is_sorted:
            self._window = Rows([], range(0), sizes=[])  # The batch alone keeps its rows in memory.
        fill = self._limit.fill(count, area)
        return Batch(rows, reason, fill, self._since, sum(lengths), count * lengths[0])
