"""Rows of one caller among many, which are answered together but run in batches with the rows of the others."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

from runinference.engine.inbox import Inbox
from runinference.errors import EngineClosedError, InferenceError


class BundleRow:
    """A row of a bundle.

    Attributes:
        example: What was added.
        tag: What the caller knows besides.
        result: Its result, where it worked.
        error: Why it has none; an `InferenceError` where this row failed, anything else where nothing works.
        done: Whether one of the two is there.
    """

    __slots__ = ("_bundle", "done", "error", "example", "result", "tag")

    def __init__(self, bundle: Bundle | _Whole, example: Any, tag: Any) -> None:
        self._bundle = bundle
        self.example = example
        self.tag = tag
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False

    @property
    def owner(self) -> Bundle:
        """The bundle that it belongs to."""
        return self._bundle if isinstance(self._bundle, Bundle) else self._bundle.owner

    @property
    def notes(self) -> list[Any]:
        """What somebody left for the caller to find."""
        return self.owner.notes

    def split(self, count: int) -> list[BundleRow]:
        """The rows of a batch that was added as one: it is done when all of them are, and they are its result."""
        whole = _Whole(self)
        whole.rows = [BundleRow(whole, None, None) for _ in range(count)]
        return whole.rows

    def set_running_or_notify_cancel(self) -> bool:
        """Whether the result is still wanted."""
        return not self._bundle.abandoned

    def set_result(self, result: Any) -> None:
        """The row worked."""
        self.result = result
        self.done = True
        self._bundle.answered_one()

    def set_exception(self, exception: BaseException) -> None:
        """The row failed."""
        self.error = exception
        self.done = True
        self._bundle.answered_one()


class Bundle:
    """Rows that one thread adds and takes back when they are done, in their order.

    Meanwhile they share batches with the rows of other bundles. Few rows are under way at any time, however many a
    bundle has: `add` waits where the model is slower than the caller.

    Args:
        inbox: Where rows are gathered.

    Attributes:
        notes: What somebody else left for the caller to find.
        abandoned: Nobody wants the results any more.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._rows: deque[BundleRow] = deque()
        self._added = 0
        self._answered = 0  # Written by the thread that answers, and by no other.
        self._awaited: float = math.inf
        self._arrived = threading.Event()
        self.notes: list[Any] = []
        self.abandoned = False

    def add(self, example: Any, tag: Any) -> BundleRow:
        """Adds a row; waits while many of this bundle are under way.

        Returns:
            The row, which is also among those that are given when they are done.

        Raises:
            Exception: Why the model cannot run at all.
            EngineClosedError: The engine is closed.
        """
        row = BundleRow(self, example, tag)
        try:
            self._inbox.add(example, row)
        except EngineClosedError:
            self._raise_why_it_ended()
            raise
        self._rows.append(row)
        self._added += 1
        # One batch is being filled while another runs.
        if self._added - self._answered > 2 * self._inbox.wanted:
            self._wait_for(self._added - self._inbox.wanted)
        return row

    @property
    def has_done(self) -> bool:
        """Whether `done` would give any."""
        return bool(self._rows) and self._rows[0].done

    def done(self) -> Iterator[BundleRow]:
        """The rows from the first one on that are done by now; each is given once."""
        rows = self._rows
        while rows and rows[0].done:
            yield rows.popleft()

    def finish(self, hurry: bool = False) -> Iterator[BundleRow]:
        """All rows that are left, once they are done.

        Args:
            hurry: Let no row wait for those of other bundles, however long it may.
        """
        if self._rows:
            self._wait_for(self._added, hurry)
        return self.done()

    def abandon(self) -> None:
        """Wants no results any more; rows that are not in a batch yet never will be."""
        self.abandoned = True

    def answered_one(self) -> None:
        """One more row is done."""
        self._answered += 1
        if self._answered == self._awaited:
            self._arrived.set()

    def _wait_for(self, answered: int, hurry: bool = False) -> None:
        self._arrived.clear()
        # Said before it is looked at: whoever answers the last of these rows looks in the other order.
        self._awaited = answered
        if self._answered < answered:
            with self._inbox.waiting(hurry):
                self._arrived.wait()
        self._awaited = math.inf

    def _raise_why_it_ended(self) -> None:
        for row in self._rows:
            if row.error is not None and not isinstance(row.error, InferenceError):
                raise row.error


class _Whole:
    """A batch that was added to a bundle as one row."""

    def __init__(self, row: BundleRow) -> None:
        self._row = row
        self._answered = 0
        self.rows: list[BundleRow] = []

    @property
    def owner(self) -> Bundle:
        return self._row.owner

    @property
    def abandoned(self) -> bool:
        return not self._row.set_running_or_notify_cancel()

    def answered_one(self) -> None:
        self._answered += 1
        if self._answered == len(self.rows):
            self._row.set_result(self.rows)
