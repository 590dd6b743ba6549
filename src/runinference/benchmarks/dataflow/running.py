"""Running a pipeline to its end, on Dataflow or on any other runner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from runinference.benchmarks.dataflow.job import JobReader
from runinference.benchmarks.process import BenchmarkError
from runinference.errors import ConfigurationError, RunInferenceError

_logger = logging.getLogger(__name__)

_ENDED = {"DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED", "STOPPED"}
# A streaming job does not end by itself.
_GOOD_ENDS = {False: {"DONE"}, True: {"DONE", "CANCELLED", "DRAINED"}}
_PAUSE_S = 10.0
_SHORT_PAUSE_S = 0.1
_ERRORS_SHOWN = 3


def start_job(pipeline: Any) -> Any:
    """Starts a job of Dataflow.

    Args:
        pipeline: A pipeline of Beam.

    Returns:
        The result of the pipeline, which has a job.

    Raises:
        BenchmarkError: It could not be started.
        ConfigurationError: The options are such that no job runs.
    """
    try:
        result = pipeline.run()
    except Exception as error:
        raise BenchmarkError(f"The job could not be started: {error}") from error
    if not getattr(result, "has_job", False):
        raise ConfigurationError("No job was run, only a template or nothing was made, so there is nothing to measure")
    return result


def wait_for_job(
    result: Any,
    reader: JobReader,
    *,
    timeout_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Waits until a job of Dataflow has ended. One that has not when time is up is cancelled.

    Args:
        result: What `pipeline.run()` returned.
        reader: Reads the job.
        timeout_s: Longest time; `None` for any time.
        clock: Tells seconds, from any start.
        sleep: Waits so many seconds.

    Raises:
        BenchmarkError: The job failed, or a batch job was cancelled or has not ended in time.
        DataError: The job cannot be read.
    """
    deadline_s = None if timeout_s is None else clock() + timeout_s
    last, cancelled = "", False
    while (job := reader.job(details=False)).state not in _ENDED:
        if job.state != last:
            _logger.info("Job %s is %s", job.id, job.state)
            last = job.state
        if deadline_s is not None and clock() >= deadline_s and not cancelled:
            _logger.info("Job %s is cancelled after %g s", job.id, timeout_s)
            result.cancel()
            cancelled = True
        else:
            sleep(_PAUSE_S)
    if cancelled and not job.streaming:
        raise BenchmarkError(f"Job {job.id} did not end within {timeout_s:g} s, and was cancelled")
    if job.state not in _GOOD_ENDS[job.streaming]:
        errors = [message.text for message in reader.messages() if message.error][-_ERRORS_SHOWN:]
        said = ": " + "\n".join(errors) if errors else ", and said no error"
        raise BenchmarkError(f"Job {job.id} ended as {job.state}{said}")


def run_here(
    pipeline: Any,
    streaming: bool,
    timeout_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Runs a pipeline to its end on a runner that is not Dataflow.

    Args:
        pipeline: A pipeline of Beam.
        streaming: Whether it runs until it is stopped.
        timeout_s: Longest time, after which it is cancelled; `None` for any time.
        clock: Tells seconds, from any start.
        sleep: Waits so many seconds.

    Returns:
        The result of the pipeline.

    Raises:
        BenchmarkError: It did not end well, or not in time.
    """
    try:
        result = pipeline.run()
        if timeout_s is not None and not _ends_within(result, timeout_s, clock, sleep):
            result.cancel()
            if streaming:
                return result
            raise BenchmarkError(f"The pipeline did not end within {timeout_s:g} s, and was cancelled")
        state = result.wait_until_finish()
    except RunInferenceError:
        raise
    except Exception as error:
        raise BenchmarkError(f"The pipeline failed: {error}") from error
    if state is not None and state not in _GOOD_ENDS[streaming]:
        raise BenchmarkError(f"The pipeline ended as {state}")
    return result


def _ends_within(result: Any, timeout_s: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> bool:
    # Not every runner can be asked to wait for a time.
    deadline_s = clock() + timeout_s
    while result.state not in _ENDED:
        if clock() >= deadline_s:
            return False
        sleep(_SHORT_PAUSE_S)
    return True
