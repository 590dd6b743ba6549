"""What one comparison found."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Settings:
    """How a case is to be run.

    Attributes:
        repeat: Repetitions of each contestant.
        quick: Use little data, to see that everything works; the figures mean little then.
        device: Where models of PyTorch run: `cpu` or `cuda`.
    """

    repeat: int = 5
    quick: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        case: What was measured.
        ours: Our figure, the median of all repetitions.
        peer: The other's.
        unit: Unit of both.
        values: What is held against the target, once for each repetition: as a rule a ratio of ours to the peer's.
        target: The value that is asked for; `None` where none is.
        at_least: Whether the value must reach the target; else it must not exceed it.
        value_unit: Unit of `values`: `x` for a ratio.
        answers_equal: Whether both gave the same answers.
        skipped: Why nothing was measured.
        note: One thing the reader should know.
        samples: Every single measurement.
    """

    case: str
    ours: float | None = None
    peer: float | None = None
    unit: str = ""
    values: list[float] = field(default_factory=list)
    target: float | None = None
    at_least: bool = True
    value_unit: str = "x"
    answers_equal: bool = True
    skipped: str | None = None
    note: str = ""
    samples: dict[str, list[float]] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        """The median of `values`."""
        return median(self.values) if self.values else None

    @property
    def met(self) -> bool | None:
        """Whether the target was met; `None` where there is no target or no measurement."""
        if self.value is None or self.target is None or not self.answers_equal:
            return None if self.answers_equal else False
        return self.value >= self.target if self.at_least else self.value <= self.target

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "case": self.case,
            "ours": self.ours,
            "peer": self.peer,
            "unit": self.unit,
            "value": self.value,
            "value_min": min(self.values, default=None),
            "value_max": max(self.values, default=None),
            "value_unit": self.value_unit,
            "target": self.target,
            "target_is": "at least" if self.at_least else "at most",
            "met": self.met,
            "answers_equal": self.answers_equal,
            "skipped": self.skipped,
            "note": self.note,
            "values": self.values,
            "samples": self.samples,
        }
