"""Measures contestants against each other."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import cycle
from pathlib import Path


def alternate(contestants: Mapping[str, Callable[[], float]], repeat: int) -> dict[str, list[float]]:
    """Runs the contestants in turn, so that a busy moment of the machine hits all of them.

    Args:
        contestants: Each does its work once and returns its figure.
        repeat: How often each runs. Every other round goes backwards, so that nobody is always first.

    Returns:
        The figures of each; those at the same position were taken next to each other and may be divided.
    """
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for _, order in zip(range(repeat), cycle((names, names[::-1])), strict=False):
        for name in order:
            gc.collect()
            samples[name].append(contestants[name]())
    return samples


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios(above: Iterable[float], below: Iterable[float]) -> list[float]:
    """The figures of one contestant divided by those of the other, taken in the same round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def settle(*outputs: Path) -> None:
    """Deletes what an earlier round wrote, so that nobody pays for another's files."""
    for output in outputs:
        with suppress(FileNotFoundError):
            output.unlink()
