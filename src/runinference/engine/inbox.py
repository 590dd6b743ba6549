"""Single rows that callers on many threads submit, gathered so that they share batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any

from runinference.errors import EngineClosedError

_LINGER_S = 0.002


class Inbox:
    """A source fed by `put`.

    Callers that wait for their results come back with their next row soon after. So a batch is not closed at the
    first row but when as many rows have arrived as there were callers a moment ago, or when the oldest row has
    waited for `linger_s`.

    Args:
        linger_s: Longest wait for other callers, in seconds.
        capacity: `put` waits while so many rows are unanswered.
    """

    def __init__(self, linger_s: float | None = None, capacity: int = 65536) -> None:
        self._linger_s = _LINGER_S if linger_s is None else linger_s
        self._capacity = capacity
        lock = threading.Lock()
        self._arrived = threading.Condition(lock)
        self._answered = threading.Condition(lock)
        self._rows: deque[tuple[Any, Future[Any]]] = deque()
        self._oldest = 0.0
        self._unanswered = 0
        self._most_unanswered = 0
        self._wake_at: int | None = None
        self._closed = False
        self.ended = False
        self.error: BaseException | None = None

    def put(self, example: Any) -> Future[Any]:
        """Adds a row; waits while too many are unanswered.

        Raises:
            EngineClosedError: The engine is closed.
        """
        future: Future[Any] = Future()
        with self._arrived:
            while self._unanswered >= self._capacity and not self._closed:
                self._answered.wait()
            if self._closed:
                raise EngineClosedError("The engine is closed; submit() needs an open one")
            if not self._rows:
                self._oldest = time.monotonic()
            self._rows.append((example, future))
            self._unanswered += 1
            if self._unanswered > self._most_unanswered:
                self._most_unanswered = self._unanswered
            if len(self._rows) == self._wake_at:
                self._arrived.notify()
        return future

    @property
    def at_hand(self) -> bool:
        """Whether rows were submitted."""
        return bool(self._rows)

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Up to `most` rows with their futures."""
        with self._arrived:
            expected = max(1, min(most, self._most_unanswered))
            self._most_unanswered = self._unanswered
            linger = (self._oldest if self._rows else time.monotonic()) + self._linger_s
            self._wait_for(expected, linger if until is None else min(linger, until))
            if not self._rows:
                self._wait_for(1, until)
            taken = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
            arrived, self._oldest = self._oldest, time.monotonic()
            self.ended = self._closed and not self._rows
        running = [(example, future) for example, future in taken if future.set_running_or_notify_cancel()]
        if len(running) < len(taken):
            self.answered(len(taken) - len(running))
        return running, arrived

    def read_ahead(self, items: int) -> None:
        """Rows come when they are submitted."""

    def answered(self, count: int) -> None:
        """Takes note that `count` rows have their results."""
        with self._answered:
            full = self._unanswered >= self._capacity
            self._unanswered -= count
            if full:
                self._answered.notify_all()

    def close(self) -> None:
        """Takes no more rows; those inside are still given out."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()
            self._answered.notify_all()

    def _wait_for(self, rows: int, deadline: float | None) -> None:
        """Waits for so many rows; a caller that puts one wakes the taker only when there are enough."""
        while len(self._rows) < rows and not self._closed:
            patience = None if deadline is None else deadline - time.monotonic()
            if patience is not None and patience <= 0:
                break
            self._wake_at = rows
            self._arrived.wait(patience)
            self._wake_at = None
