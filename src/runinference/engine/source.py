"""Where rows come from: an iterable read in the caller's thread, or read ahead in a thread of its own."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

import numpy as np

_QUICK_READ_S = 0.002
_SLOW_READ_S = 0.01
_MOST_AT_ONCE = 4096


class Source(Protocol):
    """Gives items in their order.

    Attributes:
        ended: No item will follow.
        error: What the iterable raised in place of the next item, once all before it have been taken.
    """

    ended: bool
    error: BaseException | None

    @property
    def at_hand(self) -> bool:
        """Whether `take` would give an item without waiting."""

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Up to `most` items and the time at which the oldest of them arrived.

        Waits for at least one item, but not longer than `until`, a time of `time.monotonic()`. Without a limit it
        waits until there is an item or the end.
        """

    def read_ahead(self, items: int) -> None:
        """Allows so many items to be read before they are taken, where the source reads ahead."""

    def close(self) -> None:
        """Stops reading and closes the iterable."""


def open_source(items: Iterable[Any], threads: bool, max_delay_s: float | None) -> Source:
    """The source that suits `items`.

    A sequence in memory never makes anybody wait, so it is read in place. Any other iterable may stall, and rows that
    were read before would be stuck behind it, so it gets a thread, unless `threads` forbids that.
    """
    if isinstance(items, (list, tuple, range, np.ndarray)):
        return SequenceSource(items)
    return ThreadSource(iter(items)) if threads else IteratorSource(iter(items), max_delay_s)


class SequenceSource:
    """Reads a list, tuple, range or array by slices."""

    def __init__(self, items: Any) -> None:
        self._items = items
        self._next = 0
        self._count = len(items)
        self.ended = self._count == 0
        self.error: BaseException | None = None

    @property
    def at_hand(self) -> bool:
        """Until the end there always is one."""
        return not self.ended

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Up to `most` items; never waits."""
        taken = list(self._items[self._next : self._next + most])
        self._next += len(taken)
        self.ended = self._next >= self._count
        return taken, time.monotonic()

    def read_ahead(self, items: int) -> None:
        """Nothing is read ahead."""

    def close(self) -> None:
        """Lets go of the sequence."""
        self._items, self._count, self.ended = (), 0, True


class IteratorSource:
    """Reads an iterator in the caller's thread, item by item, so that a debugger can step into it.

    It cannot be interrupted while the iterator makes it wait, but it looks at the clock between items.
    """

    def __init__(self, items: Iterator[Any], max_delay_s: float | None) -> None:
        self._items = items
        self._max_delay_s = max_delay_s
        self.ended = False
        self.error: BaseException | None = None

    @property
    def at_hand(self) -> bool:
        """Nobody can tell without asking the iterator."""
        return False

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Up to `most` items, fewer when the first has waited `max_delay_s` for the others."""
        taken: list[Any] = []
        arrived = time.monotonic()
        try:
            while len(taken) < most:
                taken.append(next(self._items))
                now = time.monotonic()
                if len(taken) == 1:
                    arrived = now
                    until = now + self._max_delay_s if until is None and self._max_delay_s is not None else until
                if until is not None and now >= until:
                    break
        except StopIteration:
            self.ended = True
        except Exception as error:
            self.ended, self.error = True, error
        return taken, arrived

    def read_ahead(self, items: int) -> None:
        """Nothing is read ahead."""

    def close(self) -> None:
        """Closes the iterator."""
        self.ended = True
        _close(self._items)


class ThreadSource:
    """Reads an iterator in a thread of its own, ahead of the taker by a bounded number of items.

    Items are handed over in runs whose length follows the speed of the iterator, so that a fast one costs next to
    nothing for each item. A run that stalls half-way is visible to the taker, who may help himself to the items read
    so far: a slow iterator never holds back what it has already given.
    """

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._changed = threading.Condition()
        self._runs: deque[tuple[list[Any], float]] = deque()
        self._waiting = 0
        self._capacity = 1
        self._run: list[Any] = []
        self._run_taken = 0
        self._run_asked = 1
        self._run_since = time.monotonic()
        self._closed = False
        self._finished = False
        self.ended = False
        self.error: BaseException | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._read,), name="runinference-read", daemon=True)
        self._thread.start()

    @property
    def at_hand(self) -> bool:
        """Whether the thread has read some."""
        return bool(self._runs)

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Up to `most` items."""
        with self._changed:
            while not self._runs and not self._finished and not self._help_yourself(most):
                patience = None if until is None else until - time.monotonic()
                if patience is None and self._run_asked > 1:
                    patience = _SLOW_READ_S  # Of a run of several items nobody says when the first is there.
                elif patience is not None and patience <= 0:
                    return [], time.monotonic()
                self._changed.wait(patience)
            if not self._runs:
                self.ended = True
                return [], time.monotonic()
            taken, arrived = self._pop(most)
            self.ended = self._finished and not self._runs
            self._changed.notify_all()
            return taken, arrived

    def read_ahead(self, items: int) -> None:
        """Lets the thread read so many items ahead."""
        with self._changed:
            self._capacity = max(1, items)
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the thread as soon as the iterator lets it, and closes the iterator."""
        with self._changed:
            self._closed = self.ended = True
            self._runs.clear()
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=0.2)

    def _pop(self, most: int) -> tuple[list[Any], float]:
        taken, arrived = self._runs.popleft()
        if len(taken) > most:
            self._runs.appendleft((taken[most:], arrived))
            taken = taken[:most]
        else:
            while self._runs and len(taken) + len(self._runs[0][0]) <= most:
                taken = taken + self._runs.popleft()[0]
        self._waiting -= len(taken)
        return taken, arrived

    def _help_yourself(self, most: int) -> bool:
        """Takes over what the reading thread has of a run that stalls; called with the lock held."""
        now = time.monotonic()
        if now - self._run_since < _SLOW_READ_S:
            return False
        # Only the reading thread appends; a slice of the list is a consistent copy of what is there.
        items = self._run[self._run_taken : self._run_taken + most]
        if not items:
            return False
        self._run_taken += len(items)
        self._runs.append((items, self._run_since))
        self._waiting += len(items)
        return True

    def _read(self) -> None:
        at_once = 1
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._waiting < self._capacity)
                    if self._closed:
                        return
                    self._run, self._run_taken = [], 0
                    self._run_since = start = time.monotonic()
                    self._run_asked = min(at_once, max(1, self._capacity - self._waiting))
                self._run.extend(islice(self._items, self._run_asked))
                seconds = time.monotonic() - start
                if not self._hand_over(self._run_asked):
                    return
                if seconds < _QUICK_READ_S:
                    at_once = min(2 * at_once, _MOST_AT_ONCE)
                elif seconds > _SLOW_READ_S:
                    at_once = 1
        except BaseException as error:
            self._hand_over(None, error)
        finally:
            _close(self._items)

    def _hand_over(self, asked: int | None, error: BaseException | None = None) -> bool:
        """Makes the run just read available, of `asked` items or cut short by `error`; says whether more may follow."""
        with self._changed:
            items = self._run[self._run_taken :]
            ended = asked is None or len(self._run) < asked
            if items:
                self._runs.append((items, time.monotonic() if len(items) == 1 else self._run_since))
                self._waiting += len(items)
            self._run, self._run_taken = [], 0
            if ended:
                self._finished, self.error = True, error
            self._changed.notify_all()
            return not ended and not self._closed


def _close(items: Any) -> None:
    # A generator is closed so that its `finally` runs; a file or connection belongs to who opened it.
    if isinstance(items, Generator):
        items.close()
