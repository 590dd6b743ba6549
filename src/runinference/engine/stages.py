"""What is done to a batch: pre-processing, inference and post-processing, with the failing rows set aside."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runinference.batching import Batch, Rows
from runinference.batching.blocks import is_record_batch, join, pick
from runinference.engine.isolate import ALL, Isolated, Search
from runinference.engine.plan import Plan
from runinference.engine.served import Served
from runinference.engine.timings import Timings
from runinference.errors import ModelFaultError
from runinference.keyed import is_keyed, not_a_pair
from runinference.prediction import Failure, PredictionResult, Stage

_FAILED = object()


@dataclass(slots=True)
class Outcome:
    """What came of a batch.

    Attributes:
        rows: The rows that worked.
        results: Their results: a list, or an array of a handler that takes blocks.
        failures: The rows that were set aside.
        batch: The batch that they were, unless they failed before they came into one.
        isolated: How the model's part of the batch went.
        num_bytes: Bytes of the examples.
        queue_wait_s: How long its oldest row waited for the batch to be formed, in seconds.
        timings: Where the time went.
        unit: Which of the engine's models they were for; of rows that failed before, `None`.
        model_id: Which version of it ran, where the handler tells.
    """

    rows: Rows
    results: Any
    failures: list[Failure]
    batch: Batch | None = None
    isolated: Isolated | None = None
    num_bytes: int = 0
    queue_wait_s: float = 0.0
    timings: Timings = field(default_factory=Timings)
    unit: int | None = None
    model_id: str | None = None

    @classmethod
    def of_failures(cls, failures: list[Failure]) -> Outcome:
        """Rows that failed before they came into a batch."""
        return cls(Rows([], range(0)), [], failures)


@dataclass(slots=True)
class Started:
    """A batch that the model was called for.

    Attributes:
        batch: The batch.
        served: The version of the model; `None` while there is none that may be called.
        since: When the model began with it, on the clock of `time.perf_counter`.
        end: Waits for its outputs and returns them, or raises what the handler raised.
        computing: Whether a device is still at it, so that there is something to wait for.
        queue_wait_s: How long its oldest row waited for the batch to be formed, in seconds.
        timings: How long it took to get its rows.
    """

    batch: Batch
    served: Served | None
    since: float
    end: Callable[[], Any]
    computing: bool = False
    queue_wait_s: float = 0.0
    timings: Timings = field(default_factory=Timings)

    @classmethod
    def later(cls, batch: Batch) -> Started:
        """A batch that the model is not called for yet."""
        return cls(batch, None, 0.0, lambda: None)


@dataclass(slots=True)
class Prepared:
    """Rows that are ready for batching, with those that failed on the way and the seconds that it took."""

    rows: Rows
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0


class Stages:
    """The three steps of a handler, each taking rows and giving back what worked and what failed.

    Args:
        plan: The handler.
        on_fault: Told what was done before the model failed as a whole.
    """

    def __init__(self, plan: Plan, on_fault: Callable[[Isolated], Any]) -> None:
        self._plan = plan
        self._on_fault = on_fault
        self._changes = bool(plan.preprocess or plan.pair_preprocess)
        self._checks = self._changes or plan.keys == "all"
        self.prepares = self._checks or plan.sizes is not None
        self.finishes = bool(plan.postprocess or plan.pair_postprocess)

    def prepare(self, rows: Rows) -> Prepared:
        """Pre-processes each row and measures it, where the batch policy asks for its weight or length."""
        whole = self._plan.takes_blocks and not isinstance(rows.data, list)
        if whole or not self.prepares:
            return Prepared(rows)
        if self._plan.prebatched:
            return self._prepare_whole(rows)
        start = time.perf_counter()
        failures: list[Failure] = []
        ready: list[Any] = []
        sizes: list[int] | None = None if self._plan.sizes is None else []
        kept: list[int] = []
        for position, row in enumerate(rows.data):
            try:
                prepared = self._prepare(row) if self._checks else row
                size = self._size(prepared) if sizes is not None else 0
            except Exception as error:
                failures.append(self.failure(error, rows, position, "preprocess"))
            else:
                ready.append(prepared)
                kept.append(position)
                if sizes is not None:
                    sizes.append(size)
        originals = rows.originals if rows.originals is not None or not self._changes else rows.data
        index = rows.index
        if failures:
            index = [index[position] for position in kept]
            originals = None if originals is None else pick(originals, kept)
        return Prepared(Rows(ready, index, originals, sizes), failures, time.perf_counter() - start)

    def begin(self, batch: Batch, served: Served) -> Started:
        """Calls the model for a batch; what comes of it is told by `infer`."""
        start = time.perf_counter()
        try:
            outputs, pending = served.call.begin(batch.rows)
        except Exception as error:
            return Started(batch, served, start, _raising(error))
        if pending is None:
            return Started(batch, served, start, lambda: outputs)

        def wait() -> Any:
            pending.wait()
            return outputs

        return Started(batch, served, start, wait, computing=True)

    def infer(self, started: Started, search: Search = ALL) -> Outcome:
        """What came of a batch that the model was called for; rows that fail are set aside.

        Args:
            started: The batch.
            search: How far the rows that fail are looked for.

        Raises:
            ModelFaultError: The model fails as a whole.
        """
        batch, rows, served = started.batch, started.batch.rows, started.served
        assert served is not None
        isolated = Isolated(search)
        try:
            served.isolator.run(rows, isolated, started.end)
        except ModelFaultError:
            self._on_fault(isolated)
            raise
        outcome = Outcome(
            rows,
            [],
            [],
            batch,
            isolated,
            timings=Timings(inference=time.perf_counter() - started.since),
            unit=batch.unit,
            model_id=served.model_id,
        )
        outcome.num_bytes = self._num_bytes(rows)
        worked = isolated.worked
        if worked:
            outcome.results = worked[0][1] if len(worked) == 1 else join([part for _, part in worked])
        if isolated.failed:
            outcome.rows = Rows.join([part for part, _ in worked]) if worked else rows.cut(0, 0)
            outcome.failures = [
                self.failure(f.error, f.row, 0, "inference", outcome.model_id, f.attempts) for f in isolated.failed
            ]
        return outcome

    def finish(self, outcome: Outcome) -> Outcome:
        """Post-processes each result."""
        if not self.finishes:
            return outcome
        start = time.perf_counter()
        done: list[Any] = []
        kept: list[int] = []
        rows, results = outcome.rows.data, outcome.results
        if not isinstance(rows, list):
            rows, results = self._single_results(rows, results, outcome.model_id)
        for position, result in enumerate(results):
            try:
                done.append(self._finish(result, self._plan.keys != "none" and is_keyed(rows[position])))
            except Exception as error:
                failure = self.failure(error, outcome.rows, position, "postprocess", outcome.model_id)
                outcome.failures.append(failure)
            else:
                kept.append(position)
        if len(kept) < len(outcome.rows):
            outcome.rows = outcome.rows.pick(kept)
        outcome.results = done
        outcome.timings.postprocess = time.perf_counter() - start
        return outcome

    def _prepare_whole(self, rows: Rows) -> Prepared:
        """Pre-processes a ready-made batch as a whole; where that fails, all its rows do."""
        start = time.perf_counter()
        try:
            data = rows.data
            for fn in (*self._plan.pair_preprocess, *self._plan.preprocess):
                data = not_none(fn(data), fn)
            if len(data) != len(rows):
                raise ValueError(f"Pre-processing made {len(data):,} rows out of a batch of {len(rows):,}")
        except Exception as error:
            failures = [self.failure(error, rows, position, "preprocess") for position in range(len(rows))]
            return Prepared(rows.cut(0, 0), failures, time.perf_counter() - start)
        return Prepared(Rows(data, rows.index, rows.data), [], time.perf_counter() - start)

    def _prepare(self, row: Any) -> Any:
        for fn in self._plan.pair_preprocess:
            row = not_none(fn(row), fn)
        if self._plan.keys == "none" or not self._is_pair(row):
            for fn in self._plan.preprocess:
                row = not_none(fn(row), fn)
            return row
        if not self._plan.preprocess:
            return row
        key, example = row
        for fn in self._plan.preprocess:
            example = not_none(fn(example), fn)
        return key, example

    def _finish(self, result: Any, keyed: bool) -> Any:
        if not keyed:
            for fn in self._plan.postprocess:
                result = fn(result)
        else:
            key, prediction = result
            for fn in self._plan.postprocess:
                prediction = fn(prediction)
            result = (key, prediction)
        for fn in self._plan.pair_postprocess:
            result = fn(result)
        return result

    def _single_results(
        self, block: Any, predictions: Any, model_id: str | None
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """The rows of a block, and what a handler would have returned for them one by one."""
        if not self._plan.takes_blocks:  # Ready-made batches come as arrays, and their results as results.
            return block, predictions
        rows = block.to_pylist() if is_record_batch(block) else list(block)
        values = predictions.to_pylist() if hasattr(predictions, "to_pylist") else predictions
        return rows, [PredictionResult(row, value, model_id) for row, value in zip(rows, values, strict=True)]

    def _is_pair(self, row: Any) -> bool:
        if is_keyed(row):
            return True
        if self._plan.keys == "all":
            raise not_a_pair(row)
        return False

    def _size(self, row: Any) -> int:
        assert self._plan.sizes is not None
        size = self._plan.sizes(row[1] if self._plan.keys != "none" and is_keyed(row) else row)
        if not size >= 0:
            raise ValueError(f"The weight or length of an example must be a number of at least 0, got {size!r}")
        return size

    def _num_bytes(self, rows: Rows) -> int:
        data = rows.data
        if not isinstance(data, list):
            nbytes = getattr(data, "nbytes", None)
            return int(nbytes) if nbytes is not None else self._plan.num_bytes(data)
        if self._plan.keys != "none":
            data = [row[1] if is_keyed(row) else row for row in data]
        return self._plan.num_bytes(data)

    def failure(
        self,
        error: Exception,
        rows: Rows,
        position: int,
        stage: Stage,
        model_id: str | None = None,
        attempts: int = 1,
    ) -> Failure:
        """Why the row at `position` of `rows` is set aside."""
        example = rows.original(position)
        key = None
        if self._plan.keys != "none" and is_keyed(example):
            key, example = example
        return Failure.from_exception(
            error,
            example=example,
            key=key,
            index=rows.index[position],
            stage=stage,
            attempts=attempts,
            model_id=model_id if model_id is not None else self._plan.model_id(),
        )


def _raising(error: Exception) -> Callable[[], Any]:
    def end() -> Any:
        raise error

    return end


def not_none(value: Any, fn: Callable[[Any], Any]) -> Any:
    """What a pre-processing function returned.

    Raises:
        TypeError: It returned nothing.
    """
    if value is None:
        raise TypeError(f"The pre-processing function {getattr(fn, '__name__', fn)!r} returned nothing")
    return value
