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
        self._enough = 1
        self._taker_waits = False
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
            self._most_unanswered = max(self._most_unanswered, self._unanswered)
            if self._taker_waits and (len(self._rows) >= self._enough or len(self._rows) == 1):
                self._arrived.notify()
        return future

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Up to `most` rows with their futures."""
        with self._arrived:
            expected = max(1, min(most, self._most_unanswered))
            self._enough = expected
            self._most_unanswered = self._unanswered
            while len(self._rows) < expected and not self._closed:
                patience = None
                if self._rows:
                    patience = self._oldest + self._linger_s - time.monotonic()
                    if patience <= 0:
                        break
                self._taker_waits = True
                self._arrived.wait(patience)
                self._taker_waits = False
            taken = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
            arrived, self._oldest = self._oldest, time.monotonic()
            self.ended = self._closed and not self._rows
            return taken, arrived

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
