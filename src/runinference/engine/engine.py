"""The engine: one loaded model and everything that is needed to run a lot of rows through it."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

from runinference.batching import Batch, ReadyMadeBatcher, Rows, make_batcher, make_limit
from runinference.engine.arguments import check_arguments, check_examples
from runinference.engine.call import ModelCall
from runinference.engine.feed import Feed, MakeRows
from runinference.engine.flow import Flow
from runinference.engine.inbox import Inbox
from runinference.engine.order import Ordered, Ready, Unordered
from runinference.engine.plan import Keys, Plan
from runinference.engine.report import Reporter
from runinference.engine.results import Results
from runinference.engine.service import Service, answer, inference_error
from runinference.engine.source import open_source
from runinference.engine.stages import Outcome, Stages, Started
from runinference.engine.timeout import TimeLimit
from runinference.errors import ConfigurationError, EngineClosedError
from runinference.metrics import Metrics, MetricsSnapshot
from runinference.models.lease import ModelLease
from runinference.models.store import MODELS
from runinference.prediction import Failure, forget_frames
from runinference.progress import ProgressReporter

OnFailure = Callable[[Failure], Any]
Progress = bool | Callable[[dict[str, Any]], Any]

# A row of a slow source waits this long for others, unless the handler's options say otherwise.
_DEFAULT_DELAY_S = 0.1
_LARGEST_BLOCK = 65536


class Engine:
    """Runs a handler's model over rows, from any number of callers, with one copy of the model.

    ```python
    with Engine(handler) as engine:
        for result in engine.map(examples):
            ...
    ```

    Args:
        handler: Loads the model and runs it on batches.
        inference_args: Extra keyword arguments for each call of the model.
        ordered: Give results in the order of the input; else as they are ready.
        on_failure: Given each row that failed, in the thread that takes the results. Without it the first failure
            raises `InferenceError`.
        retries: How often a call that may succeed when tried again, such as one that lost its connection, is tried
            again.
        timeout_s: Longest time for one call of the model in seconds. The rows of a batch that takes longer are tried
            in smaller parts, and a call that hangs is left behind with its copy of the model.
        workers: Threads for pre- and post-processing. `None` lets the engine decide from its timings whether threads
            pay; 0 runs everything, reading too, in the caller's thread, so that a debugger works.
        progress: Show progress in rows on standard error; or a function that is given it as a dict each second.
        metrics: Where to record; the engine makes its own otherwise.

    Raises:
        ConfigurationError: The handler or an argument cannot work.
    """

    def __init__(
        self,
        handler: Any,
        *,
        inference_args: Mapping[str, Any] | None = None,
        ordered: bool = True,
        on_failure: OnFailure | None = None,
        retries: int = 0,
        timeout_s: float | None = None,
        workers: int | None = None,
        progress: Progress = False,
        metrics: Metrics | None = None,
    ) -> None:
        arguments = None if inference_args is None else dict(inference_args)
        check_arguments(retries=retries, timeout_s=timeout_s, workers=workers, on_failure=on_failure, progress=progress)
        self._plan = Plan.of(handler, arguments)
        self._ordered = ordered
        self._on_failure = on_failure
        self._workers = workers
        self._progress = progress
        self._limit = make_limit(self._plan.policy)
        self._metrics = metrics if metrics is not None else Metrics(namespace=self._plan.namespace)
        self._reporter = Reporter(self._metrics, self._plan.handler, self._limit)
        self._lease = ModelLease(self._plan.handler, MODELS, self._reporter.loaded)
        self._closed = False
        self._stopping = threading.Event()
        self._one_at_a_time = threading.Lock()
        time_limit = None if timeout_s is None else TimeLimit(timeout_s, on_timeout=self._lease.discard)
        self._call = ModelCall(self._plan, arguments, self._lease.model, time_limit)
        self._stages = Stages(self._plan, self._call, retries, self._stopping.wait, self._reporter.fault)
        self._flows: set[Flow] = set()
        self._service: Service | None = None
        self._starting = threading.Lock()

    @property
    def takes_blocks(self) -> bool:
        """Whether the handler runs on tables as they are, without an object for each row."""
        return self._plan.takes_blocks

    @property
    def keys(self) -> Keys:
        """Whether the rows are `(key, example)` pairs."""
        return self._plan.keys

    def map(self, examples: Iterable[Any]) -> Results:
        """Lazily runs the model over `examples`.

        Memory does not grow with the input. Results are what the handler returns for each row, as a rule
        [PredictionResult][runinference.prediction.PredictionResult].

        Raises:
            ConfigurationError: `examples` is not an iterable of rows.
            EngineClosedError: The engine is closed.
            InferenceError: While iterating: a row failed and there is no `on_failure`.
            ModelLoadError: While iterating: the model cannot be loaded.
            ModelFaultError: While iterating: the model fails on every row.
        """
        check_examples(examples)
        total = len(examples) if isinstance(examples, Sized) and not self._plan.prebatched else None
        prebatched = self._plan.prebatched
        ready = self.ready(examples, _rows_of_batches if prebatched else rows_of_items, total, prebatched)
        return Results.of(_runs(ready))

    def ready(
        self, items: Iterable[Any], make_rows: MakeRows, total: int | None = None, single_items: bool = False
    ) -> Iterator[Ready]:
        """Runs the model over the rows that `make_rows` makes of `items` and gives results run by run.

        `map` and tables are built on it.

        Args:
            items: What to read.
            make_rows: Makes rows of some items and the position of the first.
            total: Number of rows, where it is known, for the progress.
            single_items: Read one item at a time, because each holds many rows.
        """
        self._check_open()
        if single_items and self._plan.takes_blocks and self._plan.policy.max_size is None:
            # Rows in columns are small and are in memory by the block anyway.
            self._limit.tuner.allow(_LARGEST_BLOCK)
        return self._ready(items, make_rows, total, single_items)

    def submit(self, example: Any) -> Future[Any]:
        """Runs the model on one row, in batches with what other threads submit at the same time.

        Waits while very many rows are unanswered.

        Returns:
            A future of the row's result. Where the row fails, it has the `InferenceError`.

        Raises:
            ConfigurationError: The handler takes ready-made batches.
            EngineClosedError: The engine is closed.
        """
        self._check_open()
        if self._plan.prebatched:
            raise ConfigurationError("submit() takes single rows, but the handler takes ready-made batches")
        if self._workers == 0:
            return self._answer_inline(example)
        while True:
            try:
                return self._running_service().submit(example)
            except EngineClosedError:
                # Of an open engine only the service ended, because its model cannot run: the next one tries again.
                self._check_open()

    def metrics(self) -> MetricsSnapshot:
        """What was measured up to now."""
        self._reporter.refresh()
        return self._metrics.snapshot()

    def close(self) -> None:
        """Answers what was submitted, ends all threads and releases the model."""
        self._closed = True
        if self._service is not None:
            self._service.close()
        self._stopping.set()
        for flow in list(self._flows):
            flow.close()
        self._call.close()
        self._lease.release()
        self._reporter.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _ready(
        self, items: Iterable[Any], make_rows: MakeRows, total: int | None, single_items: bool
    ) -> Iterator[Ready]:
        self._check_open()
        with self._progress_reporter(total) as progress:
            delay = _DEFAULT_DELAY_S if self._plan.policy.min_size is None else None
            delay = self._plan.policy.max_delay_s if self._plan.policy.max_delay_s is not None else delay
            source = open_source(items, self._workers != 0, delay)
            feed = Feed(source, make_rows, self._stages.prepare, single_items)
            flow = self._flow(feed, delay, stop_at_first=self._on_failure is None)
            self._flows.add(flow)
            order = Ordered() if self._ordered else Unordered()
            done = failed = 0
            try:
                for outcome in flow.outcomes():
                    done, failed = done + len(outcome.rows), failed + len(outcome.failures)
                    if progress is not None:
                        progress.update(done, failed)
                    ready = order.push(outcome)
                    if ready is not None:
                        yield from self._let_go(ready)
                    del outcome, ready
            finally:
                self._flows.discard(flow)
                flow.close()

    def _let_go(self, ready: Ready) -> Iterator[Ready]:
        for failure in ready.failures:
            if self._on_failure is None:
                yield ready.before(failure.index)
                raise inference_error(failure)
            forget_frames(failure.error)
            self._on_failure(failure)
        if len(ready.rows):
            yield ready

    def _answer_inline(self, example: Any) -> Future[Any]:
        future: Future[Any] = Future()
        feed = Feed(open_source([example], False, None), rows_of_items, self._stages.prepare, single_items=False)
        flow = self._flow(feed, None, stop_at_first=True)
        try:
            for outcome in flow.outcomes():
                answer(outcome, {0: future})
        except Exception as error:
            future.set_exception(error)
        return future

    def _flow(
        self,
        feed: Feed,
        delay: float | None,
        *,
        stop_at_first: bool,
        observed: bool = True,
    ) -> Flow:
        def begin(batch: Batch) -> Started:
            with self._one_at_a_time:
                return self._stages.begin(batch)

        def infer(started: Started) -> Outcome:
            with self._one_at_a_time:
                outcome = self._stages.infer(started, stop_at_first)
                self._learn(started.batch, outcome)
                return outcome

        policy = dataclasses.replace(self._plan.policy, max_delay_s=delay)
        batcher = ReadyMadeBatcher() if self._plan.prebatched else make_batcher(policy, self._limit)
        return Flow(
            feed=feed,
            batcher=batcher,
            stages=self._stages,
            load=self._call.load,
            begin=begin,
            infer=infer,
            observe=self._reporter.batch if observed else None,
            size_settled=lambda: self._limit.tuner.settled,
            workers=self._workers,
            default_workers=available_cores(),
            stopped=self._stopping.is_set,
        )

    def _learn(self, batch: Batch, outcome: Outcome) -> None:
        """Tells the tuner how the batch went."""
        isolated = outcome.isolated
        if isolated is None:
            return
        by_area = self._limit.by_area
        if isolated.out_of_memory is not None:
            rows = isolated.out_of_memory
            self._limit.tuner.out_of_memory(len(rows) * max(rows.sizes or [1]) if by_area else len(rows))
        elif not isolated.failed:
            units = batch.padded if by_area else len(batch.rows)
            self._limit.tuner.record(units, outcome.timings.inference, outcome.num_bytes)

    def _running_service(self) -> Service:
        service = self._service
        if service is None or service.ended:
            with self._starting:
                if self._service is None or self._service.ended:
                    self._service = self._start_service()
                service = self._service
        return service

    def _start_service(self) -> Service:
        inbox = Inbox(self._plan.policy.max_delay_s)
        service = Service(inbox)
        # The inbox has waited for other callers already: what it gives is not held back again.
        feed = Feed(inbox, service.make_rows, self._stages.prepare, single_items=False)
        # Callers are answered before the batch is recorded: while they wake up there is time for that.
        flow = self._flow(feed, delay=0.0, stop_at_first=False, observed=False)
        service.start(flow, self._reporter.batch)
        return service

    def _progress_reporter(self, total: int | None) -> AbstractContextManager[ProgressReporter | None]:
        if self._progress is False:
            return nullcontext()
        return ProgressReporter(sys.stderr if self._progress is True else self._progress, total)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosedError("The engine is closed; make a new one")


def _runs(ready: Iterator[Ready]) -> Generator[Any, None, None]:
    for part in ready:
        yield part.results
        del part


def available_cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def rows_of_items(items: list[Any], start: int) -> Rows:
    """The rows of items that are one example each."""
    return Rows(items, range(start, start + len(items)))


def _rows_of_batches(items: list[Any], start: int) -> Rows:
    batch = items[0] if items else []
    if not hasattr(batch, "__len__") or isinstance(batch, (str, bytes, Mapping)):
        raise ConfigurationError(
            f"with_no_batching() needs elements that are batches, such as lists or arrays; got {type(batch).__name__}"
        )
    return Rows(batch, range(start, start + len(batch)))
