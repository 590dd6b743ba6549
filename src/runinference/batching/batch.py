"""A batch that is ready, and what every batcher can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from runinference.batching.rows import Rows

FlushReason = Literal["full", "deadline", "end", "bucket", "memory"]
"""Why a batch was closed.

`full`: it has the size that was aimed at; `memory`: its weight or padded area allows no further row, or memory ran out
at a larger size before; `deadline`: its oldest row waited long enough; `bucket`: too many rows came in since for other
buckets or models; `end`: the input ended.
"""


@dataclass(slots=True)
class Batch:
    """Rows that go to the model together.

    Attributes:
        rows: At least one row.
        reason: Why the batch was closed.
        fill: Share of the size, weight or area aimed at, above 0 and at most 1, except for one row above the limit.
        since: When its oldest row arrived, on the clock of the caller, in seconds.
        real: Sum of the lengths of the rows; 0 without lengths.
        padded: Rows × longest row; 0 without lengths.
        unit: Which of several models they go to.
    """

    rows: Rows
    reason: FlushReason
    fill: float
    since: float
    real: int = 0
    padded: int = 0
    unit: int = 0


class Batcher(Protocol):
    """Decides when a batch is ready and what is in it: a state machine without a thread, a clock or a sleep.

    Every time is the caller's `now`, in seconds on any clock that does not go back.
    """

    def add(self, rows: Rows, now: float) -> None:
        """Takes in rows that arrived at `now`."""

    def poll(self, now: float) -> Batch | None:
        """The next batch that is ready at `now`, or `None`. To be asked until it says `None`."""

    def flush(self) -> Batch | None:
        """The next batch of what is left when no row will follow, or `None`. To be asked until it says `None`."""

    def next_deadline(self) -> float | None:
        """When `poll` will have a batch though no row follows, or `None` where it never will."""

    @property
    def room(self) -> int:
        """How many rows, at least 1, may be added before a batch can be ready."""
