"""Not to show a warning while a model runs, in however many threads."""

from __future__ import annotations

import threading
import warnings
from types import TracebackType
from typing import Any, cast


class MutedWarning:
    """A context in which warnings whose text starts with `message` are not shown.

    `warnings.catch_warnings` sets the filters of the whole process back to what they were when it was entered, so of
    two threads that overlap the first to leave takes the filter from the other. Here the last one takes it away, and
    leaves alone what others have set in the meantime.
    """

    def __init__(self, message: str) -> None:
        self._message = message
        self._lock = threading.Lock()
        self._inside = 0
        self._added: tuple[Any, ...] | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._added = self._add()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._added in _filters():
                _filters().remove(self._added)

    def _add(self) -> tuple[Any, ...] | None:
        """The filter that was added; None where somebody else has set the same."""
        before = list(_filters())
        warnings.filterwarnings("ignore", message=self._message)
        added = _filters()[0]
        return None if added in before else added


def _filters() -> list[Any]:
    return cast("list[Any]", warnings.filters)
