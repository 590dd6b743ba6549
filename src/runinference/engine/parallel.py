"""One pass of rows through several models, or several copies of one, that run side by side."""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from runinference.batching import Batch
from runinference.engine.flow import Work
from runinference.engine.forming import Forming
from runinference.engine.isolate import Search
from runinference.engine.stages import Outcome, Started
from runinference.engine.timings import Timings
from runinference.engine.unit import Unit
from runinference.errors import EngineClosedError

_PATIENCE_S = 2.0
_LARGE_BATCHES_AHEAD = 2


class _Place(NamedTuple):
    """Which batch of all, and which row of the input."""

    batch: int
    row: int


class _Waiting(NamedTuple):
    """A batch that waits for its model, and how long it took to get its rows."""

    batch: Batch
    timings: Timings


class ParallelFlow:
    """Turns the rows of a feed into outcomes, with a thread for each copy of each model and one that forms batches.

    Args:
        forming: Forms the batches, each for one of the models.
        work: What is done to rows before and after the models.
        unit: Gives a model by its number.
        search: How far the rows of a batch that fail are looked for.
        observe: Told of each finished outcome, before it is given to the thread that asked for it.
        workers: Threads for pre-processing; without it the thread that forms batches does that.
        lookahead: How many batches may be formed from the oldest one on that is not done, where models differ in the
            size of their batches more; so much is held at most where the results are to be in order.
        stopped: Whether to stop.
    """

    def __init__(
        self,
        forming: Forming,
        work: Work,
        unit: Callable[[int], Unit],
        search: Search,
        observe: Callable[[Outcome, bool], None] | None,
        workers: int | None,
        lookahead: Callable[[], int],
        stopped: Callable[[], bool],
    ) -> None:
        self._forming = forming
        self._work = work
        self._unit = unit
        self._search = search
        self._observe = observe
        self._workers = workers or 0
        self._lookahead = lookahead
        self._stopped = stopped
        self._changed = threading.Condition()
        self._waiting: dict[int, deque[_Waiting]] = {}
        self._finished: deque[Outcome] = deque()
        self._under_way: dict[int, _Place] = {}
        self._formed = _Place(0, 0)
        self._largest = 0
        self._all_formed = False
        self._closed = False
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._pool: ThreadPoolExecutor | None = None

    def outcomes(self) -> Iterator[Outcome]:
        """The finished outcomes, in the order in which the models were done with them.

        Raises:
            EngineClosedError: The engine was closed meanwhile, so that not all outcomes are there.
            Exception: What a model raised as a whole; or the source, after the outcomes of all rows before.
        """
        if self._workers and self._work.prepares:
            self._pool = ThreadPoolExecutor(self._workers, "runinference-work")
            self._forming.feed.pool, self._forming.feed.pool_threads = self._pool, self._workers
        self._start(self._form, "runinference-batches")
        try:
            while (outcome := self._next()) is not None:
                if self._observe is not None:
                    self._observe(outcome, True)
                yield outcome
                del outcome
            if self._stopped():
                raise EngineClosedError("The engine was closed while its results were being read")
            if self._forming.feed.error is not None:
                raise self._forming.feed.error
        finally:
            self.close()

    def close(self) -> None:
        """Ends the threads of this flow."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._forming.feed.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=_PATIENCE_S)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _next(self) -> Outcome | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._finished or self._error or self._closed or (self._all_formed and not self._under_way)
            )
            if self._finished:
                outcome = self._finished.popleft()
                if outcome.batch is not None:
                    del self._under_way[id(outcome.batch)]
                    self._changed.notify_all()
                return outcome
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None

    def _form(self) -> None:
        """Forms batches and hands them to their models, as long as not too many are under way."""
        feed = self._forming.feed
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or not self._is_far_ahead())
                if self._closed:
                    return
            formed = self._forming.next()
            with self._changed:
                if formed is None or self._closed:
                    self._all_formed = True
                    self._changed.notify_all()
                    return
                if isinstance(formed, Outcome):
                    self._finished.append(formed)
                else:
                    self._hand_over(_Waiting(formed, feed.take_times()))
                self._changed.notify_all()
            del formed

    def _is_far_ahead(self) -> bool:
        """Whether enough was formed from the oldest batch on that is not done."""
        if not self._under_way:
            return False
        oldest, newest = next(iter(self._under_way.values())), self._formed
        rows = newest.row - oldest.row
        return newest.batch - oldest.batch >= self._lookahead() and rows >= _LARGE_BATCHES_AHEAD * self._largest

    def _hand_over(self, formed: _Waiting) -> None:
        batch = formed.batch
        index = batch.rows.index
        self._under_way[id(batch)] = _Place(self._formed.batch, index[0])
        self._formed = _Place(self._formed.batch + 1, max(self._formed.row, index[-1]))
        self._largest = max(self._largest, len(index))
        waiting = self._waiting.get(batch.unit)
        if waiting is None:
            waiting = self._waiting[batch.unit] = deque()
            for copy in range(len(self._unit(batch.unit).copies)):
                run = functools.partial(self._run, batch.unit, copy)
                self._start(run, f"runinference-model-{batch.unit}-{copy}")
        waiting.append(formed)

    def _run(self, number: int, copy: int) -> None:
        """Runs the batches of a model on one of its copies."""
        unit, waiting = self._unit(number), self._waiting[number]
        computing: Started | None = None
        entered = False
        try:
            while True:
                if entered and computing is None and (not waiting or unit.should_leave()):
                    entered = False
                    unit.leave()
                formed = self._take(waiting, wait=computing is None)
                if formed is None and computing is None:
                    return
                if not entered:
                    unit.enter()
                    entered = True
                started = None if formed is None else self._begin(unit, formed, copy)
                del formed
                if computing is not None:
                    self._put(unit.infer(computing, self._search, copy), computing)
                    if started is not None:
                        started.since = time.perf_counter()
                    computing = None
                if started is not None:
                    if started.computing:
                        computing = started
                    else:
                        self._put(unit.infer(started, self._search, copy), started)
                del started
        finally:
            if entered:
                unit.leave()

    def _begin(self, unit: Unit, formed: _Waiting, copy: int) -> Started:
        now = time.monotonic()
        started = unit.begin(formed.batch, copy)
        started.queue_wait_s = max(0.0, now - formed.batch.since)
        started.timings = formed.timings
        return started

    def _take(self, waiting: deque[_Waiting], wait: bool) -> _Waiting | None:
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: waiting or self._closed or self._error or self._all_formed)
            if self._closed or self._error:
                return None
            return waiting.popleft() if waiting else None

    def _put(self, outcome: Outcome, started: Started) -> None:
        outcome.queue_wait_s = started.queue_wait_s
        outcome.timings.add(started.timings)
        outcome = self._work.finish(outcome)
        with self._changed:
            self._finished.append(outcome)
            self._changed.notify_all()

    def _start(self, run: Callable[[], None], name: str) -> None:
        context = contextvars.copy_context()

        def guarded() -> None:
            try:
                context.run(run)
            except BaseException as error:
                with self._changed:
                    self._error = self._error or error
                    self._changed.notify_all()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
