"""Batches that the input already consists of."""

from __future__ import annotations

from collections import deque

from runinference.batching.batch import Batch
from runinference.batching.rows import Rows


class ReadyMadeBatcher:
    """Passes each run of rows on as one batch, for handlers that skip batching."""

    def __init__(self) -> None:
        self._ready: deque[Batch] = deque()

    def add(self, rows: Rows, now: float) -> None:
        """Takes in one batch; an empty one is dropped."""
        if len(rows):
            self._ready.append(Batch(rows, "full", 1.0, now))

    def poll(self, now: float) -> Batch | None:
        """The next batch."""
        return self.flush()

    def flush(self) -> Batch | None:
        """The next batch."""
        return self._ready.popleft() if self._ready else None

    def next_deadline(self) -> float | None:
        """Never: nothing waits here."""
        return None

    @property
    def room(self) -> int:
        """One batch at a time."""
        return 1
