"""The progress of a job in input rows, shown honestly.

`ProgressMeter` does the arithmetic and has no clock; `format_line` turns it into one line; `ProgressReporter` shows
that line from a thread of its own, so that a slow batch is seen to be slow and not taken for a hang.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TextIO

from runinference.errors import ConfigurationError

_WINDOW_S: Final = 10.0
_SAMPLE_EVERY_S: Final = 0.1
_ETA_AFTER_S: Final = 3.0
_ETA_AFTER_SHARE: Final = 0.02
_IN_FLIGHT_AFTER_S: Final = 5.0
_REFRESH_AT_LEAST_S: Final = 1.0
_PLAIN_LINE_EVERY_S: Final = 30.0
_BAR_WIDTH: Final = 20
_SHORTEST_BAR: Final = 5
_ASCII: Final = str.maketrans({"━": "=", "╸": "-", "─": ".", "·": "|", "…": "~"})

_logger = logging.getLogger(__name__)


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


def format_line(meter: ProgressMeter, width: int | None = None) -> str:
    """The state of `meter` as one line of text, without colours.

    Args:
        meter: What to show.
        width: Columns that there are; the bar shrinks, then the line is cut. `None` sets no limit.

    Example:
        >>> meter = ProgressMeter(total=2745)
        >>> meter.update(done=1233, failed=1, now=10.0)
        >>> format_line(meter)
        '45% ━━━━━━━━╸─────────── 1,234/2,745 rows · 123 rows/s · ETA 0:12 · 1 failed'
    """
    rows = meter.done + meter.failed
    parts = [f"{rows:,}/{meter.total:,} rows" if meter.total is not None else f"{rows:,} rows"]
    if meter.rate > 0:
        parts.append(_per_second(meter.rate))
    if meter.complete:
        parts.append(f"took {_clock_time(meter.elapsed_s)}")
    elif meter.eta_s is not None:
        parts.append(f"ETA {_clock_time(meter.eta_s)}")
    elif meter.total is None:
        parts.append(f"elapsed {_clock_time(meter.elapsed_s)}")
    if meter.failed:
        parts.append(f"{meter.failed:,} failed")
    if not meter.complete and meter.in_flight_s is not None and meter.in_flight_s > _IN_FLIGHT_AFTER_S:
        parts.append(f"batch in flight {meter.in_flight_s:.0f} s")
    text = " · ".join(parts)
    if meter.total is not None:
        share = rows / meter.total if meter.total else 1.0
        # 100 % is for the last row, not for 99.6 % of them.
        percent = 100 if rows == meter.total else min(round(share * 100), 99)
        room = _BAR_WIDTH if width is None else min(_BAR_WIDTH, width - len(f"{percent}%  {text}"))
        bar = f"{_bar(share, room)} " if room >= _SHORTEST_BAR else ""
        text = f"{percent}% {bar}{text}"
    return text if width is None or len(text) <= width else text[: max(0, width - 1)] + "…"


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
        self._show = _display(target)
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


def _display(target: Any) -> Callable[[ProgressMeter], None]:
    """How to show a meter on `target`."""
    if hasattr(target, "write"):
        return _Terminal(target) if _is_terminal(target) else _PlainLines(target)
    if callable(target):
        return _Callback(target)
    raise ConfigurationError(f"Progress goes to a stream or a callable, not to {target!r}.")


class _Callback:
    def __init__(self, function: Callable[[dict[str, Any]], None]) -> None:
        self._function: Callable[[dict[str, Any]], None] | None = function

    def __call__(self, meter: ProgressMeter) -> None:
        if self._function is None:
            return
        try:
            self._function(meter.to_dict())
        except Exception:
            # Logged, not warned: a warning turned into an error would end the thread.
            _logger.warning("The progress callable raised; it is not called again.", exc_info=True)
            self._function = None


class _Stream:
    """A stream that may break at any moment, after which nothing more is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        try:
            "━╸─·…".encode(getattr(stream, "encoding", None) or "utf-8")
        except (LookupError, UnicodeError):
            self._ascii = True
        else:
            self._ascii = False

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text.translate(_ASCII) if self._ascii else text)
            self._stream.flush()
        except Exception:
            self._stream = None


class _PlainLines(_Stream):
    """A log file or a pipe: a full line now and then."""

    _written_at = 0.0

    def __call__(self, meter: ProgressMeter) -> None:
        if meter.finished or meter.elapsed_s - self._written_at >= _PLAIN_LINE_EVERY_S:
            self._written_at = meter.elapsed_s
            self._write(f"{format_line(meter)}\n")


class _Terminal(_Stream):
    """One line that is rewritten in place."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._colours = "NO_COLOR" not in os.environ

    def __call__(self, meter: ProgressMeter) -> None:
        # The last column stays free: some terminals wrap when it is written to.
        line = format_line(meter, self._columns() - 1)
        if self._colours:
            line = re.sub("[━╸]+", "\x1b[36m\\g<0>\x1b[0m", line)
            line = re.sub("─+", "\x1b[2m\\g<0>\x1b[0m", line)
        self._write(f"\r{line}\x1b[K" + ("\n" if meter.finished else ""))

    def _columns(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns if self._stream else 0
        except (OSError, ValueError, AttributeError):
            columns = 0
        return columns or shutil.get_terminal_size().columns


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except Exception:
        return False


def _bar(share: float, width: int) -> str:
    halves = int(share * width * 2)
    bar = "━" * (halves // 2) + "╸" * (halves % 2)
    return bar + "─" * (width - len(bar))


def _per_second(rate: float) -> str:
    return f"{rate:,.0f} rows/s" if rate >= 10 else f"{rate:.2g} rows/s"


def _clock_time(seconds: float) -> str:
    """`0:03`, `12:40` or `1:02:03`."""
    minutes, rest = divmod(math.ceil(seconds - 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
