"""Batches out of the rows of a feed, as they become ready."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from runinference.batching import Batch, Batcher
from runinference.engine.feed import Feed
from runinference.engine.stages import Outcome

_NO_DEADLINE = -math.inf


class Forming:
    """Moves rows from a feed to a batcher until a batch is ready.

    Args:
        feed: Where prepared rows come from.
        batcher: Forms the batches.
        load: Loads the model, if it is not loaded yet; called once there is something to run.
        stopped: Whether to stop.
    """

    def __init__(self, feed: Feed, batcher: Batcher, load: Callable[[], Any], stopped: Callable[[], bool]) -> None:
        self.feed = feed
        self._batcher = batcher
        self._load = load
        self._stopped = stopped
        self._loaded_at: float | None = None

    def next(self, wait: bool = True) -> Batch | Outcome | None:
        """The next batch, or the rows that failed on the way to it.

        Returns:
            `None` at the end or, without waiting for rows, where there is no batch yet.
        """
        feed, batcher = self.feed, self._batcher
        while not self._stopped():
            ended = feed.ended
            batch = batcher.flush() if ended else batcher.poll(_NO_DEADLINE)
            if batch is not None or ended:
                return batch
            # Rows whose time is up still take along what is there to be read, but wait for nothing more.
            prepared, arrived = feed.take(batcher.room, batcher.next_deadline() if wait else time.monotonic())
            if self._loaded_at is None and len(prepared.rows):
                # What is read meanwhile has not waited for a batch but for this.
                self._load()
                self._loaded_at = time.monotonic()
            batcher.add(prepared.rows, max(arrived, self._loaded_at or arrived))
            if prepared.failures:
                return Outcome.of_failures(prepared.failures)
            batch = None if feed.ended or feed.at_hand else batcher.poll(time.monotonic())
            if batch is not None:
                return batch
            if not wait and not len(prepared.rows):
                return None
        return None
