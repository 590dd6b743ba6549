"""One pass of rows through the engine: read, prepare, batch, infer, finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from runinference.batching import Batch, Rows
from runinference.engine.forming import Forming
from runinference.engine.lane import Lane
from runinference.engine.overlap import OverlapChoice
from runinference.engine.stages import Outcome, Prepared, Started
from runinference.errors import EngineClosedError


class Work(Protocol):
    """What is done to rows before and after the model.

    Attributes:
        prepares: Whether there is anything to do before.
        finishes: Whether there is anything to do after.
    """

    prepares: bool
    finishes: bool

    def prepare(self, rows: Rows) -> Prepared:
        """Pre-processes rows."""

    def finish(self, outcome: Outcome) -> Outcome:
        """Post-processes the results of a batch."""


class Flow:
    """Turns the rows of a feed into outcomes, one for each batch.

    The steps form a chain of generators. As they are, everything happens in the thread that asks for the next
    outcome, and nothing is handed over. Where overlapping pays, the model's part of the chain is moved into a thread
    and pre- and post-processing into a pool, and may be moved back; the generators go on where they were.

    Args:
        forming: Forms the batches.
        work: What is done to rows before and after the model.
        begin: Calls the model for a batch.
        infer: Tells what came of it.
        observe: Told of each finished outcome, before it is given to the thread that asked for it.
        size_settled: Whether the size of batches has stopped changing.
        workers: Threads for pre- and post-processing: 0 keeps everything in one thread, `None` decides from timings.
        default_workers: How many threads to use where `workers` does not say.
        stopped: Whether to stop.
    """

    def __init__(
        self,
        forming: Forming,
        work: Work,
        begin: Callable[[Batch], Started],
        infer: Callable[[Started], Outcome],
        observe: Callable[[Outcome, bool], None] | None,
        size_settled: Callable[[], bool],
        workers: int | None,
        default_workers: int,
        stopped: Callable[[], bool],
    ) -> None:
        self._forming = forming
        self._feed = forming.feed
        self._work = work
        self._begin = begin
        self._infer = infer
        self._observe = observe
        self._size_settled = size_settled
        self._threads = workers or default_workers
        self._one_thread = workers == 0
        self._choice = OverlapChoice(default_workers) if workers is None else None
        self._overlap = bool(workers)
        self._stopped = stopped
        self._pool: ThreadPoolExecutor | None = None
        self._lane: Lane[Outcome | Future[Outcome]] | None = None

    def outcomes(self) -> Iterator[Outcome]:
        """The finished outcomes, in the order in which their batches were formed.

        Raises:
            EngineClosedError: The engine was closed meanwhile, so that not all outcomes are there.
            Exception: What the source raised, after the outcomes of all rows before.
        """
        try:
            inferred = self._inferred()
            while True:
                if self._overlap:
                    yield from self._overlapped(inferred)
                    if self._overlap:
                        break
                else:
                    outcome = next(inferred, None)
                    if outcome is None:
                        break
                    yield from self._let_go(self._work.finish(outcome))
                    del outcome
            if self._stopped():
                raise EngineClosedError("The engine was closed while its results were being read")
            if self._feed.error is not None:
                raise self._feed.error
        finally:
            self.close()

    def close(self) -> None:
        """Ends the threads of this flow."""
        self._feed.close()
        if self._lane is not None:
            self._lane.close()
            self._lane = None
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _inferred(self) -> Iterator[Outcome]:
        computing: Started | None = None
        while True:
            # While a device computes a batch, the next one is handed to it if its rows are there to be had.
            formed = self._forming.next(wait=computing is None)
            if isinstance(formed, Outcome):
                yield formed
                continue
            started = None if formed is None else self._start(formed)
            del formed  # Here and below: no batch stays in memory while the next one is made.
            if computing is not None:
                yield self._end(computing)
                if started is not None:
                    started.since = time.perf_counter()
                computing = None
            elif started is None:
                return
            if started is not None:
                if started.computing and not self._one_thread:
                    computing = started
                else:
                    yield self._end(started)
            del started

    def _start(self, batch: Batch) -> Started:
        formed = time.monotonic()
        started = self._begin(batch)
        started.queue_wait_s = max(0.0, formed - batch.since)
        started.timings = self._feed.take_times()
        return started

    def _end(self, started: Started) -> Outcome:
        outcome = self._infer(started)
        outcome.queue_wait_s = started.queue_wait_s
        outcome.timings.add(started.timings)
        return outcome

    def _overlapped(self, inferred: Iterator[Outcome]) -> Iterator[Outcome]:
        if self._pool is None and (self._work.prepares or self._work.finishes):
            self._pool = ThreadPoolExecutor(self._threads, "runinference-work")
        pool = self._pool
        self._feed.pool, self._feed.pool_threads = (pool if self._work.prepares else None), self._threads

        def finish(outcome: Outcome) -> Outcome | Future[Outcome]:
            return outcome if pool is None else pool.submit(self._work.finish, outcome)

        self._lane = lane = Lane(map(finish, inferred))
        for item in lane:
            yield from self._let_go(item.result() if isinstance(item, Future) else item)
            del item
            if not self._overlap:
                lane.stop()
        lane.close()
        self._feed.pool = None
        if lane.exhausted:
            self._overlap = True

    def _let_go(self, outcome: Outcome) -> Iterator[Outcome]:
        if self._observe is not None:
            self._observe(outcome, self._overlap)
        start = time.monotonic()
        yield outcome
        if self._choice is not None:
            now = time.monotonic()
            outcome.timings.consumer = now - start
            self._choice.record(len(outcome.rows), outcome.timings, now, self._size_settled())
            self._overlap = self._choice.overlap
