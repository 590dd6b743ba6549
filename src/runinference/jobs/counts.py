"""How far a job is."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from runinference.prediction import Failure

_MOST_REASONS = 100


class Counts:
    """Rows done and failed so far, counted from any thread and shown as they change."""

    def __init__(self, show: Callable[[int, int], Any]) -> None:
        self.done = self.failed = 0
        self.reasons: Counter[str] = Counter()
        self._show = show
        self._lock = threading.Lock()

    def add_done(self, rows: int) -> None:
        """Adds rows that are written."""
        with self._lock:
            self.done += rows
        self._show(self.done, self.failed)

    def add_failed(self, failure: Failure) -> None:
        """Adds a row that was set aside."""
        reason = f"{failure.stage}: {failure.error_type}: {failure.message.partition(chr(10))[0]}"
        with self._lock:
            self.failed += 1
            # Messages may name the row, so that there are as many as rows: only so many are told apart.
            known = reason in self.reasons or len(self.reasons) < _MOST_REASONS
            self.reasons[reason if known else "other reasons"] += 1
        self._show(self.done, self.failed)
