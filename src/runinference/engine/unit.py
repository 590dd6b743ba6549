"""One model of an engine, with everything that is needed to run it: batching, copies, metrics."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

from runinference.batching import Batch, Batcher, ReadyMadeBatcher, Rows, make_batcher, make_limit
from runinference.engine.call_options import CallOptions
from runinference.engine.isolate import Search
from runinference.engine.model_copy import ModelCopy
from runinference.engine.plan import Plan
from runinference.engine.report import Reporter
from runinference.engine.served import Served
from runinference.engine.stages import Outcome, Stages, Started
from runinference.engine.timeout import TimeLimit
from runinference.errors import InferenceTimeoutError
from runinference.metrics import Metrics
from runinference.models.hosted import HostedModel, hosted_model
from runinference.models.lease import ModelLease
from runinference.models.residency import Residency
from runinference.models.store import MODELS, Loaded

# Rows that worked are kept, so that a new version of the model can be tried on them.
_SAMPLE_ROWS = 8


class Unit:
    """A model and how it is run.

    Attributes:
        plan: Its handler.
        stages: What is done to its rows.
        limit: How large its batches may be.
        reporter: Records what becomes of them.
        copies: The copies of the model; batches may run on all of them at the same time.
        sample: Some rows that worked; `None` while there are none.

    Args:
        plan: Its handler.
        options: How the model is called.
        metrics: Where to record.
        number: Which of the engine's models it is.
        residency: Lets the model into memory, where not all models fit at one time.
    """

    def __init__(
        self,
        plan: Plan,
        options: CallOptions,
        metrics: Metrics,
        number: int = 0,
        residency: Residency | None = None,
    ) -> None:
        name = None if options.hosted_as is None else options.hosted_as(plan.handler)
        self._hosted_as = None if name is None else f"{name}-{number}"
        if self._hosted_as is not None:  # Rows are sent there, not tables.
            plan = dataclasses.replace(plan, takes_blocks=False)
        self.plan = plan
        self.number = number
        self._metrics = metrics
        self._residency = residency
        self._evicted = False
        self.limit = make_limit(plan.policy)
        self.reporter = Reporter(metrics, self.limit)
        self.stages = Stages(plan, self.reporter.fault)
        self.sample: Rows | None = None
        self._options = options
        self._learning, self._loading = threading.Lock(), threading.Lock()
        self.copies = [
            ModelCopy(self.serve(plan.handler, copy), self.stages, self._went_back) for copy in range(plan.copies)
        ]

    def serve(self, handler: Any, copy: int) -> Served:
        """The model of `handler`, a version of this one, ready to be loaded as a copy."""
        owner, hosted_as = handler, self._hosted_as
        if self.plan.copies > 1 and hosted_as is None and hasattr(handler, "for_copy"):
            handler = handler.for_copy(copy, self.plan.copies)

        def loaded(model: Loaded) -> None:
            self.reporter.loaded(handler, model)

        def load() -> HostedModel:
            assert hosted_as is not None
            return hosted_model(handler, hosted_as, self.plan.copies)

        elsewhere = None if hosted_as is None else load
        around = None if self._options.load_timeout_s is None else self._load_in_time
        lease = ModelLease(handler, MODELS, loaded, self._options.model_identifier, copy, owner, elsewhere, around)
        return Served(dataclasses.replace(self.plan, handler=handler), lease, self._options)

    def _load_in_time(self, load: Callable[[], Any]) -> Any:
        seconds = self._options.load_timeout_s
        assert seconds is not None
        limit = TimeLimit(seconds, lambda: None)
        try:
            return limit.run(load)
        except InferenceTimeoutError:
            raise InferenceTimeoutError(f"The model was not loaded within {seconds:g} s") from None
        finally:
            limit.close()

    def batcher(self, delay_s: float | None) -> Batcher:
        """A batcher in which a row waits no longer than `delay_s`."""
        if self.plan.prebatched:
            return ReadyMadeBatcher()
        return make_batcher(dataclasses.replace(self.plan.policy, max_delay_s=delay_s), self.limit)

    def load(self) -> float:
        """Loads all copies of the model that are not loaded yet; the seconds that this took."""
        start = time.perf_counter()
        with self._loading:  # One after another, because few libraries load well in two threads at the same time.
            for copy in self.copies:
                copy.load()
            if self._evicted:
                self._evicted = False
                self._metrics.count("model_reloads")
        return time.perf_counter() - start

    @property
    def model_id(self) -> str | None:
        """Which version runs, where the handler tells."""
        return self.copies[0].served.model_id

    @property
    def model_ids(self) -> set[str | None]:
        """The versions that may have to be loaded again: the one that runs, and the one to go back to."""
        return {served.model_id for copy in self.copies for served in copy.versions}

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return any(copy.served.lease.loaded is not None for copy in self.copies)

    @property
    def num_bytes(self) -> int | None:
        """The bytes that the model held when it was loaded last; `None` if it never was, or nobody can tell."""
        return self.reporter.model_bytes

    def evict(self) -> None:
        """Lets go of the model to make room for others."""
        self._evicted = True
        self._metrics.count("model_evictions")
        for copy in self.copies:
            copy.release()

    def enter(self) -> None:
        """Waits until the model may be in memory, and loads it; to be paired with `leave`."""
        if self._residency is not None:
            self._residency.enter(self)
        else:
            self.load()

    def leave(self) -> None:
        """Allows the model to leave the memory."""
        if self._residency is not None:
            self._residency.leave(self)

    def should_leave(self) -> bool:
        """Whether another model waits for the memory of this one, and it is its turn."""
        return self._residency is not None and self._residency.should_leave(self)

    def begin(self, batch: Batch, copy: int = 0) -> Started:
        """Calls the model for a batch."""
        return self.copies[copy].begin(batch)

    def infer(self, started: Started, search: Search, copy: int = 0) -> Outcome:
        """What came of a batch that the model was called for; the next batches are sized by it."""
        outcome = self.copies[copy].infer(started, search)
        self._learn(started.batch, outcome)
        if self.sample is None and len(outcome.rows):
            self.sample = outcome.rows.cut(0, _SAMPLE_ROWS)
        return outcome

    def close(self) -> None:
        """Lets go of the model for good."""
        for copy in self.copies:
            copy.close()

    def _learn(self, batch: Batch, outcome: Outcome) -> None:
        """Tells the tuner how the batch went."""
        isolated = outcome.isolated
        if isolated is None:
            return
        by_area, tuner = self.limit.by_area, self.limit.tuner
        with self._learning:
            if isolated.out_of_memory is not None:
                rows = isolated.out_of_memory
                tuner.out_of_memory(len(rows) * max(rows.sizes or [1]) if by_area else len(rows))
            elif not isolated.failed:
                units = batch.padded if by_area else len(batch.rows)
                tuner.record(units, outcome.timings.inference, outcome.num_bytes)

    def _went_back(self, served: Served, error: BaseException) -> None:
        self.reporter.update_failed(served.model_id, self.model_id, error)
