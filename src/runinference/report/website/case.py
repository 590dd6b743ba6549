"""What a benchmark is, for people who look at its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runinference.metrics.measures import Measure


@dataclass(frozen=True)
class Case:
    """A benchmark.

    Attributes:
        name: The name under which its runs are stored.
        title: What people call it.
        description: What it does: paragraphs with an empty line between them, lists whose items begin with `- `, and
            `code`.
        missing: Why it cannot run yet; `None` where it can.
        measures: Quantities that only it has.
    """

    name: str
    title: str
    description: str = ""
    missing: str | None = None
    measures: Sequence[Measure] = ()
