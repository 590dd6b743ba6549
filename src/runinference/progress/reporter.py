"""Shows the progress of a job from a thread of its own, so that a slow batch is not taken for a hang."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TextIO

from runinference.errors import ConfigurationError
from runinference.progress.display import display
from runinference.progress.meter import ProgressMeter

_REFRESH_AT_LEAST_S: Final = 1.0


class ProgressReporter:
    """Shows the progress of a job from a background thread, whatever the job is doing.

    A terminal gets one line that is rewritten; any other stream gets a full line each 30 s and one at the end; a
    callable gets `ProgressMeter.to_dict()` at least each second and once at the end. A stream that breaks is left
    alone and a callable that raises is not called again: neither disturbs the job.

    Args:
        target: A stream to write to, or a callable that receives a dict.
        total: Rows of the whole input; `None` where that is not known.
        interval_s: Seconds between two refreshes; more than 1 s is taken as 1 s.
        clock: Tells the time in seconds; tests bring their own.

    Raises:
        ConfigurationError: `interval_s` is not a positive number, or `target` is neither stream nor callable.

    Example:
        >>> import sys
        >>> with ProgressReporter(sys.stdout, total=2, clock=lambda: 0.0) as progress:
        ...     progress.update(done=2, failed=0)
        100% ━━━━━━━━━━━━━━━━━━━━ 2/2 rows · took 0:00
    """

    def __init__(
        self,
        target: Callable[[dict[str, Any]], None] | TextIO,
        total: int | None = None,
        interval_s: float = 0.5,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (interval_s > 0 and math.isfinite(interval_s)):
            raise ConfigurationError(f"interval_s must be a positive number of seconds, not {interval_s!r}.")
        self._show = display(target)
        self._interval_s = min(interval_s, _REFRESH_AT_LEAST_S)
        self._clock = clock
        self._total = total
        self._meter = ProgressMeter(total, clock())
        self._counts = (0, 0)
        self._changed_at = self._clock()
        self._closed = False
        # Reentrant, because a callable may close the reporter that calls it.
        self._refreshing = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def update(self, done: int, failed: int) -> None:
        """Says how many rows are done and how many failed, in total. Any thread may call it, as often as it likes."""
        # One store of one tuple: the two counts are never seen apart, and no lock is needed.
        self._counts = (done, failed)

    def start(self) -> None:
        """Starts the clock and the thread. Counts given before are where the job resumes."""
        if self._thread is not None or self._closed:
            return
        now = self._clock()
        self._changed_at = now
        self._meter = ProgressMeter(self._total, now)
        self._meter.update(*self._counts, now)
        self._thread = threading.Thread(target=self._run, name="runinference-progress", daemon=True)
        self._thread.start()

    def refresh(self) -> None:
        """Shows the state now; the thread calls this at every interval."""
        with self._refreshing:
            if not self._closed:
                self._take_counts()
                self._show(self._meter)

    def close(self) -> None:
        """Stops the thread and shows the final state, once."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # A target that hangs must not hang the job: its thread is a daemon and is left behind.
            thread.join(timeout=2.0)
            if thread.is_alive():
                self._closed = True
                return
        with self._refreshing:
            if self._closed:
                return
            self._closed = True
            now = self._take_counts()
            self._meter.finish(now)
            self._show(self._meter)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.refresh()

    def _take_counts(self) -> float:
        now = self._clock()
        done, failed = self._counts
        if (done, failed) != (self._meter.done, self._meter.failed):
            self._changed_at = now
        self._meter.update(done, failed, now, in_flight_s=now - self._changed_at)
        return now
