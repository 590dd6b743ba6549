"""Puts results back into the order of the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runinference.batching import Rows
from runinference.batching.blocks import cut, join, pick
from runinference.engine.stages import Outcome
from runinference.prediction import Failure


@dataclass(slots=True)
class Ready:
    """Results that may leave the engine.

    Attributes:
        rows: Their rows.
        results: One for each row.
        failures: Rows that were set aside, in their order.
    """

    rows: Rows
    results: Any
    failures: Sequence[Failure] = ()

    def before(self, index: int) -> Ready:
        """The part with rows that stand before `index` in the input."""
        count = sum(1 for position in self.rows.index if position < index)
        return Ready(self.rows.cut(0, count), cut(self.results, 0, count))


class Unordered:
    """Lets results through as they come."""

    def push(self, outcome: Outcome) -> Ready | None:
        """The results of `outcome`."""
        return Ready(outcome.rows, outcome.results, outcome.failures)


class Ordered:
    """Holds results back until all rows before them are done.

    How much is held is bounded by how far the batcher looks ahead.

    Attributes:
        next: Position in the input of the first row that is not done.
    """

    def __init__(self) -> None:
        self.next = 0
        self._arrived: set[int] = set()
        self._held: list[Ready] = []

    def push(self, outcome: Outcome) -> Ready | None:
        """What may leave, now that `outcome` is there."""
        rows = outcome.rows
        if not self._held and not outcome.failures and isinstance(rows.index, range) and rows.index.start == self.next:
            self.next = rows.index.stop
            return Ready(rows, outcome.results)
        self._held.append(Ready(rows, outcome.results, outcome.failures))
        self._arrived.update(rows.index)
        self._arrived.update(failure.index for failure in outcome.failures)
        start = self.next
        while self.next in self._arrived:
            self._arrived.discard(self.next)
            self.next += 1
        return self._release() if self.next > start else None

    def _release(self) -> Ready | None:
        failures = sorted((f for held in self._held for f in held.failures), key=lambda failure: failure.index)
        parts = [held for held in self._held if len(held.rows)]
        done = [failure for failure in failures if failure.index < self.next]
        later = failures[len(done) :]
        self._held = []
        if not parts:
            if later:
                self._held = [Ready(_NOTHING, [], later)]
            return Ready(_NOTHING, [], done)
        rows, results = Rows.join([part.rows for part in parts]), join([part.results for part in parts])
        index = rows.index
        if not isinstance(index, range):
            positions = sorted(range(len(rows)), key=index.__getitem__)
            if positions != list(range(len(rows))):
                rows, results = rows.pick(positions), pick(results, positions)
        ready = sum(1 for position in rows.index if position < self.next)
        if ready < len(rows) or later:
            self._held = [Ready(rows.cut(ready, len(rows)), cut(results, ready, len(rows)), later)]
        return Ready(rows.cut(0, ready), cut(results, 0, ready), done)


_NOTHING = Rows([], range(0))
