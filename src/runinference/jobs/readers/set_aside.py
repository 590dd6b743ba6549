"""Rows that cannot be read: handed to the caller one by one, or the end of the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runinference.errors import DataError
from runinference.prediction import Failure


class SetAside:
    """Takes the unreadable rows of one file.

    Args:
        path: The file.
        on_failure: Receives each of them; without it the first one raises.
    """

    def __init__(self, path: str, on_failure: Callable[[Failure], None] | None) -> None:
        self._path, self._on_failure = path, on_failure

    def __call__(self, example: Any, line: int, reason: str, *, row: int | None = None) -> None:
        """Reports one row.

        Args:
            example: The line's text, or what could be made of it.
            line: Its line number, counted from 1, or -1 where that is not known.
            reason: Why it cannot be read.
            row: Names the place where the line is not known.

        Raises:
            DataError: Nobody takes failures.
        """
        place = f"line {line}" if line > 0 else f"row {row}"
        error = DataError(f"{self._path}, {place}: {reason}")
        if self._on_failure is None:
            raise error
        self._on_failure(Failure.from_exception(error, example=example, index=line, stage="read"))
