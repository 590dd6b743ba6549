"""Single rows that callers on many threads submit, gathered so that they share batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any

from runinference.engine.gathering import Gathering
from runinference.errors import EngineClosedError


class Inbox(Gathering):
    """A source fed by `add`, whose callers wait for their results.

    Args:
        linger_s: Longest wait for other callers, in seconds; by default so short that nobody notices.
        capacity: `add` waits while so many rows are unanswered.
    """

    def __init__(self, linger_s: float | None = None, capacity: int = 65536) -> None:
        super().__init__(linger_s, callers_wait=True, capacity=capacity)
        self._capacity = capacity
        self._answered = threading.Condition(self._lock)
        self._rows: deque[tuple[Any, Future[Any]]] = deque()
        self._open = 0

    def add(self, example: Any, future: Future[Any]) -> None:
        """Adds a row; waits while too many are unanswered.

        Raises:
            EngineClosedError: The engine is closed.
        """
        with self._lock:
            while self._open >= self._capacity and not self._closed:
                self._answered.wait()
            if self._closed:
                raise EngineClosedError("The engine is closed; make a new one")
            if not self._rows:
                self._oldest = time.monotonic()
            self._rows.append((example, future))
            self._open += 1
            if self._open > self._most_unanswered:
                self._most_unanswered = self._open
            if len(self._rows) == self._wake_at:
                self._arrived.notify()

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Up to `most` rows with their futures."""
        with self._lock:
            self._wait_for_enough(most, until)
            taken = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
            arrived, self._oldest = self._oldest, time.monotonic()
            self.ended = self._closed and not self._rows
        running = [(example, future) for example, future in taken if future.set_running_or_notify_cancel()]
        if len(running) < len(taken):
            self.answered(len(taken) - len(running))
        return running, arrived

    def answered(self, count: int) -> None:
        """Takes note that `count` rows have their results."""
        with self._lock:
            full = self._open >= self._capacity
            self._open -= count
            if full:
                self._answered.notify_all()

    def close(self) -> None:
        """Takes no more rows; those inside are still given out."""
        super().close()
        with self._lock:
            self._answered.notify_all()

    def _count(self) -> int:
        return len(self._rows)

    def _unanswered(self) -> int:
        return self._open
