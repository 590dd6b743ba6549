"""Single rows that callers on many threads submit, gathered so that they share batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from runinference.errors import EngineClosedError

_LINGER_S = 0.002
_PATIENCE_S = 0.1


class Answer(Protocol):
    """What is told the result of a row; a `concurrent.futures.Future` is one."""

    def set_running_or_notify_cancel(self) -> bool:
        """Whether the result is still wanted."""

    def set_result(self, result: Any) -> None:
        """The row worked."""

    def set_exception(self, exception: BaseException) -> None:
        """The row failed."""


class Inbox:
    """A source fed by `add`.

    Callers that wait for their results come back with their next row soon after. So a batch is not closed at the
    first row but when as many rows have arrived as there were callers a moment ago, or when the oldest row has
    waited for `linger_s`. While no caller waits more rows are on their way: then the oldest waits for `patience_s`.

    Args:
        linger_s: Longest wait for other callers, in seconds; by default so short that nobody notices.
        callers_wait: Whoever adds a row waits for its result; else callers say with `waiting` when they do.
        capacity: `add` waits while so many rows are unanswered.
        most: Rows that are given out at a time.

    Attributes:
        wanted: The most rows that were asked for at a time.
    """

    def __init__(
        self, linger_s: float | None = None, callers_wait: bool = True, capacity: int = 65536, most: int = 65536
    ) -> None:
        self._linger_s = _LINGER_S if linger_s is None else linger_s
        self._patience_s = _PATIENCE_S if linger_s is None else linger_s
        self._capacity = capacity
        self._most = most
        self._lock = threading.Lock()  # Faster to enter than a condition, of which there are two for it.
        self._arrived = threading.Condition(self._lock)
        self._answered = threading.Condition(self._lock)
        # Two, because a pair for each row is one more thing for Python's collector to look at.
        self._rows: deque[Any] = deque()
        self._answers: deque[Answer] = deque()
        self._oldest = 0.0
        self._unanswered = 0
        # Where rows may wait for long, they wait for a full batch until it is known how many callers there are.
        self._most_unanswered = 0 if linger_s is None or callers_wait else capacity
        self._expects_more_after_a_rest = linger_s is not None and not callers_wait
        self._waiting = int(callers_wait)
        self._hurrying = 0
        self._wake_at: int | None = None
        self._closed = False
        self.wanted = 1
        self.ended = False
        self.error: BaseException | None = None

    def add(self, example: Any, answer: Answer) -> None:
        """Adds a row; waits while too many are unanswered.

        Raises:
            EngineClosedError: The engine is closed.
        """
        with self._lock:
            while self._unanswered >= self._capacity and not self._closed:
                self._answered.wait()
            if self._closed:
                raise EngineClosedError("The engine is closed; make a new one")
            if not self._rows:
                self._oldest = time.monotonic()
            self._rows.append(example)
            self._answers.append(answer)
            self._unanswered += 1
            if self._unanswered > self._most_unanswered:
                self._most_unanswered = self._unanswered
            if len(self._rows) == self._wake_at:
                self._arrived.notify()

    @contextmanager
    def waiting(self, hurry: bool = False) -> Iterator[None]:
        """In this context a caller waits for its results and adds nothing.

        Args:
            hurry: Its rows wait for those of others no longer than anybody would notice.
        """
        with self._lock:
            self._waiting += 1
            self._hurrying += hurry
            if self._waiting == 1 or (hurry and self._hurrying == 1):
                self._arrived.notify()
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                self._hurrying -= hurry

    @property
    def at_hand(self) -> bool:
        """Whether rows were submitted."""
        return bool(self._rows)

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Up to `most` rows with those who wait for them."""
        with self._lock:
            most = min(most, self._most)
            self.wanted = max(self.wanted, most)
            self._wait_for_enough(most, until)
            count = min(most, len(self._rows))
            taken = [(self._rows.popleft(), self._answers.popleft()) for _ in range(count)]
            arrived, self._oldest = self._oldest, time.monotonic()
            self.ended = self._closed and not self._rows
        running = [(example, answer) for example, answer in taken if answer.set_running_or_notify_cancel()]
        if len(running) < len(taken):
            self.answered(len(taken) - len(running))
        return running, arrived

    def _wait_for_enough(self, most: int, until: float | None) -> None:
        """Waits until there are as many rows as can be expected, or the oldest has waited for long enough."""
        expected = max(1, min(most, self._most_unanswered))
        self._most_unanswered = self._unanswered
        began = time.monotonic()
        while not self._closed:
            count = len(self._rows)
            enough = expected if self._waiting else most
            if count >= enough:
                return
            deadline = None
            if count:
                deadline = self._oldest + self._longest_wait_s
            elif self._waiting and time.monotonic() < began + self._longest_wait_s:
                deadline = began + self._longest_wait_s
            else:
                enough = 1
                if not self._expects_more_after_a_rest:
                    expected = 1
            if until is not None:
                deadline = until if deadline is None else min(deadline, until)
            patience = None if deadline is None else deadline - time.monotonic()
            if patience is not None and patience <= 0:
                return
            self._wake_at = enough
            self._arrived.wait(patience)
            self._wake_at = None

    @property
    def _longest_wait_s(self) -> float:
        """How long the oldest row may wait for others, as things stand."""
        if self._hurrying:
            return min(self._linger_s, _LINGER_S)
        return self._linger_s if self._waiting else self._patience_s

    def read_ahead(self, items: int) -> None:
        """Rows come when they are submitted."""

    def answered(self, count: int) -> None:
        """Takes note that `count` rows have their results."""
        with self._lock:
            full = self._unanswered >= self._capacity
            self._unanswered -= count
            if full:
                self._answered.notify_all()

    def close(self) -> None:
        """Takes no more rows; those inside are still given out."""
        with self._lock:
            self._closed = True
            self._arrived.notify_all()
            self._answered.notify_all()
