"""Runs an iterator in a thread of its own, a bounded number of items ahead of whoever takes them."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_DEPTH = 1
_PATIENCE_S = 2.0


class Lane(Iterator[T], Generic[T]):
    """Takes items out of an iterator in a thread and gives them to one other thread, in their order.

    The iterator is only asked for an item when less than `depth` are waiting. What it raises comes out here, after
    the items before.

    Args:
        items: The iterator; after `stop` it may be used elsewhere.
        depth: How many items may wait.
    """

    def __init__(self, items: Iterator[T], depth: int = _DEPTH) -> None:
        self._items = items
        self._depth = depth
        self._changed = threading.Condition()
        self._ready: deque[T] = deque()
        self._stopping = False
        self._finished = False
        self._error: BaseException | None = None
        self.exhausted = False
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="runinference-model", daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        """The next item.

        Raises:
            StopIteration: The iterator is exhausted, or the lane was stopped and what was waiting has been taken.
        """
        with self._changed:
            while not self._ready and not self._finished:
                self._changed.wait()
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            raise StopIteration

    def stop(self) -> None:
        """Asks for no further item; what is on its way still comes out."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stops and waits for the thread, but not for ever: a model may hang."""
        self.stop()
        self._thread.join(timeout=_PATIENCE_S)

    def _run(self) -> None:
        try:
            while self._wait_for_room():
                try:
                    item = next(self._items)
                except StopIteration:
                    self.exhausted = True
                    return
                with self._changed:
                    self._ready.append(item)
                    self._changed.notify_all()
                del item
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()

    def _wait_for_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or len(self._ready) < self._depth)
            return not self._stopping
