"""Rows of one caller among many, which are answered together but run in batches with the rows of the others."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from runinference.errors import EngineClosedError

if TYPE_CHECKING:
    from runinference.engine.bundles import Bundles

# So many rows are added before the others hear of them again: telling them costs more than adding.
_ROWS_UNTIL_NEWS = 32


class Failed:
    """Stands where the result of a row would be.

    Attributes:
        error: An `InferenceError` where this row failed; anything else where nothing works.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Run(NamedTuple):
    """Rows that follow each other and are done.

    Attributes:
        tag: What the caller said with all of them.
        examples: What was added; of batches `None`.
        results: Their results; or, for a row that failed, `Failed` alone.
    """

    tag: Any
    examples: list[Any]
    results: list[Any]


class Chunk(NamedTuple):
    """Rows of a bundle that were taken together.

    Attributes:
        bundle: The bundle.
        position: Of the first row in the bundle.
        examples: The rows.
    """

    bundle: Bundle
    position: int
    examples: Any


class Bundle:
    """Rows that one thread adds and takes back when they are done, in their order.

    Meanwhile they share batches with the rows of other bundles. Few rows are under way at any time, however many a
    bundle has: `add` waits where the model is slower than the caller.

    One thread adds rows and takes them back, another takes and answers them. What both touch is changed by steps that
    Python does not interrupt, so that no row costs a lock.

    Args:
        bundles: All bundles whose rows share batches.

    Attributes:
        added: How many rows were added.
        taken: How many of them were taken.
        notes: What whoever answers left for the caller to find.
    """

    def __init__(self, bundles: Bundles) -> None:
        self._bundles = bundles
        self._pending: deque[Any] = deque()
        self._examples: deque[Any] = deque()
        self._tag: Any = None
        self._tags: deque[tuple[int, Any]] = deque()  # Each with the position from which on rows have it.
        self._runs: dict[int, list[Any]] = {}
        self._next = 0
        self._answered = 0
        self._awaited: float = math.inf
        self._news_at = 1
        self._arrived = threading.Event()
        self._error: BaseException | None = None
        self.added = self.taken = 0
        self.notes: list[Any] = []

    def add(self, example: Any, tag: Any) -> None:
        """Adds a row; waits while many of this bundle are under way.

        Raises:
            Exception: Why the model cannot run at all.
            EngineClosedError: The engine is closed.
        """
        if tag is not self._tag or not self.added:
            self._begin(tag)
        self._pending.append(example)
        self._examples.append(example)
        self.added += 1
        if self.added >= self._news_at:
            self._tell()

    def add_batch(self, batch: Any, tag: Any) -> None:
        """Adds the rows of a batch that stays as it is.

        Raises:
            Exception: As for `add`.
        """
        self._begin(tag)
        self._pending.append(batch)
        self._examples.extend([None] * len(batch))
        self.added += len(batch)
        self._tell()

    @property
    def has_done(self) -> bool:
        """Whether `done` would give any."""
        return self._next in self._runs

    def done(self) -> Iterator[Run]:
        """The rows from the first one on that are done by now; each is given once."""
        while (results := self._runs.pop(self._next, None)) is not None:
            yield from self._let_go(results)

    def finish(self, hurry: bool = False) -> Iterator[Run]:
        """All rows that are left, once they are done.

        Args:
            hurry: Let no row wait for those of other bundles, however long it may.
        """
        if self._answered < self.added and self._error is None:
            try:
                self._bundles.news(self)
            except EngineClosedError:
                if self._error is None:
                    raise
            else:
                self._wait_for(self.added, hurry)
        yield from self.done()
        while self._examples and self._error is not None:
            yield from self._let_go([Failed(self._error)])
            yield from self.done()

    def abandon(self) -> None:
        """Wants no results any more; rows that are not in a batch yet never will be."""
        self._bundles.forget(self)

    # What follows is for whoever takes the rows and answers them.

    @property
    def is_waiting(self) -> bool:
        """Whether there are rows to take."""
        return bool(self._pending)

    def take(self, most: int, whole_batches: bool) -> Chunk:
        """The next rows, no more than `most`; or the next batch."""
        pending, position = self._pending, self.taken
        examples = pending.popleft() if whole_batches else [pending.popleft() for _ in range(min(most, len(pending)))]
        self.taken += len(examples)
        return Chunk(self, position, examples)

    def ask_for_news(self) -> None:
        """Wants to hear of the next row that is added."""
        self._news_at = 0

    def answer(self, position: int, results: list[Any]) -> None:
        """Gives the results of rows that follow each other."""
        self._runs[position] = results
        self._answered += len(results)
        if self._answered >= self._awaited:
            self._arrived.set()

    def fail(self, error: BaseException) -> None:
        """Nothing works: no row that has no answer will have one."""
        self._error = error
        self._arrived.set()

    def _tell(self) -> None:
        # Before others hear of the row: they may have it taken, and ask for news, before this goes on.
        self._news_at = self.added + _ROWS_UNTIL_NEWS
        if self._error is not None:
            raise self._error
        try:
            self._bundles.news(self)
        except EngineClosedError:
            if self._error is None:
                raise
            raise self._error from None
        # One batch is being filled while another runs.
        if self.added - self._answered > 2 * self._bundles.wanted:
            self._wait_for(self.added - self._bundles.wanted)

    def _wait_for(self, answered: int, hurry: bool = False) -> None:
        self._arrived.clear()
        # Said before it is looked at: whoever answers the last of these rows looks in the other order.
        self._awaited = answered
        if self._answered < answered and self._error is None:
            with self._bundles.waiting(hurry):
                self._arrived.wait()
        self._awaited = math.inf

    def _begin(self, tag: Any) -> None:
        """From the next row on rows have this tag."""
        self._tag = tag
        self._tags.append((self.added, tag))

    def _let_go(self, results: list[Any]) -> Iterator[Run]:
        """The next rows, in parts that have a tag in common."""
        tags, examples = self._tags, self._examples
        while results:
            while len(tags) > 1 and tags[1][0] <= self._next:
                tags.popleft()
            count = len(results) if len(tags) == 1 else min(len(results), tags[1][0] - self._next)
            part = results if count == len(results) else results[:count]
            results = [] if part is results else results[count:]
            self._next += count
            yield Run(tags[0][1], [examples.popleft() for _ in range(count)], part)
