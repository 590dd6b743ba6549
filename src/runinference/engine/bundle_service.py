"""Answers the rows of bundles."""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runinference.batching import Rows
from runinference.engine.bundle import Bundle, Chunk, Failed
from runinference.engine.bundles import Bundles
from runinference.engine.service import inference_error
from runinference.engine.stages import Outcome


class BundleService:
    """A thread that gives what comes of the rows of bundles back to them.

    Args:
        bundles: Where rows come from.
        take_notes: Gives what is left with a bundle of each batch, for its caller to find.

    Attributes:
        ended: The thread has ended, because it was closed or because the model cannot run at all.
    """

    def __init__(self, bundles: Bundles, take_notes: Callable[[], list[Any]]) -> None:
        self._bundles = bundles
        self._take_notes = take_notes
        self._open: weakref.WeakSet[Bundle] = weakref.WeakSet()
        self._opening = threading.Lock()
        # The chunks that are not answered yet, by where they begin in the input, in that order.
        self._starts: list[int] = []
        self._chunks: list[Chunk] = []
        self._left: list[int] = []
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.ended = False

    def start(self, outcomes: Iterator[Outcome]) -> None:
        """Answers with `outcomes`, which come of reading the source and `make_rows`."""
        self._thread = threading.Thread(target=self._run, args=[outcomes], name="runinference-bundles", daemon=True)
        self._thread.start()

    def bundle(self) -> Bundle:
        """A new bundle."""
        bundle = Bundle(self._bundles)
        with self._opening:
            self._open.add(bundle)
            if self._error is not None:
                bundle.fail(self._error)
        return bundle

    def make_rows(self, items: list[Chunk], start: int) -> Rows:
        """The rows of chunks; where they come from is kept for the results."""
        index = start
        for chunk in items:
            self._starts.append(index)
            self._chunks.append(chunk)
            self._left.append(len(chunk.examples))
            index += len(chunk.examples)
        if len(items) == 1:
            return Rows(items[0].examples, range(start, index))
        return Rows([example for chunk in items for example in chunk.examples], range(start, index))

    def by_bundle(self, rows: Rows) -> list[Rows]:
        """Parts rows into those of each bundle."""
        positions: dict[int, list[int]] = {}
        for position, index in enumerate(rows.index):
            positions.setdefault(id(self._chunks[self._number(index)].bundle), []).append(position)
        return [rows] if len(positions) == 1 else [rows.pick(chosen) for chosen in positions.values()]

    def close(self) -> None:
        """Answers what was added and ends the thread."""
        self._bundles.close()
        if self._thread is not None:
            self._thread.join()

    def _run(self, outcomes: Iterator[Outcome]) -> None:
        try:
            for outcome in outcomes:
                self._answer(outcome)
                del outcome
        except BaseException as error:
            self.ended = True
            with self._opening:
                self._error = error
                for bundle in list(self._open):
                    bundle.fail(error)
            self._bundles.close()  # Last, so that who is turned away there knows why.
        finally:
            self.ended = True

    def _answer(self, outcome: Outcome) -> None:
        index = outcome.rows.index if len(outcome.rows) else [outcome.failures[0].index]
        self._chunks[self._number(index[0])].bundle.notes += self._take_notes()
        self._give(outcome.rows.index, outcome.results)
        for failure in outcome.failures:
            error = inference_error(failure)
            error.batch = None if outcome.batch is None else outcome.batch.rows.index[0]
            self._give([failure.index], [Failed(error)])
        self._bundles.answered(len(outcome.rows) + len(outcome.failures))

    def _give(self, index: Sequence[int], results: Any) -> None:
        """Gives results to their bundles, as many as follow each other at a time."""
        results, done = list(results), 0
        while done < len(index):
            number = self._number(index[done])
            chunk, offset = self._chunks[number], index[done] - self._starts[number]
            count = min(len(chunk.examples) - offset, len(index) - done) if isinstance(index, range) else 1
            part = results if count == len(results) else results[done : done + count]
            chunk.bundle.answer(chunk.position + offset, part)
            done += count
            self._left[number] -= count
            if not self._left[number]:
                del self._starts[number], self._chunks[number], self._left[number]

    def _number(self, index: int) -> int:
        return bisect_right(self._starts, index) - 1
