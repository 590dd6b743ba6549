"""How far a run was at many moments, in bounded memory however long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self

FIRST_INTERVAL_S: Final = 0.1
MOST_POINTS: Final = 500


class Point(NamedTuple):
    """How far a run was at one moment.

    Attributes:
        elapsed_s: Seconds since the start.
        done: Rows that had a prediction.
        failed: Rows that were set aside.
        calls: How often the model had been called.
        model_s: Seconds spent in the model, over all of its copies.
    """

    elapsed_s: float
    done: int
    failed: int
    calls: int = 0
    model_s: float = 0.0


class Timeline:
    """Takes a point now and then, from a thread of its own.

    Points are 0.1 s apart at first. When there are more than 500, every second one is dropped and the distance doubles.

    Args:
        look: Tells `(done, failed, calls, model_s)` at this moment.
        clock: Tells the time in seconds; tests bring their own.

    Attributes:
        points: The points so far.
        interval_s: Seconds between two points.
    """

    def __init__(
        self, look: Callable[[], tuple[int, int, int, float]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.points: list[Point] = []
        self.interval_s = FIRST_INTERVAL_S
        self._look = look
        self._clock = clock
        self._started = clock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Takes a point."""
        self.points.append(Point(self._clock() - self._started, *self._look()))
        if len(self.points) > MOST_POINTS:  # An odd number, so that the last point stays.
            self.points = self.points[::2]
            self.interval_s *= 2

    def __enter__(self) -> Self:
        self._started = self._clock()
        self.take()
        self._thread = threading.Thread(target=self._run, name="runinference-timeline", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.take()

    def _run(self) -> None:
        while not self._ended.wait(self.interval_s):
            self.take()
