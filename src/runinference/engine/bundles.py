"""The rows of all bundles, as a source."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from runinference.engine.bundle import Bundle
from runinference.engine.gathering import Gathering
from runinference.errors import EngineClosedError

# Larger batches gain nothing, and hold back more rows.
_LARGEST_BATCH = 2048


class Bundles(Gathering):
    """A source fed by bundles.

    Args:
        linger_s: Longest wait for rows of other bundles, in seconds; by default so short that nobody notices.
        smallest: Rows that a batch has at least, where there are so many.
        whole_batches: What is added are batches.
    """

    def __init__(self, linger_s: float | None = None, smallest: int | None = None, whole_batches: bool = False) -> None:
        self._largest = max(_LARGEST_BATCH, smallest or 0)
        super().__init__(linger_s, callers_wait=False, capacity=self._largest)
        self._whole_batches = whole_batches
        self._ready: deque[Bundle] = deque()  # Those that may have rows.
        self._out = 0

    def news(self, bundle: Bundle) -> None:
        """Hears that a bundle has rows.

        Raises:
            EngineClosedError: The engine is closed.
        """
        with self._lock:
            if self._closed:
                raise EngineClosedError("The engine is closed; make a new one")
            if bundle not in self._ready:
                if not self._ready:
                    self._oldest = time.monotonic()
                self._ready.append(bundle)
            self._came()

    def forget(self, bundle: Bundle) -> None:
        """Takes no more rows of a bundle."""
        with self._lock:
            if bundle in self._ready:
                self._ready.remove(bundle)

    def take(self, most: int, until: float | None) -> tuple[list[Any], float]:
        """Chunks of up to `most` rows together."""
        with self._lock:
            most = min(most, self._largest)
            self.wanted = max(self.wanted, most)
            self._wait_for_enough(most, until)
            chunks = []
            while most > 0 and self._ready:
                bundle = self._ready[0]
                if bundle.is_waiting:
                    chunks.append(bundle.take(most, self._whole_batches))
                    most -= len(chunks[-1].examples)
                    if self._whole_batches:
                        break
                else:
                    bundle.ask_for_news()
                    if not bundle.is_waiting:  # Nor was a row added before it knew.
                        self._ready.popleft()
            self._out += sum(len(chunk.examples) for chunk in chunks)
            arrived, self._oldest = self._oldest, time.monotonic()
            self.ended = self._closed and not any(bundle.is_waiting for bundle in self._ready)
        return chunks, arrived

    def answered(self, count: int) -> None:
        """Takes note that `count` rows have their results."""
        with self._lock:
            self._out -= count

    def _count(self) -> int:
        return sum(max(0, bundle.added - bundle.taken) for bundle in self._ready)

    def _unanswered(self) -> int:
        return self._out + self._count()
