"""Where the rows of the Beam contestant come from and go to.

In a module of its own, because Beam pickles what stands in the main program by value: lists in it would be copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from contestant import Array

from harness import data

PART_ROWS = 1000

counts: list[int] = []
"""The number of results of a run."""

answers: list[tuple[Array, Any]] = []
"""Each example with its prediction."""


@cache
def features(rows: int) -> Array:
    """The examples; made once for all runs."""
    return data.matrix(rows)


def part(start: int, rows: int) -> Iterator[Array]:
    """The examples from `start` on, `PART_ROWS` of them."""
    yield from features(rows)[start : start + PART_ROWS]


def count(number: int) -> None:
    """Takes note of the number of results."""
    counts.append(number)


def keep(result: Any) -> None:
    """Takes note of a result."""
    answers.append((result.example, result.inference))
