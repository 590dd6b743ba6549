"""Everything that a report says about a run, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runinference.metrics import MetricsSnapshot
from runinference.metrics.bottleneck import StageTimes
from runinference.report.failures import FailureGroup
from runinference.report.timeline import Point

if TYPE_CHECKING:
    from runinference.metrics.measurement import RunInfo


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run did not reach its end.

    Attributes:
        error_type: Class of the exception.
        message: What it says.
        traceback: Where it was raised, without the lines of this package; may be empty.
    """

    error_type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run.

    Attributes:
        run: What ran, with which options, where.
        metrics: What was measured.
        times: Where the time went.
        done: Rows that have a prediction.
        failed: Rows that were set aside.
        points: How far it was at many moments.
        failures: The rows that were set aside, by reason.
        peak_bytes: Peak memory of the process; `None` where the system does not tell.
        error: Why it did not reach its end; `None` where it did.
    """

    run: RunInfo
    metrics: MetricsSnapshot
    times: StageTimes
    done: int
    failed: int
    points: Sequence[Point] = ()
    failures: Sequence[FailureGroup] = ()
    peak_bytes: int | None = None
    error: RunError | None = None
