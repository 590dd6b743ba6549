"""Metrics that are recorded a second time elsewhere, by somebody who takes them entry by entry."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from runinference.metrics.recorder import Metrics


class Entry(NamedTuple):
    """What was recorded at one time.

    Attributes:
        part: Of which of several models; `None` of all together.
        counts: How much was added to counters.
        observations: What was added to distributions.
    """

    part: str | None
    counts: Mapping[str, int]
    observations: Mapping[str, float]


class Journal(Metrics):
    """Keeps each record as an entry as well, until it is taken.

    For hosts in which a metric only counts in a thread of their own: there it is recorded with what was taken.
    """

    def __init__(self, namespace: str = "runinference", prefix: str = "") -> None:
        super().__init__(namespace, prefix)
        self._entries: deque[Entry] = deque()

    def record(self, counts: Mapping[str, int], observations: Mapping[str, float]) -> None:
        """Adds to several counters and distributions at once, and keeps them as an entry."""
        super().record(counts, observations)
        self._entries.append(Entry(None, counts, observations))

    def take(self) -> list[Entry]:
        """The entries that were not taken yet, each of which is given once."""
        return [self._entries.popleft() for _ in range(len(self._entries))]

    def _new_part(self, name: str) -> Metrics:
        return _Part(name, self)


class _Part(Metrics):
    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(journal.namespace)
        self._name = name
        self._journal = journal

    def record(self, counts: Mapping[str, int], observations: Mapping[str, float]) -> None:
        super().record(counts, observations)  # Which records it for all together too.
        self._journal._entries.append(Entry(self._name, counts, observations))
