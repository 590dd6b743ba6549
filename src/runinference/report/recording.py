"""Watches a run for its report."""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from runinference.metrics import Metrics, MetricsSnapshot
from runinference.metrics.bottleneck import StageTimes, device_share, verdict
from runinference.prediction import qualified_name, user_traceback
from runinference.report.failures import FailureGroups
from runinference.report.memory import peak_bytes
from runinference.report.summary import RunError, RunSummary
from runinference.report.timeline import Timeline

if TYPE_CHECKING:
    from runinference.metrics.measurement import State

ItemT = TypeVar("ItemT")

_LONGEST_ERROR = 5000
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"(?<=\w)([?&][\w.\-]+=)[^&\s'\"]+")


class Recording:
    """Watches a run, from its `with` block's begin to its end.

    ```python
    with Recording("rents") as recording:
        results = list(
            infer(recording.reading(rows), handler, metrics=recording.metrics, on_failure=recording.failures)
        )
    write_report("run.html", recording.summary())
    ```

    Args:
        name: What ran.
        metrics: Where the run records what is measured; its own by default.
        options: What was asked for. Passwords in URLs are left out.
        copies: How many copies of the model, or models, run side by side.
        workers: How many threads pre- and post-process, where that is known.
        points: Whether to take a point for the throughput over time now and then.

    Attributes:
        metrics: As given, or its own.
        failures: Takes note of a failed row, as `on_failure`.
    """

    def __init__(
        self,
        name: str,
        metrics: Metrics | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        copies: int = 1,
        workers: int | None = None,
        points: bool = True,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.failures = FailureGroups()
        self._name = name
        self._options = dict(options or {})
        self._copies = copies
        self._workers = workers or 1
        self._timeline = Timeline(self._look) if points else None
        self._written: int | None = None
        self._reading_s: float | None = None
        self._writing_s: float | None = None
        self._error: BaseException | None = None
        self._test_id = uuid.uuid4().hex
        self._began = time.time()
        self._started = time.monotonic()
        self._ended: float | None = None

    def __enter__(self) -> Self:
        if self._timeline is not None:
            self._timeline.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = time.monotonic()
        self._error = error
        if self._timeline is not None:
            self._timeline.__exit__(kind, error, traceback)

    def reading(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """The items, measuring how long each takes to come."""
        self._reading_s = self._reading_s or 0.0
        iterator = iter(items)
        while True:
            before = time.monotonic()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._reading_s += time.monotonic() - before
            yield item
            del item

    @contextmanager
    def writing(self, rows: int) -> Iterator[None]:
        """Measures how long it takes to write so many rows, which count as done afterwards."""
        before = time.monotonic()
        yield
        self._writing_s = (self._writing_s or 0.0) + time.monotonic() - before
        self._written = (self._written or 0) + rows

    def _look(self) -> tuple[int, int, int, float]:
        totals = self.metrics.totals()
        model_s = totals["inference_batch_latency_micro_secs"] * 1e-6
        return self._done(totals), self._failed(totals), int(totals["inference_calls"]), model_s

    def _done(self, totals: Mapping[str, float]) -> int:
        return int(totals["num_inferences"]) if self._written is None else self._written

    def _failed(self, totals: Mapping[str, float]) -> int:
        return max(int(totals["failed_examples"]), self.failures.count)

    def name_bottleneck(self) -> None:
        """Puts what held up the run into its metrics, which the engine did without the times of reading and writing."""
        totals, metrics = self.metrics.totals(), self.metrics.snapshot()
        elapsed = (self._ended or time.monotonic()) - self._started
        self.metrics.set("bottleneck", str(verdict(self._times(elapsed, totals, metrics))))

    def summary(self) -> RunSummary:
        """What was seen up to now."""
        from runinference.metrics.measurement import RunInfo

        elapsed = (self._ended or time.monotonic()) - self._started
        totals, metrics = self.metrics.totals(), self.metrics.snapshot()
        options = {name: without_secrets(value) for name, value in self._options.items()}
        return RunSummary(
            # Made now, because only what is imported by now took part.
            run=RunInfo(
                without_secrets(self._name),
                test_id=self._test_id,
                started=self._began,
                device=_device(),
                options=options,
                state=self._state(),
            ),
            metrics=metrics,
            times=self._times(elapsed, totals, metrics),
            done=self._done(totals),
            failed=self._failed(totals),
            points=[] if self._timeline is None else list(self._timeline.points),
            failures=self.failures.groups(),
            peak_bytes=peak_bytes(),
            error=None if self._error is None else _run_error(self._error),
        )

    def _state(self) -> State:
        if self._ended is None:
            return "running"
        return "done" if self._error is None else "failed"

    def _times(self, elapsed: float, totals: Mapping[str, float], metrics: MetricsSnapshot) -> StageTimes:
        loading = totals["load_model_latency_milli_secs"] * 1e-3
        throughput = float(metrics.gauges.get("throughput_rows_per_sec", 0))
        running = totals["num_inferences"] / throughput if throughput else elapsed - loading
        return StageTimes(
            elapsed=elapsed,
            running=min(max(running, 0.0), elapsed),
            loading=loading,
            reading=self._reading_s,
            preprocess=totals["preprocess_micro_secs"] * 1e-6,
            model=totals["inference_batch_latency_micro_secs"] * 1e-6,
            postprocess=totals["postprocess_micro_secs"] * 1e-6,
            writing=self._writing_s,
            copies=self._copies,
            workers=self._workers,
            device=device_share(metrics),
        )


def without_secrets(value: Any) -> str:
    """A value as text, without the passwords and signatures of URLs, because reports are passed on."""
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return _QUERY.sub(r"\1…", _USER_INFO.sub("…", text)) if "://" in text else text


def _run_error(error: BaseException) -> RunError:
    cause = error.__cause__
    trace = "" if cause is None else user_traceback(cause)
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return RunError("Interrupted", "The run was interrupted.")
    return RunError(qualified_name(type(error)), without_secrets(error)[:_LONGEST_ERROR], trace[:_LONGEST_ERROR])


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    return "CPU"
