"""Contestants that do the same work in one process, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from harness.measure import alternate, ratios, seconds
from harness.result import Result

Answers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Work:
    """What a contestant does.

    Attributes:
        rows: The rows of one pass.
        once: Passes over them once and returns what it gives a user for each.
        answer: Makes what is compared of one of these; not timed.
    """

    rows: int
    once: Callable[[], list[Any]]
    answer: Callable[[Any], int] = int


@dataclass(frozen=True)
class Contest:
    """What came of it.

    Attributes:
        case: What was measured.
        answers: Of each contestant, the answer for each row.
        samples: Of each contestant, the seconds for each row, once for each repetition.
    """

    case: str
    answers: dict[str, Answers]
    samples: dict[str, list[float]]

    @classmethod
    def hold(cls, case: str, contestants: Mapping[str, Work], repeat: int) -> Contest:
        """Lets each pass over its rows, once to warm up and for its answers, and `repeat` times to be measured."""
        answers = {name: np.array([work.answer(each) for each in work.once()]) for name, work in contestants.items()}

        def measure(work: Work) -> float:
            return seconds(work.once) / work.rows

        return cls(
            case, answers, alternate({name: partial(measure, work) for name, work in contestants.items()}, repeat)
        )

    def against(
        self, ours: str, peer: str, target: float | None = None, *, exact: bool = True, note: str = ""
    ) -> Result:
        """How many times the rows per second of `peer` those of `ours` are.

        Args:
            ours: A contestant.
            peer: The other one; it is skipped where it was not there.
            target: What is asked for.
            exact: Whether the answers must be the same; else the note tells the share of those that are.
            note: One thing the reader should know.
        """
        name = f"{self.case}: {ours} vs {peer}"
        if peer not in self.samples:
            return Result(name, skipped="apache-beam is not installed")
        share = self.same(ours, peer)
        if not exact:
            note = f"{share:.1%} of the answers are the same" + (f"; {note}" if note else "")
        mine, theirs = self.samples[ours], self.samples[peer]
        return Result(
            name,
            ours=1 / median(mine),
            peer=1 / median(theirs),
            unit="rows/s",
            values=ratios(theirs, mine),
            target=target,
            answers_equal=share == 1 or not exact,
            note=note,
            samples={"ours_s_per_row": mine, "peer_s_per_row": theirs},
        )

    def same(self, ours: str, peer: str) -> float:
        """The share of the rows that both have the same answer for, of those that both passed over."""
        rows = min(len(self.answers[ours]), len(self.answers[peer]))
        return float(np.mean(self.answers[ours][:rows] == self.answers[peer][:rows]))

    def of_peak(self, name: str, flops_per_row: float, peak: float, note: str = "") -> Result:
        """The share of the device's peak that a contestant reaches.

        Args:
            name: The contestant.
            flops_per_row: Floating-point operations that a row needs, padding left out.
            peak: Operations per second of a large matrix multiplication.
            note: One thing the reader should know.
        """
        reached = [flops_per_row / each for each in self.samples[name]]
        return Result(
            f"{self.case}: {name}, of the matmul peak",
            ours=median(reached) / 1e9,
            peer=peak / 1e9,
            unit="GFLOP/s",
            values=[each / peak for each in reached],
            note=note,
        )
