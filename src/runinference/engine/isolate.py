"""Finds the rows of a batch that fail, so that only they are set aside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runinference.batching import Rows
from runinference.errors import ModelFaultError, ModelLoadError, RowError, is_out_of_memory, is_transient
from runinference.prediction import qualified_name, without_our_frames

_FAILURES_THAT_MAKE_A_FAULT = 16
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A row that failed alone: the row, its exception, and how often it was tried alone."""

    row: Rows
    error: Exception
    attempts: int


@dataclass(frozen=True, slots=True)
class Search:
    """How far the rows of a batch that fail are looked for.

    Attributes:
        stop_at_first: No further than the first of them.
        groups: Parts rows into those that fail together, because nobody would use what came of the others.
    """

    stop_at_first: bool = False
    groups: Callable[[Rows], list[Rows]] | None = None


ALL = Search()


@dataclass(slots=True)
class Isolated:
    """What came of a batch, or of as much of it as was run.

    Attributes:
        search: How far the rows that fail are looked for.
        worked: The parts that worked with their outputs, in the order of the rows.
        failed: The rows that failed, in the order of the rows.
        calls: How often the model was called.
        retried: Whether any call was tried again.
        out_of_memory: Rows of the smallest part that did not fit into memory; `None` where all did.
    """

    search: Search = ALL
    worked: list[tuple[Rows, Any]] = field(default_factory=list)
    failed: list[FailedRow] = field(default_factory=list)
    calls: int = 0
    retried: bool = False
    out_of_memory: Rows | None = None


class Isolator:
    """Runs batches and splits one that fails until the rows that fail stand alone.

    A lone bad row among n costs at most 2·log2(n) more calls: of the two halves of a failing part at least one fails,
    so where the first works the second is split without being tried. What may succeed when it is tried again is
    tried again, as a whole batch and as a single row, with growing pauses.

    As long as no row has ever worked, many failures of one kind mean that the model fails and not its rows; that is
    raised instead of setting the whole input aside row by row.

    Args:
        call: Runs the model on rows and returns its outputs.
        retries: How often a call that may succeed is tried again.
        pause: Waits so many seconds.
        finds_faults: Whether failures alike are ever taken for a failure of the model.
    """

    def __init__(
        self, call: Callable[[Rows], Any], retries: int, pause: Callable[[float], Any], finds_faults: bool = True
    ) -> None:
        self._call = call
        self._finds_faults = finds_faults
        self._retries = retries
        self._pause = pause
        self._ever_worked = False
        self._failures: list[type[Exception]] = []

    def run(self, rows: Rows, found: Isolated | None = None, first_call: Callable[[], Any] | None = None) -> Isolated:
        """Runs `rows`, of which there is at least one.

        Args:
            rows: The batch.
            found: Where to note what comes of it, for a caller that wants to know even if this raises.
            first_call: Ends a first call for all rows that has begun already.

        Raises:
            ModelFaultError: The model fails as a whole.
            ModelLoadError: It had to be loaded again, which failed.
        """
        found = Isolated() if found is None else found
        self._run(rows, found, self._retries, first_call)
        return found

    def _run(self, rows: Rows, found: Isolated, retries: int = 0, first_call: Callable[[], Any] | None = None) -> bool:
        error, attempts = self._try(rows, found, self._retries if len(rows) == 1 else retries, first_call)
        if error is None:
            return True
        out_of_memory = is_out_of_memory(error)
        if out_of_memory and (found.out_of_memory is None or len(rows) < len(found.out_of_memory)):
            found.out_of_memory = rows
        if found.search.groups is not None and not out_of_memory:
            self._split_into_groups(rows, found, error, attempts)
        elif len(rows) > 1:
            self._split(rows, found, one_must_fail=not out_of_memory and not is_transient(error))
        else:
            found.failed.append(FailedRow(rows, error, attempts))
            self._raise_if_all_fail(error)
        return False

    def _split_into_groups(self, rows: Rows, found: Isolated, error: Exception, attempts: int) -> None:
        assert found.search.groups is not None
        groups = found.search.groups(rows)
        if len(groups) > 1:
            for group in groups:
                self._run(group, found, self._retries)
        else:
            alone = [rows.cut(position, position + 1) for position in range(len(rows))]
            found.failed += [FailedRow(row, error, attempts) for row in alone]

    def _split(self, rows: Rows, found: Isolated, one_must_fail: bool) -> None:
        middle = len(rows) // 2
        first, second = rows.cut(0, middle), rows.cut(middle, len(rows))
        first_worked = self._run(first, found)
        if found.failed and found.search.stop_at_first:
            return
        if first_worked and one_must_fail and len(second) > 1:
            self._split(second, found, one_must_fail)
        else:
            self._run(second, found)

    def _try(
        self, rows: Rows, found: Isolated, retries: int, first_call: Callable[[], Any] | None
    ) -> tuple[Exception | None, int]:
        attempts = 0
        while True:
            attempts += 1
            found.calls += 1
            try:
                outputs = self._call(rows) if first_call is None or attempts > 1 else first_call()
            except (ModelFaultError, ModelLoadError):
                raise
            except Exception as error:
                if attempts > retries or not is_transient(error):
                    return error, attempts
                found.retried = True
            else:
                self._ever_worked = True
                found.worked.append((rows, outputs))
                return None, attempts
            self._pause(min(_FIRST_PAUSE_S * 2 ** (attempts - 1), _LONGEST_PAUSE_S))

    def _raise_if_all_fail(self, error: Exception) -> None:
        if self._ever_worked or not self._finds_faults or isinstance(error, RowError):
            return
        self._failures.append(type(error))
        if len(self._failures) >= _FAILURES_THAT_MAKE_A_FAULT and len(set(self._failures)) == 1:
            raise ModelFaultError(
                f"The model fails on every row: the first {len(self._failures)} that were tried alone all failed, "
                f"the last with {qualified_name(type(error))}: {error}"
            ) from error.with_traceback(without_our_frames(error.__traceback__))
