"""Elements that come when they come, however long the answers take, and how long each of them waits for its answer.

A loop that sends the next element when it has the answer to the last one slows down with what it measures, and so
never sees a queue. Here the times of arrival are set beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Done = Callable[[Any, BaseException | None], None]

# An overloaded engine is given up when it has had so many times as long as the elements took to arrive, and a while.
_PATIENCE, _GRACE_S = 3.0, 5.0
_LOOK_S = 0.002


class Clock(Protocol):
    """What tells and passes time."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class Server(Protocol):
    """What answers elements."""

    def send(self, element: Any, done: Done) -> None:
        """Has an element answered and returns before that; `done` is given the answer, or why there is none."""

    def drop(self) -> None:
        """Gives up all elements that were not begun, and waits for the others."""


@dataclass(frozen=True)
class Level:
    """What came of elements at one rate.

    Attributes:
        offered: Elements per second that arrived.
        achieved: Elements per second that were answered, from the first arrival to the last answer.
        latencies_s: Seconds of each element from its arrival to its answer. An element that was given up counts with
            the time that it had waited, so that the true figures are no lower.
        answers: The answers in the order of the elements; `None` for those that were given up.
        unanswered: How many were given up.
    """

    offered: float
    achieved: float
    latencies_s: Array
    answers: Sequence[Any]
    unanswered: int

    def latency_s(self, percent: float) -> float:
        """A percentile of the latencies; NaN if there were no elements."""
        return float(np.percentile(self.latencies_s, percent)) if len(self.latencies_s) else float("nan")


def poisson_arrivals(count: int, rate: float, seed: int) -> Array:
    """When elements arrive that come independently of each other, in seconds from the start, of shape (count,).

    The first arrives at the start. The same seed gives the same pattern at every rate.

    Args:
        count: How many elements.
        rate: How many in a second, in the mean.
        seed: Which of the patterns.
    """
    if not rate > 0:
        raise ValueError(f"The rate must be more than 0 elements per second, got {rate}")
    if not count:
        return np.zeros(0)
    gaps = np.random.default_rng(seed).exponential(1.0, count - 1)
    # Few gaps may be longer or shorter in the mean than they should; the rate is to be what is said.
    mean = gaps.mean() if count > 1 else 1.0
    times: Array = np.concatenate([[0.0], np.cumsum(gaps / mean)]) / rate
    return times


def run_level(server: Server, elements: Sequence[Any], arrivals: Array, clock: Clock | None = None) -> Level:
    """Sends each element at its time, and waits for the answers.

    Where the sender is late it sends at once; the delay is part of the latency.

    Args:
        server: What answers.
        elements: The elements.
        arrivals: The time of each, in seconds from the start, ascending.
        clock: What tells and passes time.

    Raises:
        BaseException: What an element raised, of the first of them.
    """
    clock = clock or SystemClock()
    answers = _Answers(len(elements), clock)
    last = float(arrivals[-1]) if len(arrivals) else 0.0
    give_up = clock.now() + _PATIENCE * last + _GRACE_S
    start = clock.now()
    for index, (element, arrival) in enumerate(zip(elements, arrivals, strict=True)):
        wait = start + float(arrival) - clock.now()
        if wait > 0:
            clock.sleep(wait)
        if clock.now() >= give_up or answers.errors:
            break
        server.send(element, answers.taker(index))
    while answers.open and clock.now() < give_up:
        clock.sleep(_LOOK_S)
    answers.close()
    server.drop()
    if answers.errors:
        raise answers.errors[0]
    return _level(answers, arrivals, start, clock.now())


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


class _Answers:
    """Takes answers, and when they came, from whatever thread."""

    def __init__(self, count: int, clock: Clock) -> None:
        self._clock = clock
        self._closed = False
        self._came: list[int] = []
        self.values: list[Any] = [None] * count
        self.times = np.full(count, np.nan)
        self.errors: list[BaseException] = []

    @property
    def open(self) -> bool:
        """Whether it is worth to wait."""
        return len(self._came) < len(self.values) and not self.errors

    def taker(self, index: int) -> Done:
        def take(answer: Any, error: BaseException | None) -> None:
            now = self._clock.now()
            if self._closed:
                return
            if error is not None:
                self.errors.append(error)
                return
            self.values[index], self.times[index] = answer, now
            self._came.append(index)  # Which several threads may do at a time; counting they may not.

        return take

    def close(self) -> None:
        """Takes no more."""
        self._closed = True


def _level(answers: _Answers, arrivals: Array, start: float, end: float) -> Level:
    answered = ~np.isnan(answers.times)
    done = np.where(answered, answers.times, end)
    count, took = int(answered.sum()), float(done[answered].max() - start) if answered.any() else 0.0
    span = float(arrivals[-1]) if len(arrivals) else 0.0
    return Level(
        offered=(len(arrivals) - 1) / span if span > 0 else float("nan"),
        achieved=count / took if took > 0 else float("nan"),
        latencies_s=done - start - arrivals,
        answers=answers.values,
        unanswered=len(arrivals) - count,
    )
