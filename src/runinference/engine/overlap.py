"""Whether the steps of a batch should overlap in threads, decided from their own timings."""

from __future__ import annotations

import time
from collections.abc import Callable

from runinference.engine.timings import Timings

_BATCHES_TO_WATCH = 4
_SECONDS_TO_WATCH = 0.05
_HAND_OVER_S = 0.0002
_GAIN_WORTH_TRYING = 0.1
_LONG_BATCH_S = 0.02
_GAIN_WORTH_KEEPING = 1.0


class OverlapChoice:
    """Chooses between running the steps of each batch one after another and overlapping them.

    Starts one after another. When the steps beside the longest take enough time to pay for handing batches to
    threads, and the cores are not busy anyway with what a model computes in threads of its own, it tries overlapping
    and measures rows per second; it goes back for good if that is no faster, as it is not where the steps compete for
    the interpreter lock.

    Attributes:
        overlap: What to do with the next batch.

    Args:
        cores: How many cores this process may use.
        cpu_s: Tells how many seconds all threads of this process have computed up to now.
    """

    def __init__(self, cores: int, cpu_s: Callable[[], float] = time.process_time) -> None:
        self.overlap = False
        self._decided = False
        self._batches = 0
        self._rows = 0
        self._sums = Timings()
        self._cores = cores
        self._cpu_s = cpu_s
        self._cpu_before = self._busy = 0.0
        self._rate_before = 0.0
        self._trial_start: float | None = None

    def record(self, rows: int, timings: Timings, now: float, size_settled: bool) -> None:
        """Takes note of a batch that ended at `now`, a time in seconds on a clock that does not go back."""
        if self._decided or not rows:
            return
        if self.overlap:
            self._judge_trial(rows, now)
            return
        self._batches += 1
        cpu_s = self._cpu_s()
        computed, self._cpu_before = cpu_s - self._cpu_before, cpu_s
        if self._batches == 1:  # The first batch warms everything up.
            return
        long = timings.total() > _LONG_BATCH_S
        if not size_settled and not long:
            return
        self._rows += rows
        self._busy += computed
        self._sums.add(timings)
        watched = self._sums.total()
        if self._batches > _BATCHES_TO_WATCH and watched > _SECONDS_TO_WATCH:
            self._judge_steps(watched, self._batches - 1)

    def _judge_steps(self, watched: float, batches: int) -> None:
        # Overlapped, the steps take no less than the longest of them, and than their work does on all cores.
        saved = watched - max(self._sums.longest(), self._busy / self._cores)
        if saved > _GAIN_WORTH_TRYING * watched and saved > _HAND_OVER_S * batches:
            self.overlap = True
            self._rate_before = self._rows / watched
            self._rows = self._batches = 0
            self._trial_start = None
        elif watched > 20 * _SECONDS_TO_WATCH:
            self._rows, self._batches, self._busy, self._sums = 0, 1, 0.0, Timings()

    def _judge_trial(self, rows: int, now: float) -> None:
        if self._trial_start is None:
            self._trial_start = now
            return
        self._rows += rows
        self._batches += 1
        seconds = now - self._trial_start
        if self._batches >= 2 * _BATCHES_TO_WATCH and seconds > 2 * _SECONDS_TO_WATCH:
            self.overlap = self._rows / seconds > _GAIN_WORTH_KEEPING * self._rate_before
            self._decided = True
