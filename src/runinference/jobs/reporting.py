"""The report of a job, which is written however the job ends and never changes how."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runinference.errors import ConfigurationError
from runinference.packages import require
from runinference.report import Recording, write_report

if TYPE_CHECKING:
    from runinference.jobs.job import Job

_logger = logging.getLogger(__name__)

_SHOWN = (
    *("input", "output", "columns", "key", "max_batch_size", "limit", "workers", "retries", "timeout_s"),
    *("failures", "watch_model_pattern"),
)


@contextmanager
def reporting(job: Job) -> Iterator[Recording]:
    """Watches a job within, and writes its report at the end where one is wanted.

    A job that was refused because it is not to be run like that leaves no report.

    Raises:
        ConfigurationError: The folder for the report does not exist.
        MissingDependencyError: matplotlib is not installed.
    """
    if job.report is not None:
        if not Path(job.report).resolve().parent.is_dir():
            raise ConfigurationError(f"The report cannot be written to {job.report}: there is no such folder")
        require("matplotlib", "report", "draw the charts of a report")
    model = _model_name(job.handler)
    recording = Recording(
        f"{model} over {job.input}",
        options={"handler": type(job.handler).__qualname__, **_options(job)},
        copies=_copies(job.handler),
        workers=job.workers,
        points=job.report is not None,
    )
    try:
        with recording:
            yield recording
    except ConfigurationError:
        raise
    except BaseException:
        _write(job.report, recording)
        raise
    else:
        _write(job.report, recording)


def _write(path: str | None, recording: Recording) -> None:
    if path is None:
        return
    try:
        write_report(path, recording.summary())
    except Exception as error:
        _logger.warning("The report %s was not written: %s: %s", path, type(error).__name__, error)


def _model_name(handler: Any) -> str:
    tell = getattr(handler, "get_model_id", None)
    try:
        named = None if tell is None else tell()
    except Exception:
        named = None
    return str(named or type(handler).__qualname__)


def _options(job: Job) -> dict[str, Any]:
    values = {name: getattr(job, name) for name in _SHOWN}
    return {name: value for name, value in values.items() if value is not None and value != 0}


def _copies(handler: Any) -> int:
    tell = getattr(handler, "model_copies", None)
    return int(tell()) if callable(tell) else 1
