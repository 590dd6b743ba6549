"""Batches for several models, each formed by a batcher of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runinference.batching.batch import Batch, Batcher
from runinference.batching.rows import Rows


class RoutedRows(Rows):
    """Rows of the input with what each model is given of them.

    Attributes:
        parts: The models by their numbers, with their rows.
    """

    __slots__ = ("parts",)

    def __init__(self, rows: Rows, parts: Sequence[tuple[int, Rows]]) -> None:
        super().__init__(rows.data, rows.index, rows.originals, rows.sizes)
        self.parts = parts


@dataclass(slots=True)
class _Branch:
    batcher: Batcher
    arrivals: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def oldest(self) -> int | None:
        """How many rows the input had given before the oldest row that waits here."""
        return self.arrivals[0][0] if self.arrivals else None

    def taken(self, count: int) -> None:
        while count:
            position, waiting = self.arrivals.popleft()
            if waiting > count:
                self.arrivals.appendleft((position + count, waiting - count))
                return
            count -= waiting


class RoutedBatcher:
    """Gives the rows of each model to a batcher of its own.

    A model that is rarely asked for could hold back the order of the output for ever, so its rows go in a batch that
    is not full once `lookahead` rows for others came after them.

    Args:
        make: Makes the batcher of a model, which is called when its first rows come.
        lookahead: How many rows of the input may follow a row that waits.
    """

    def __init__(self, make: Callable[[int], Batcher], lookahead: Callable[[], int]) -> None:
        self._make = make
        self._lookahead = lookahead
        self._branches: dict[int, _Branch] = {}
        self._count = 0
        self._first = 0

    def add(self, rows: Rows, now: float) -> None:
        """Takes in rows that arrived at `now`; unless there are none, they are `RoutedRows`."""
        if not isinstance(rows, RoutedRows):
            return
        for unit, part in rows.parts:
            if not len(part):
                continue
            branch = self._branches.get(unit)
            if branch is None:
                branch = self._branches[unit] = _Branch(self._make(unit))
            branch.batcher.add(part, now)
            branch.arrivals.append((self._count, len(part)))
        self._count += len(rows)

    def poll(self, now: float) -> Batch | None:
        """The next batch of any model that is full, or has waited long enough."""
        units = list(self._branches)
        for step in range(len(units)):  # Each in turn, so that a model with many rows does not keep the others waiting.
            position = (self._first + step) % len(units)
            batch = self._branches[units[position]].batcher.poll(now)
            if batch is not None:
                self._first = position + 1
                return self._given(units[position], batch)
        unit = self._with_the_oldest_row()
        oldest = None if unit is None else self._branches[unit].oldest
        if unit is None or oldest is None or self._count - oldest <= self._lookahead():
            return None
        batch = self._branches[unit].batcher.flush()
        assert batch is not None
        batch.reason = "bucket"
        return self._given(unit, batch)

    def flush(self) -> Batch | None:
        """The next batch of what is left, when no row will follow."""
        unit = self._with_the_oldest_row()
        if unit is None:
            return None
        batch = self._branches[unit].batcher.flush()
        assert batch is not None
        return self._given(unit, batch)

    def next_deadline(self) -> float | None:
        """When the oldest row of any model must go."""
        deadlines = [branch.batcher.next_deadline() for branch in self._branches.values()]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    @property
    def room(self) -> int:
        """Rows to read at once; nobody knows for which model they will be, so this is only a convenient number."""
        return max((branch.batcher.room for branch in self._branches.values()), default=64)

    def _with_the_oldest_row(self) -> int | None:
        waiting = {unit: branch.oldest for unit, branch in self._branches.items() if branch.oldest is not None}
        return min(waiting, key=waiting.__getitem__) if waiting else None

    def _given(self, unit: int, batch: Batch) -> Batch:
        self._branches[unit].taken(len(batch.rows))
        batch.unit = unit
        return batch
