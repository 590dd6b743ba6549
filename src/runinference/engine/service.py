"""Answers single rows that many threads submit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from runinference.batching import Rows
from runinference.engine.bundle import BundleRow
from runinference.engine.inbox import Answer, Inbox
from runinference.engine.stages import Outcome
from runinference.errors import InferenceError
from runinference.prediction import Failure, without_our_frames


class Service:
    """A thread that gives what comes of an inbox's rows to those who wait for it.

    Args:
        inbox: Where rows are submitted.

    Attributes:
        inbox: Where rows are submitted.
        ended: The thread has ended, because it was closed or because the model cannot run at all.
    """

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self._waiting: dict[int, Answer] = {}
        self._thread: threading.Thread | None = None
        self.ended = False

    def start(
        self,
        outcomes: Iterator[Outcome],
        before: Callable[[Answer], None] | None = None,
        after: Callable[[Outcome], None] | None = None,
    ) -> None:
        """Answers with `outcomes`, which come of reading the inbox and `make_rows`.

        Args:
            outcomes: What came of the rows.
            before: Told of one of the answers of each outcome, before they are given.
            after: Told of each outcome, after its answers were given.
        """
        run = (outcomes, before, after)
        self._thread = threading.Thread(target=self._run, args=run, name="runinference-submit", daemon=True)
        self._thread.start()

    def make_rows(self, items: list[tuple[Any, Answer]], start: int) -> Rows:
        """The rows of what the inbox gave; who waits for them is kept for the results."""
        for index, (_, answer) in enumerate(items, start):
            self._waiting[index] = answer
        return Rows([example for example, _ in items], range(start, start + len(items)))

    def make_rows_of_batch(self, items: list[tuple[Any, BundleRow]], start: int) -> Rows:
        """The rows of one item of a bundle that is a batch already."""
        if not items:
            return Rows([], range(start, start))
        batch, row = items[0]
        index = range(start, start + len(batch))
        self._waiting.update(zip(index, row.split(len(batch)), strict=True))
        return Rows(batch, index)

    def by_bundle(self, rows: Rows) -> list[Rows]:
        """Parts rows of bundles into those of each bundle."""
        positions: dict[int, list[int]] = {}
        for position, index in enumerate(rows.index):
            row = self._waiting[index]
            assert isinstance(row, BundleRow)
            positions.setdefault(id(row.owner), []).append(position)
        return [rows] if len(positions) == 1 else [rows.pick(chosen) for chosen in positions.values()]

    def close(self) -> None:
        """Answers what was submitted and ends the thread."""
        self.inbox.close()
        if self._thread is not None:
            self._thread.join()

    def _run(
        self,
        outcomes: Iterator[Outcome],
        before: Callable[[Answer], None] | None,
        after: Callable[[Outcome], None] | None,
    ) -> None:
        try:
            for outcome in outcomes:
                if before is not None:
                    before(self._waiting[_first(outcome)])
                self.inbox.answered(answer(outcome, self._waiting))
                if after is not None:
                    after(outcome)
        except BaseException as error:
            self.ended = True  # Before the inbox closes, so that who is turned away there finds it.
            self.inbox.close()
            items, _ = self.inbox.take(1 << 62, None)
            for waiting in [*self._waiting.values(), *(each for _, each in items)]:
                waiting.set_exception(error)
            self._waiting.clear()
        finally:
            self.ended = True


def answer(outcome: Outcome, waiting: MutableMapping[int, Answer]) -> int:
    """Gives the results and failures of `outcome` to those who wait for them; says how many there were."""
    for index, result in zip(outcome.rows.index, outcome.results, strict=True):
        waiting.pop(index).set_result(result)
    for failure in outcome.failures:
        error = inference_error(failure)
        error.batch = None if outcome.batch is None else outcome.batch.rows.index[0]
        waiting.pop(failure.index).set_exception(error)
    return len(outcome.rows) + len(outcome.failures)


def inference_error(failure: Failure) -> InferenceError:
    """The `InferenceError` of a failure; its cause is the exception, without our own frames before the user's."""
    key = "" if failure.key is None else f" (key {failure.key!r})"
    error = InferenceError(
        f"Row {failure.index:,}{key} failed in {failure.stage}: {failure.error_type}: {failure.message}", failure
    )
    if failure.error is not None:
        error.__cause__ = failure.error.with_traceback(without_our_frames(failure.error.__traceback__))
    return error


def _first(outcome: Outcome) -> int:
    return outcome.rows.index[0] if len(outcome.rows) else outcome.failures[0].index
