"""Waiting for figures that a service tells some time after the fact."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

ValueT = TypeVar("ValueT")


class Waiting:
    """Asks again and again, for at most so long in all.

    Args:
        patience_s: How long, from now on.
        pause_s: How long between two questions.
        clock: Tells seconds, from any start.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        patience_s: float = 300.0,
        pause_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._deadline_s = clock() + patience_s
        self._pause_s = pause_s
        self._clock = clock
        self.sleep = sleep

    def until(self, read: Callable[[], ValueT], good: Callable[[ValueT], bool]) -> tuple[ValueT, bool]:
        """The first answer that is good, or the last before time is up; and whether it is good.

        Args:
            read: Asks.
            good: Whether an answer will do. It sees each answer once, in their order.
        """
        while True:
            value = read()
            if good(value):
                return value, True
            if self._clock() + self._pause_s > self._deadline_s:
                return value, False
            self.sleep(self._pause_s)
