"""Answers single rows that many threads submit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import Future
from typing import Any

from runinference.batching import Rows
from runinference.engine.inbox import Inbox
from runinference.engine.stages import Outcome
from runinference.errors import InferenceError
from runinference.prediction import Failure, without_our_frames


class Service:
    """A thread that gives what comes of an inbox's rows to their futures.

    Args:
        inbox: Where rows are submitted.

    Attributes:
        inbox: Where rows are submitted.
        ended: The thread has ended, because it was closed or because the model cannot run at all.
    """

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self._futures: dict[int, Future[Any]] = {}
        self._thread: threading.Thread | None = None
        self.ended = False

    def start(self, outcomes: Iterator[Outcome], observe: Callable[[Outcome, bool], None] | None) -> None:
        """Answers with `outcomes`, which come of reading the inbox and `make_rows`, and tells `observe` of each."""
        run = (outcomes, observe)
        self._thread = threading.Thread(target=self._run, args=run, name="runinference-submit", daemon=True)
        self._thread.start()

    def make_rows(self, items: list[tuple[Any, Future[Any]]], start: int) -> Rows:
        """The rows of what the inbox gave; their futures are kept for the results."""
        for index, (_, future) in enumerate(items, start):
            self._futures[index] = future
        return Rows([example for example, _ in items], range(start, start + len(items)))

    def close(self) -> None:
        """Answers what was submitted and ends the thread."""
        self.inbox.close()
        if self._thread is not None:
            self._thread.join()

    def _run(self, outcomes: Iterator[Outcome], observe: Callable[[Outcome, bool], None] | None) -> None:
        try:
            for outcome in outcomes:
                self.inbox.answered(answer(outcome, self._futures))
                if observe is not None:
                    observe(outcome, False)
        except BaseException as error:
            self.ended = True  # Before the inbox closes, so that who is turned away there finds it.
            self.inbox.close()
            items, _ = self.inbox.take(1 << 62, None)
            for future in [*self._futures.values(), *(future for _, future in items)]:
                future.set_exception(error)
            self._futures.clear()
        finally:
            self.ended = True


def answer(outcome: Outcome, futures: MutableMapping[int, Future[Any]]) -> int:
    """Gives the results and failures of `outcome` to the futures of their rows; says how many there were."""
    for index, result in zip(outcome.rows.index, outcome.results, strict=True):
        futures.pop(index).set_result(result)
    for failure in outcome.failures:
        futures.pop(failure.index).set_exception(inference_error(failure))
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
