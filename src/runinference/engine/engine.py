"""The engine: one loaded model and everything that is needed to run a lot of rows through it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

from runinference.engine.addresses import patterns, targets
from runinference.engine.arguments import check_arguments, check_examples
from runinference.engine.bundle import Bundle
from runinference.engine.bundle_service import BundleService
from runinference.engine.bundles import Bundles
from runinference.engine.call_options import CallOptions
from runinference.engine.feed import MakeRows, rows_of_batches, rows_of_items
from runinference.engine.flow import Flow
from runinference.engine.inbox import Inbox
from runinference.engine.isolate import ALL, Search
from runinference.engine.model_set import ModelSet
from runinference.engine.order import Ordered, Ready, Unordered
from runinference.engine.parallel import ParallelFlow
from runinference.engine.passes import Passes
from runinference.engine.plan import Keys
from runinference.engine.results import Results
from runinference.engine.service import Service, answer, inference_error
from runinference.engine.serving import Serving
from runinference.engine.source import Source, open_source
from runinference.engine.stages import Outcome
from runinference.engine.update import Updates, all_of
from runinference.engine.watching import Watching
from runinference.errors import ConfigurationError, EngineClosedError
from runinference.keyed import KeyModelPathMapping
from runinference.metrics import Journal, Metrics, MetricsSnapshot
from runinference.prediction import Failure, forget_frames
from runinference.progress import ProgressReporter

OnFailure = Callable[[Failure], Any]
Progress = bool | Callable[[dict[str, Any]], Any]

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
        load_timeout_s: Longest time to load the model in seconds.
        workers: Threads for pre- and post-processing. `None` lets the engine decide from its timings whether threads
            pay; 0 runs everything, reading too, in the caller's thread, so that a debugger works.
        progress: Show progress in rows on standard error; or a function that is given it as a dict each second.
        metrics: Where to record; the engine makes its own otherwise.
        model_identifier: Engines of this process that say the same share one copy of the model, if their handlers load
            the same one. Without it those with one handler object do.
        watch_model_pattern: Where new versions of the model appear while rows are running: a folder, a glob, a file
            that names one, or the model itself, on this machine or behind any URL. Where there are several models, a
            dict with the pattern of each key or name. See `update_model` for how a version takes over.
        watch_interval_s: How often to look there, in seconds.
        hosted_as: Hold the model in processes of its own, one for each copy. Engines in all processes of this machine
            and user that say the same share them, if their handlers load the same model. A text, or a function that
            says it for each handler where there are several models, or `None` to hold its model in this process.
        before_call: Called before each call of the model, in the thread that runs it.
        finds_faults: Whether many rows that fail alike, before any has worked, mean that the model fails and not its
            rows; else they are set aside as all others are.

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
        load_timeout_s: float | None = None,
        workers: int | None = None,
        progress: Progress = False,
        metrics: Metrics | None = None,
        model_identifier: str | None = None,
        watch_model_pattern: str | os.PathLike[str] | Mapping[Hashable, str] | None = None,
        watch_interval_s: float = 30.0,
        hosted_as: str | Callable[[Any], str | None] | None = None,
        before_call: Callable[[], Any] | None = None,
        finds_faults: bool = True,
    ) -> None:
        arguments = None if inference_args is None else dict(inference_args)
        check_arguments(
            retries=retries,
            timeout_s=timeout_s,
            load_timeout_s=load_timeout_s,
            workers=workers,
            on_failure=on_failure,
            progress=progress,
            model_identifier=model_identifier,
            watch_interval_s=watch_interval_s,
            hosted_as=hosted_as,
        )
        self._stopping = threading.Event()
        options = CallOptions(
            inference_args=arguments,
            retries=retries,
            timeout_s=timeout_s,
            load_timeout_s=load_timeout_s,
            pause=self._stopping.wait,
            model_identifier=model_identifier,
            hosted_as=(lambda _: hosted_as) if isinstance(hosted_as, str) else hosted_as,
            before_call=before_call,
            finds_faults=finds_faults,
        )
        self._models = ModelSet(handler, options, lambda plan: metrics or Metrics(namespace=plan.namespace))
        self._plan = self._models.plan
        self._metrics = self._models.metrics
        self._ordered = ordered
        self._on_failure = on_failure
        self._workers = workers
        self._progress = progress
        self._passes = Passes(self._models, workers, self._stopping.is_set)
        self._closed = False
        self._flows: set[Flow | ParallelFlow] = set()
        self._updates = Updates()
        self._watching = [
            Watching(unit, pattern, watch_interval_s, self._updates)
            for unit, pattern in patterns(self._models, watch_model_pattern)
        ]
        self._watches = False
        self._beginning = threading.Lock()
        self._submitted = Serving(self._serve_submitted)
        self._bundles = Serving(self._serve_bundles)

    @property
    def takes_blocks(self) -> bool:
        """Whether the handler runs on tables as they are, without an object for each row."""
        return self._plan.takes_blocks

    @property
    def keys(self) -> Keys:
        """Whether the rows are `(key, example)` pairs."""
        return self._plan.keys

    def choose_by_column(self, name: str | None) -> None:
        """Says which column of a table holds the keys by which models are chosen."""
        self._models.choose_by_column(name)

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
        ready = self.ready(examples, rows_of_batches if prebatched else rows_of_items, total, prebatched)
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
        if single_items and self._plan.takes_blocks:
            # Rows in columns are small and are in memory by the block anyway.
            for unit in self._models.units:
                if unit.plan.policy.max_size is None:
                    unit.limit.tuner.allow(_LARGEST_BLOCK)
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
        future: Future[Any] = Future()
        while True:
            try:
                self._submitted.service().inbox.add(example, future)
                return future
            except EngineClosedError:
                # Of an open engine only the service ended, because its model cannot run: the next one tries again.
                self._check_open()

    def bundle(self) -> Bundle:
        """Rows of one thread that are run in batches with those of other threads, and answered together.

        Where a batch fails, the rows that do are found if the engine has an `on_failure`. Else all rows fail of those
        bundles in it that fail, since nobody is to go on with the others.

        Where the engine's metrics are a [Journal][runinference.metrics.Journal], its entries about a batch are left
        in the `notes` of one of the bundles whose rows were in it.

        Raises:
            EngineClosedError: The engine is closed.
        """
        self._check_open()
        return self._bundles.service().bundle()

    def load(self) -> None:
        """Loads the model now, rather than for the first row; of several that do not all fit, none.

        Raises:
            ModelLoadError: It cannot be loaded.
            EngineClosedError: The engine is closed.
        """
        self._check_open()
        if self._models.residency is None:
            for unit in self._models.units:
                unit.load()

    def update_model(self, new: str | os.PathLike[str] | Sequence[KeyModelPathMapping]) -> Future[list[str | None]]:
        """Exchanges the model, or the models of some keys, while rows are running.

        The new model is loaded in the background and tried on rows that worked before; then it takes over between two
        batches. Results say with their `model_id` which one made them. If the new model cannot be loaded, or if
        nothing of its first batch works, the one before serves on.

        ```python
        engine.update_model("models/v2.pt").result()
        engine.update_model([KeyModelPathMapping(["de", "at"], "models/german-2.pt")])
        ```

        Args:
            new: Path or URL of the new model; where there are several models, the keys of each that is to be
                exchanged, or of an ensemble the names, with its path.

        Returns:
            A future that is done when the new model has taken over, with what results call it; or with the exception
            where it does not work.

        Raises:
            ConfigurationError: Nothing is named, a key is unknown, or the handler cannot load another model.
            EngineClosedError: The engine is closed.
        """
        self._check_open()
        exchanged = targets(self._models, new)
        return all_of([self._updates.start(unit, handler) for unit, handler in exchanged])

    def stop_watching(self) -> None:
        """Looks for new versions of models no more."""
        for watching in self._watching:
            watching.close()

    def metrics(self) -> MetricsSnapshot:
        """What was measured up to now."""
        self._passes.refresh()
        return self._metrics.snapshot()

    def close(self) -> None:
        """Answers what was submitted, ends all threads and releases the model."""
        self._closed = True
        self.stop_watching()
        self._updates.close()
        self._submitted.close()
        self._bundles.close()
        self._stopping.set()
        for flow in list(self._flows):
            flow.close()
        self._passes.stop_looking()
        self._models.close()
        self._passes.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _ready(
        self, items: Iterable[Any], make_rows: MakeRows, total: int | None, single_items: bool
    ) -> Iterator[Ready]:
        self._check_open()
        with self._progress_reporter(total) as progress:
            source = open_source(items, self._workers != 0, self._models.delay_s)
            self._watch()
            search = Search(stop_at_first=self._on_failure is None)
            flow = self._passes.flow(source, make_rows, search=search, single_items=single_items)
            self._flows.add(flow)
            order = Ordered() if self._ordered else Unordered()
            done = failed = 0
            try:
                for outcome in self._passes.outcomes(flow):
                    done, failed = done + len(outcome.rows), failed + len(outcome.failures)
                    if progress is not None:
                        progress.update(done, failed)
                    ready = order.push(outcome)
                    if ready is not None:
                        start = time.monotonic()
                        yield from self._let_go(ready)
                        self._passes.taken(time.monotonic() - start)
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

    def _watch(self) -> None:
        """Begins to look for new versions of models, once the engine is used."""
        with self._beginning:
            if not self._watches and not self._closed:
                self._watches = True
                for watching in self._watching:
                    watching.start()

    def _answer_inline(self, example: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._watch()
        flow = self._passes.flow(open_source([example], False, None), rows_of_items, search=Search(stop_at_first=True))
        try:
            for outcome in self._passes.outcomes(flow):
                answer(outcome, {0: future})
        except Exception as error:
            future.set_exception(error)
        return future

    def _serve_submitted(self) -> Service:
        service = Service(Inbox(self._plan.policy.max_delay_s))
        # Callers are answered before the batch is recorded, while they wake up, but where several models have a say.
        joins = self._passes.joins
        outcomes = self._outcomes_of(service.inbox, service.make_rows, observed=joins)
        service.start(outcomes, None if joins else self._passes.observe)
        return service

    def _serve_bundles(self) -> BundleService:
        policy, prebatched, metrics = self._plan.policy, self._plan.prebatched, self._metrics
        bundles = Bundles(policy.max_delay_s, policy.min_size, prebatched)
        service = BundleService(bundles, metrics.take if isinstance(metrics, Journal) else list)
        search = ALL if self._on_failure is not None else Search(groups=service.by_bundle)
        service.start(self._outcomes_of(bundles, service.make_rows, search=search, single_items=prebatched))
        return service

    def _outcomes_of(
        self,
        source: Source,
        make_rows: MakeRows,
        *,
        search: Search = ALL,
        single_items: bool = False,
        observed: bool = True,
    ) -> Iterator[Outcome]:
        self._watch()
        # The inbox has waited for other callers already: what it gives is not held back again.
        flow = self._passes.flow(
            source,
            make_rows,
            search=search,
            single_items=single_items,
            rows_wait=False,
            observed=observed,
        )
        return self._passes.outcomes(flow, idles=True)

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
