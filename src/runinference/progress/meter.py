"""How far a job is, in input rows: the arithmetic, without a clock of its own."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

_WINDOW_S: Final = 10.0
_SAMPLE_EVERY_S: Final = 0.1
_ETA_AFTER_S: Final = 3.0
_ETA_AFTER_SHARE: Final = 0.02


class ProgressMeter:
    """How far a job is, how fast it goes and when it will end. Has no clock: the caller says what time it is.

    `done + failed + remaining == total` holds at any moment; a `total` that turns out too small grows.

    Args:
        total: Rows of the whole input; `None` where that is not known.
        started: The time at which the job started, in seconds, on the clock that `update` uses too.

    Attributes:
        total: As given, or more when more rows came.
        done: Rows that have a prediction.
        failed: Rows that were set aside.
        in_flight_s: How long the batch now in the model has been there; `None` where that is not known.
        finished: Whether the job has ended, be it at the last row or before.
    """

    def __init__(self, total: int | None = None, started: float = 0.0) -> None:
        self.total = total
        self.done = 0
        self.failed = 0
        self.in_flight_s: float | None = None
        self.finished = False
        self._started = self._now = started
        self._baseline = 0
        # (time, rows) whenever the number of rows changed, over a little more than the window.
        self._changes: deque[tuple[float, int]] = deque([(started, 0)])

    def update(self, done: int, failed: int, now: float, in_flight_s: float | None = None) -> None:
        """Takes note of the counts at the time `now`.

        Counts given at the time of the start are where the job resumes; they do not enter the rate.

        Args:
            done: Rows that have a prediction by now.
            failed: Rows that were set aside by now.
            now: The time in seconds.
            in_flight_s: How long the batch now in the model has been there.
        """
        self._now = now = max(now, self._now)
        self.done, self.failed, self.in_flight_s = done, failed, in_flight_s
        rows = done + failed
        if self.total is not None:
            self.total = max(self.total, rows)
        if now == self._started:
            self._baseline = rows
            self._changes = deque([(now, rows)])
        elif rows != self._changes[-1][1]:
            self._note_change(now, rows)

    def finish(self, now: float) -> None:
        """Takes note that the job ended at the time `now`; the rate becomes that of the whole job."""
        self._now = max(now, self._now)
        self.in_flight_s = None
        self.finished = True

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._now - self._started

    @property
    def remaining(self) -> int | None:
        """Rows still to come; `None` while the total is unknown."""
        return None if self.total is None else self.total - self.done - self.failed

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: the job ended, or every row of a known total is through."""
        return self.finished or self.remaining == 0

    @property
    def rate(self) -> float:
        """Rows per second over about the last 10 seconds; over the whole job once it is complete."""
        if self.complete:
            rows, seconds = self.done + self.failed - self._baseline, self.elapsed_s
        else:
            (since, before), (last, after) = self._changes[0], self._changes[-1]
            # Between two batches the rate stays; only a wait that is longer than those before it lowers it.
            rows, seconds = after - before, max(last - since, self._now - last)
        return max(0.0, rows / seconds) if seconds > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds until the end; `None` while it would be a guess: in the first 3 s or 2 %, or without a total."""
        remaining, rate = self.remaining, self.rate
        if self.total is None or remaining is None or self.complete or rate <= 0:
            return None
        if self.elapsed_s < _ETA_AFTER_S or self.done + self.failed < _ETA_AFTER_SHARE * self.total:
            return None
        return remaining / rate

    def to_dict(self) -> dict[str, Any]:
        """The state as a flat dict, which is what a callable that watches a job receives."""
        return {
            "done": self.done,
            "failed": self.failed,
            "total": self.total,
            "remaining": self.remaining,
            "rate": self.rate,
            "eta_s": self.eta_s,
            "elapsed_s": self.elapsed_s,
            "in_flight_s": self.in_flight_s,
        }

    def _note_change(self, now: float, rows: int) -> None:
        changes = self._changes
        if len(changes) > 1 and changes[-1][0] - changes[-2][0] < _SAMPLE_EVERY_S:
            changes[-1] = (now, rows)
        else:
            changes.append((now, rows))
        # One change at or before the window stays: the rate needs a place to count from.
        while len(changes) > 2 and changes[1][0] <= now - _WINDOW_S:
            changes.popleft()
