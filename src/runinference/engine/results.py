"""The results of a run, given out one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from itertools import chain
from typing import Any, Self


class Results(chain[Any]):
    """Iterates over runs of results without a step of Python for each row.

    Closing it, or dropping it, closes the generator of the runs, which ends the work.

    Attributes:
        runs: Gives the results batch by batch.
    """

    runs: Generator[Iterable[Any], None, None]

    @classmethod
    def of(cls, runs: Generator[Iterable[Any], None, None]) -> Self:
        """The results that `runs` gives."""
        results = cls.from_iterable(runs)
        assert isinstance(results, cls)
        results.runs = runs
        return results

    def close(self) -> None:
        """Ends the work; what has not been taken by then is not given any more."""
        self.runs.close()
        deque(self, maxlen=0)
