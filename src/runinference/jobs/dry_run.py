"""`runinference check`: one batch, to see what a job would do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runinference.engine.table import infer_table
from runinference.jobs.job import Job, prepare
from runinference.jobs.readers import Dataset
from runinference.metrics import Metrics, MetricsSnapshot
from runinference.prediction import Failure
from runinference.report.memory import peak_bytes

ROWS = 256
_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class DryRun:
    """What one batch showed.

    Attributes:
        handler: The handler.
        dataset: The input.
        rows: Rows that were tried.
        failures: Rows of them that failed.
        prediction_type: Type of the `prediction` column, in Arrow's words; `None` where no row worked.
        samples: Some predictions.
        metrics: What was measured.
        seconds_per_row: Time of one row, reading and loading apart, in seconds; `None` where no row worked.
        peak_bytes: Peak memory of this process so far in bytes; `None` where the system does not tell.
    """

    handler: Any
    dataset: Dataset
    rows: int
    failures: list[Failure]
    prediction_type: str | None
    samples: list[Any]
    metrics: MetricsSnapshot
    seconds_per_row: float | None
    peak_bytes: int | None

    @property
    def expected_seconds(self) -> float | None:
        """How long all rows would take at the speed of this batch; `None` where their number is unknown."""
        total = self.dataset.num_rows
        return None if self.seconds_per_row is None or total is None else self.seconds_per_row * total


def dry_run(job: Job) -> DryRun:
    """Runs the first rows of a job and writes nothing.

    Raises:
        ConfigurationError: An option, a column or the handler cannot work.
        DataError: The input cannot be read.
        ModelLoadError: The model cannot be loaded.
        ModelFaultError: The model fails on every row.
    """
    handler, dataset = prepare(job)
    failures: list[Failure] = []
    metrics = Metrics()
    batches = list(
        infer_table(
            dataset.batches(failures.append, ROWS, ROWS),
            handler,
            columns=job.columns,
            key=job.key or dataset.key,
            keep=dataset.kept.names,
            on_failure=failures.append,
            workers=job.workers,
            metrics=metrics,
        )
    )
    done = sum(batch.num_rows for batch in batches)
    snapshot = metrics.snapshot()
    seconds = float(snapshot.to_dict().get("msec_per_batch_SUM", 0.0)) / 1e3
    predictions = [batch.column(batch.num_columns - 1) for batch in batches]
    return DryRun(
        handler=handler,
        dataset=dataset,
        rows=done + len(failures),
        failures=failures,
        prediction_type=str(predictions[0].type) if predictions else None,
        samples=_different(value for column in predictions for value in column.to_pylist()),
        metrics=snapshot,
        seconds_per_row=seconds / done if done else None,
        peak_bytes=peak_bytes(),
    )


def _different(values: Iterable[Any]) -> list[Any]:
    """The first few values that are not equal."""
    found: list[Any] = []
    for value in values:
        if value not in found and len(found) < _SAMPLES:
            found.append(value)
    return found
