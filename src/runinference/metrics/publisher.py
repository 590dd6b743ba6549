"""Brings measurements to their destinations without anybody waiting for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runinference.cache import cache_folder
from runinference.metrics.measurement import Measurement
from runinference.metrics.sinks import Rejected, Sink, open_sink
from runinference.metrics.spool import Spool
from runinference.prediction import qualified_name

_logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_PATIENCE_S = 5.0
_QUIET_S = 1.0
_MOST_IN_MEMORY = 1000
# Of what a measurement holds, such as a name that is no text: no later time makes it better.
_UNFIT = (OverflowError, TypeError, UnicodeError)


@dataclass(frozen=True)
class Delivery:
    """What became of the measurements for one destination.

    Attributes:
        destination: Its name.
        written: How many it has taken.
        kept: How many wait on disk for the next time.
        lost: How many it refused, or had no room on disk.
        problem: Why some were not taken at once; `None` where all were.
    """

    destination: str
    written: int
    kept: int
    lost: int
    problem: str | None


class Publisher:
    """Writes measurements to sinks, each from a thread of its own.

    `publish` only writes a small file. What a destination does not take now is tried again with growing pauses, and by
    the next publisher to the same destination if this process ends before. Each destination that does not work is
    logged once.

    Args:
        sinks: Destinations, or their addresses such as `sqlite:metrics.db`.
        folder: Where measurements wait; the user's cache folder by default.

    Raises:
        ConfigurationError: An address cannot work.
        MissingDependencyError: A package is not installed.
    """

    def __init__(self, sinks: Sequence[Sink | str], folder: Path | None = None) -> None:
        folder = folder or cache_folder() / "unpublished"
        opened = [open_sink(sink) if isinstance(sink, str) else sink for sink in sinks]
        self._routes = [_Route(sink, Spool(folder, sink.name)) for sink in opened]

    def publish(self, measurement: Measurement) -> None:
        """Hands a measurement over; never raises and never waits for a destination."""
        for route in self._routes:
            route.put(measurement)

    def close(self, patience_s: float = _PATIENCE_S) -> list[Delivery]:
        """Waits until all destinations have taken all, at most for so many seconds, and says what became of it."""
        for route in self._routes:
            route.end(time.monotonic() + patience_s)
        return [route.result() for route in self._routes]


class _Route:
    """The way to one destination."""

    def __init__(self, sink: Sink, spool: Spool) -> None:
        self._sink = sink
        self._spool = spool
        self._changed = threading.Condition()
        self._unspooled: list[Measurement] = []
        self._news = True  # What earlier runs have left.
        self._until: float | None = None
        self._finished = False
        self._written = self._lost = 0
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="runinference-publish", daemon=True)
        self._thread.start()

    def put(self, measurement: Measurement) -> None:
        unspooled = []
        try:
            self._spool.put(measurement)
        except OSError as error:
            self._note(f"{self._sink.name}: measurements cannot be kept on disk: {error.strerror or error}")
            unspooled = [measurement]
        with self._changed:
            self._unspooled += unspooled
            if len(self._unspooled) > _MOST_IN_MEMORY:
                del self._unspooled[0]
                self._lost += 1
            self._news = True
            self._changed.notify()

    def end(self, until: float) -> None:
        with self._changed:
            self._until = until
            self._changed.notify()

    def result(self) -> Delivery:
        assert self._until is not None
        left = max(0.0, self._until - time.monotonic())
        self._thread.join(min(left, _QUIET_S))
        if left > _QUIET_S and self._thread.is_alive():
            _logger.warning("Waiting up to %.0f s more for %s to take the metrics", left - _QUIET_S, self._sink.name)
            self._thread.join(left - _QUIET_S)
        self._thread.join(1.0)
        lost = self._lost + self._spool.dropped + len(self._unspooled)
        # What is there now although all was delivered is another process's.
        kept = 0 if self._finished else len(self._spool)
        return Delivery(self._sink.name, self._written, kept, lost, self._problem)

    def _run(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._news or self._until is not None)
                self._news = False
            if self._deliver():
                pause = _FIRST_PAUSE_S
                if self._until is not None and not self._news:
                    self._finished = True
                    break
                continue
            now = time.monotonic()
            if self._until is not None and now + pause > self._until:
                break
            with self._changed:
                # A new measurement does not make an absent server come back; the end of the run is worth a try.
                self._changed.wait_for(lambda: self._until is not None, pause)
                self._news = True
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        self._sink.close()

    def _deliver(self) -> bool:
        """Writes what waits, the oldest first; whether all of it was written or refused."""
        for path, measurement in self._spool:
            if not self._write(measurement):
                return False
            self._spool.remove(path)
        while self._unspooled:
            measurement = self._unspooled[0]
            if not self._write(measurement):
                return False
            with self._changed:
                if self._unspooled and self._unspooled[0] is measurement:
                    del self._unspooled[0]
        return True

    def _write(self, measurement: Measurement) -> bool:
        try:
            self._sink.write(measurement)
        except Rejected as error:
            self._lose(f"{error}; this measurement is lost")
        except _UNFIT as error:
            self._lose(f"{self._sink.name}: {_described(error)}; this measurement is lost")
        except Exception as error:
            self._note(_described(error))
            return False
        else:
            self._written += 1
        return True

    def _lose(self, problem: str) -> None:
        self._note(problem)
        with self._changed:
            self._lost += 1

    def _note(self, problem: str) -> None:
        if self._problem is None:
            _logger.warning("Metrics could not be published at once: %s", problem)
        self._problem = problem


def _described(error: Exception) -> str:
    return str(error) or qualified_name(type(error))
