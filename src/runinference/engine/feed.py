"""Prepared rows for the batcher: read from a source, pre-processed in place or by a pool of threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import Any

from runinference.batching import Rows
from runinference.engine.arguments import check_batch
from runinference.engine.source import Source
from runinference.engine.stages import Prepared
from runinference.engine.timings import Timings

_BLOCKS_AHEAD = 2

MakeRows = Callable[[list[Any], int], Rows]
"""Makes rows of the items that a source gave; the number is the position of the first in the input."""


class Feed:
    """Joins a source and the pre-processing.

    Attributes:
        pool: Where rows are pre-processed, ahead of the taker; `None` does it in the taker's thread.
        wait_s: How long `take` waited since the times were last taken.
        read_s: How much of that the source took.
        prepare_s: How long pre-processing took since then, summed over threads.

    Args:
        source: Where items come from.
        make_rows: Makes rows of them.
        prepare: Pre-processes rows.
        single_items: Read one item at a time, because each holds many rows.
    """

    def __init__(
        self, source: Source, make_rows: MakeRows, prepare: Callable[[Rows], Prepared], single_items: bool
    ) -> None:
        self._source = source
        self._make_rows = make_rows
        self._prepare = prepare
        self._single_items = single_items
        self._position = 0
        self._batch = 0
        self._ahead: deque[tuple[Future[Prepared], float, int]] = deque()
        self.pool: Executor | None = None
        self.pool_threads = 1
        self.wait_s = self.read_s = self.prepare_s = 0.0

    @property
    def ended(self) -> bool:
        """Whether all rows have been taken."""
        return self._source.ended and not self._ahead

    @property
    def at_hand(self) -> bool:
        """Whether `take` would give rows without waiting for any."""
        if self._ahead:
            return self._ahead[0][0].done()
        return self.pool is None and self._source.at_hand

    @property
    def error(self) -> BaseException | None:
        """What the source raised in place of the next item."""
        return self._source.error

    def take(self, most: int, until: float | None) -> tuple[Prepared, float]:
        """Up to `most` rows and when the oldest of them arrived; none if `until` passes before."""
        start = time.perf_counter()
        if most > self._batch:  # The room left in a batch that is half full says nothing about the next one.
            self._batch = most
            self._source.read_ahead(_BLOCKS_AHEAD if self._single_items else 2 * most)
        if self.pool is None and not self._ahead:
            rows, arrived = self._read(most, until)
            self.wait_s += time.perf_counter() - start
            prepared = self._prepare(rows)
        else:
            prepared, arrived = self._take_ahead(until)
            self.wait_s += time.perf_counter() - start
        self.prepare_s += prepared.seconds
        return prepared, arrived

    def take_times(self) -> Timings:
        """The times since they were last taken."""
        times = Timings(wait=self.wait_s, reading=self.read_s, preprocess=self.prepare_s)
        self.wait_s = self.read_s = self.prepare_s = 0.0
        return times

    def _take_ahead(self, until: float | None) -> tuple[Prepared, float]:
        # Two batches are in preparation, so that the pool has work while the model runs.
        share = max(1, self._batch // self.pool_threads)
        while self.pool and not self._source.ended and sum(n for _, _, n in self._ahead) < 2 * self._batch:
            rows, arrived = self._read(share, time.monotonic() if self._ahead else until)
            if not len(rows):
                break
            self._ahead.append((self.pool.submit(self._prepare, rows), arrived, len(rows)))
        if not self._ahead:
            return Prepared(Rows([], range(0))), time.monotonic()
        future, arrived, _ = self._ahead[0]
        wait([future], None if until is None else max(0.0, until - time.monotonic()))
        if not future.done():
            return Prepared(Rows([], range(0))), arrived
        self._ahead.popleft()
        return future.result(), arrived

    def _read(self, most: int, until: float | None) -> tuple[Rows, float]:
        start = time.perf_counter()
        items, arrived = self._source.take(1 if self._single_items else most, until)
        rows = self._make_rows(items, self._position)
        self._position += len(rows)
        self.read_s += time.perf_counter() - start
        return rows, arrived

    def close(self) -> None:
        """Stops reading."""
        self._source.close()
        for future, _, _ in self._ahead:
            future.cancel()
        self._ahead.clear()


def rows_of_items(items: list[Any], start: int) -> Rows:
    """The rows of items that are one example each."""
    return Rows(items, range(start, start + len(items)))


def rows_of_batches(items: list[Any], start: int) -> Rows:
    """The rows of one item that is a batch already.

    Raises:
        ConfigurationError: It is none.
    """
    batch = items[0] if items else []
    check_batch(batch)
    return Rows(batch, range(start, start + len(batch)))
