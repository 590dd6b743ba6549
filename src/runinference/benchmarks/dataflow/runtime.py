"""How long the workers of a job were at work, from what the job said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from runinference.benchmarks.dataflow.job import Message
from runinference.errors import DataError

_STARTED = "All workers have finished the startup processes and began to receive work requests"
_STOPPING = "Stopping worker pool"


class Interval(NamedTuple):
    """A time, in seconds since 1970.

    Attributes:
        start_s: Its start.
        end_s: Its end.
    """

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


def work_interval(messages: Sequence[Message], streaming: bool) -> Interval:
    """From when the workers had started until they were stopped: of the first pool, and of the last.

    A streaming job that did not stop its workers by itself is taken to its last message.

    Args:
        messages: What the job said, the oldest first.
        streaming: Whether it is a streaming job.

    Raises:
        DataError: The job does not say when.
    """
    starts = [message.time_s for message in messages if _STARTED in message.text]
    ends = [message.time_s for message in messages if _STOPPING in message.text]
    if streaming and starts and not ends:
        ends = [messages[-1].time_s]
    if not starts or not ends or ends[-1] <= starts[0]:
        missing = [repr(text) for text, found in ((_STARTED, starts), (_STOPPING, ends)) if not found]
        problem = f"none has {' or '.join(missing)}" if missing else "the workers were stopped before they had started"
        raise DataError(f"The run time of the job is not known: of its {len(messages)} messages, {problem}")
    return Interval(min(starts), max(ends))
