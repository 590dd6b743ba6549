"""How long a batch waits for the rows of many callers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LINGER_S = 0.002
_PATIENCE_S = 0.1


class Gathering:
    """The waiting of a source that many callers feed.

    Callers that wait for their results come back with their next row soon after. So a batch is not closed at the
    first row but when as many rows have arrived as there were callers a moment ago, or when the oldest row has
    waited for `linger_s`. While no caller waits more rows are on their way: then the oldest waits for `patience_s`.

    Args:
        linger_s: Longest wait for other callers, in seconds; by default so short that nobody notices.
        callers_wait: Whoever adds a row waits for its result; else callers say with `waiting` when they do.
        capacity: No more rows than this are ever unanswered.

    Attributes:
        wanted: The most rows that were asked for at a time.
        ended: No row will follow.
        error: None: nothing is read from elsewhere.
    """

    def __init__(self, linger_s: float | None, callers_wait: bool, capacity: int) -> None:
        self._linger_s = _LINGER_S if linger_s is None else linger_s
        self._patience_s = _PATIENCE_S if linger_s is None else linger_s
        self._lock = threading.Lock()  # Faster to enter than a condition.
        self._arrived = threading.Condition(self._lock)
        self._oldest = 0.0
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
        """Whether there are rows."""
        return self._count() > 0

    def read_ahead(self, items: int) -> None:
        """Rows come when they are added."""

    def close(self) -> None:
        """Takes no more rows; those inside are still given out."""
        with self._lock:
            self._closed = True
            self._arrived.notify_all()

    def _count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def _unanswered(self) -> int:
        """How many rows were added and have no answer yet."""
        raise NotImplementedError

    def _came(self) -> None:
        """Takes note of rows that came."""
        self._most_unanswered = max(self._most_unanswered, self._unanswered())
        if self._wake_at is not None and self._count() >= self._wake_at:
            self._arrived.notify()

    def _wait_for_enough(self, most: int, until: float | None) -> None:
        """Waits until there are as many rows as can be expected, or the oldest has waited for long enough."""
        expected = max(1, min(most, self._most_unanswered))
        self._most_unanswered = self._unanswered()
        began = time.monotonic()
        while not self._closed:
            count = self._count()
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
