"""Batches of rows of like length, one bucket for each range of lengths."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from runinference.batching.batch import Batch, FlushReason
from runinference.batching.limit import Limit
from runinference.batching.rows import Rows
from runinference.batching.run_queue import RunQueue


class BucketBatcher:
    """Puts each row into the bucket of its length and closes a bucket when it is full or its oldest row must go.

    Row lengths below the first boundary are bucket 0; a length equal to a boundary starts the next bucket. So that a
    rare length cannot hold back the order of the output for ever, the bucket of the oldest row is closed when more
    than `lookahead` full batches are waiting in all.

    Args:
        limit: How large a batch may be.
        boundaries: Ascending lengths that part the buckets.
        max_delay_s: Longest wait of a row in seconds; `None` waits for a full batch.
        lookahead: How many full batches of rows may wait in all buckets together.
    """

    def __init__(
        self, limit: Limit, boundaries: Sequence[int], max_delay_s: float | None = None, lookahead: int = 16
    ) -> None:
        self._limit = limit
        self._boundaries = boundaries
        self._max_delay_s = max_delay_s
        self._lookahead = lookahead
        self._buckets = [RunQueue() for _ in range(len(boundaries) + 1)]

    def add(self, rows: Rows, now: float) -> None:
        """Takes in rows that arrived at `now`; each has a length."""
        positions: dict[int, list[int]] = {}
        for position, length in enumerate(rows.sizes or ()):
            positions.setdefault(bisect_right(self._boundaries, length), []).append(position)
        for bucket, chosen in positions.items():
            self._buckets[bucket].add(rows.pick(chosen), now)

    def poll(self, now: float) -> Batch | None:
        """The next bucket that is full, must go at `now`, or holds the oldest of too many rows."""
        waiting = 0.0
        for bucket in self._buckets:
            count, area, kept_out = self._limit.fits(bucket.sizes())
            if kept_out or self._limit.is_full(count, area):
                return self._take(bucket, count, area, "memory" if kept_out else "full")
            waiting += self._limit.fill(count, area)
        deadline = self.next_deadline()
        if deadline is not None and now >= deadline:
            return self._take_oldest("deadline")
        return self._take_oldest("bucket") if waiting > self._lookahead else None

    def flush(self) -> Batch | None:
        """The next batch of what is left, when no row will follow."""
        return self._take_oldest("end")

    def next_deadline(self) -> float | None:
        """When the oldest row must go."""
        oldest = min((bucket.oldest for bucket in self._buckets if bucket.oldest is not None), default=None)
        return None if self._max_delay_s is None or oldest is None else oldest + self._max_delay_s

    @property
    def room(self) -> int:
        """Rows to read at once; any row may complete its bucket, so this is only a convenient number."""
        return self._limit.rows or 64

    def _take_oldest(self, reason: FlushReason) -> Batch | None:
        bucket = min((b for b in self._buckets if b), key=lambda b: b.oldest or 0.0, default=None)
        return None if bucket is None else self._take(bucket, *self._limit.fits(bucket.sizes())[:2], reason)

    def _take(self, bucket: RunQueue, count: int, area: int, reason: FlushReason) -> Batch:
        rows, since = bucket.take(count)
        sizes = rows.sizes or [0]
        return Batch(rows, reason, self._limit.fill(count, area), since, sum(sizes), count * max(sizes))
