"""A job: a model over the rows of files, written to a file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runinference.engine.table import infer_table
from runinference.errors import ConfigurationError, DataError
from runinference.handler import ModelHandler
from runinference.jobs.allowed_failures import AllowedFailures
from runinference.jobs.counts import Counts
from runinference.jobs.publishing import publishing
from runinference.jobs.readers import Dataset, open_dataset
from runinference.jobs.reporting import reporting
from runinference.jobs.writers import ensure_not_input, open_writer
from runinference.jobs.writers.failures import FailuresFile
from runinference.metrics import Metrics, MetricsSnapshot
from runinference.metrics.publisher import Delivery
from runinference.prediction import Failure
from runinference.report import Recording

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTION_COLUMN = "prediction"

Show = Callable[[int | None, Recording], Callable[[int, int], Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done.

    Attributes:
        handler: The model handler.
        input: File, folder or glob, local or an fsspec URL.
        output: File whose suffix names the format.
        columns: The columns that the model is given; all but `key` by default.
        key: The column that names a row in failures; `path` by default where the input is images.
        max_batch_size: Largest batch in rows.
        failures: Where failed rows go; beside the output by default.
        allowed: How many rows may fail.
        metrics: File for the metrics as JSON.
        report: File for a page about the run.
        metrics_port: Where Prometheus fetches the metrics while the job runs.
        publish: Where the metrics are published, such as `sqlite:metrics.db`.
        limit: Take no more rows than this.
        workers: Threads for pre- and post-processing.
        retries: How often a call that may succeed when tried again is tried again.
        timeout_s: Longest time for one call of the model in seconds.
        watch_model_pattern: Where new versions of the model appear while the job runs.
        watch_interval_s: How often to look there, in seconds.
    """

    handler: Any
    input: str
    output: str
    columns: Sequence[str] | None = None
    key: str | None = None
    max_batch_size: int | None = None
    failures: str | None = None
    allowed: AllowedFailures = field(default_factory=AllowedFailures)
    metrics: str | None = None
    publish: Sequence[str] = ()
    metrics_port: int | None = None
    report: str | None = None
    limit: int | None = None
    workers: int | None = None
    retries: int = 0
    timeout_s: float | None = None
    watch_model_pattern: str | None = None
    watch_interval_s: float = 30.0


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of a job.

    Attributes:
        rows: Rows written.
        failed: Rows set aside.
        seconds: How long it took.
        metrics: What was measured.
        output: The file that was written.
        failures: The file with the failed rows; `None` where none failed.
        reasons: Why rows failed and how many did so, the most frequent first.
        too_many_failed: More rows failed than allowed.
        deliveries: What became of the metrics at each place where they are published.
    """

    rows: int
    failed: int
    seconds: float
    metrics: MetricsSnapshot
    output: str
    failures: str | None
    reasons: list[tuple[str, int]]
    too_many_failed: bool
    deliveries: Sequence[Delivery] = ()


def prepare(job: Job) -> tuple[Any, Dataset]:
    """The handler with the job's options and the dataset, after checking what can be checked before any row is read.

    Raises:
        ConfigurationError: An option or a column cannot work.
        DataError: The input cannot be read.
    """
    handler = job.handler
    if job.max_batch_size is not None:
        if not isinstance(handler, ModelHandler):
            raise ConfigurationError("--max-batch-size needs a handler that derives from runinference.ModelHandler")
        smallest = handler.batch_elements_kwargs().get("min_batch_size")
        least = None if smallest is None else min(smallest, job.max_batch_size)
        handler = handler.with_options(min_batch_size=least, max_batch_size=job.max_batch_size)
    needed = [*(job.columns or ()), *([job.key] if job.key else ())]
    dataset = open_dataset(job.input, columns_needed=needed)
    if PREDICTION_COLUMN in dataset.schema.names:
        raise ConfigurationError(f"The input has a column {PREDICTION_COLUMN!r} already; rename it first")
    return handler, dataset


def run_job(job: Job, show: Show | None = None) -> JobResult:
    """Runs a job to its end.

    Args:
        job: What is to be done.
        show: Given the number of rows, where it is known, and what watches the job; returns a function that is given
            the rows done and failed.

    Raises:
        ConfigurationError: An option, a column or the handler cannot work; nothing was read.
        DataError: The input cannot be read or the output cannot be written.
        ModelLoadError: The model cannot be loaded.
        ModelFaultError: The model fails on every row.
    """
    with reporting(job) as recording:
        return _run(job, show, recording)


def _run(job: Job, show: Show | None, recording: Recording) -> JobResult:
    start = time.monotonic()
    handler, dataset = prepare(job)
    ensure_not_input(job.output, dataset.files)
    if job.metrics is not None and not Path(job.metrics).resolve().parent.is_dir():
        raise ConfigurationError(f"The metrics cannot be written to {job.metrics}: there is no such folder")
    total = dataset.num_rows
    if total is not None and job.limit is not None:
        total = min(total, job.limit)
    metrics = recording.metrics = Metrics(_namespace(handler))
    failures_path = job.failures or f"{job.output}.failures.jsonl"
    with ExitStack() as stack:
        deliveries = stack.enter_context(publishing(job.publish, recording))
        if job.metrics_port is not None:
            from runinference.metrics.prometheus import serve_metrics

            stack.enter_context(serve_metrics(metrics, job.metrics_port))
        writer = stack.enter_context(open_writer(job.output))
        failures = stack.enter_context(FailuresFile(failures_path))
        counts = Counts(show(total, recording) if show is not None else _show_nothing)
        set_aside = _set_aside(metrics, failures, counts, recording)
        predicted = infer_table(
            recording.reading(dataset.batches(set_aside, job.limit)),
            handler,
            columns=job.columns,
            key=job.key or dataset.key,
            output_column=PREDICTION_COLUMN,
            keep=dataset.kept.names,
            on_failure=set_aside,
            retries=job.retries,
            timeout_s=job.timeout_s,
            workers=job.workers,
            metrics=metrics,
            watch_model_pattern=job.watch_model_pattern,
            watch_interval_s=job.watch_interval_s,
        )
        for batch in _or_empty(predicted, dataset.kept):
            with recording.writing(batch.num_rows):
                writer.write(batch)
            counts.add_done(batch.num_rows)
        recording.name_bottleneck()
    snapshot = metrics.snapshot()
    if job.metrics is not None:
        _write_json(job.metrics, snapshot.to_dict())
    return JobResult(
        rows=counts.done,
        failed=counts.failed,
        seconds=time.monotonic() - start,
        metrics=snapshot,
        output=job.output,
        failures=failures_path if counts.failed else None,
        reasons=counts.reasons.most_common(),
        too_many_failed=job.allowed.exceeded(counts.failed, counts.done + counts.failed),
        deliveries=deliveries,
    )


def _namespace(handler: Any) -> str:
    tell = getattr(handler, "get_metrics_namespace", None)
    return "RunInference" if tell is None else str(tell())


def _set_aside(
    metrics: Metrics, failures: FailuresFile, counts: Counts, recording: Recording
) -> Callable[[Failure], None]:
    def set_aside(failure: Failure) -> None:
        if failure.stage == "read":  # The engine never saw this row; all others it has counted itself.
            metrics.record({"failed_examples": 1, "failed_examples_read": 1}, {})
        failures(failure)
        recording.failures(failure)
        counts.add_failed(failure)

    return set_aside


def _or_empty(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches; or one without rows, so that an output without rows has its columns all the same."""
    import pyarrow as pa

    empty = True
    for batch in batches:
        empty = False
        yield batch
    if empty:
        yield pa.RecordBatch.from_pylist([], schema=schema.append(pa.field(PREDICTION_COLUMN, pa.null())))


def _write_json(path: str, values: dict[str, Any]) -> None:
    temporary = f"{path}.tmp-{os.getpid()}"
    try:
        Path(temporary).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"The metrics cannot be written to {path}: {error.strerror}") from error


def _show_nothing(done: int, failed: int) -> None:
    pass
