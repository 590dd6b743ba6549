"""Sorts runs into what may be drawn as one line, and what may be held against each other."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from runinference.metrics.history import Run

PEER = "beam-original"
"""The engine that others are held against: Beam's own RunInference."""

_ENGINES = ("embedded", "beam", PEER)


@dataclass(frozen=True)
class Stop:
    """Runs of several engines that took turns, so that they can be held against each other.

    Attributes:
        runs: The run of each engine.
    """

    runs: Mapping[str, Run]

    @property
    def first(self) -> Run:
        """The run that was started first."""
        return min(self.runs.values(), key=lambda run: run.info.started)


@dataclass(frozen=True)
class Section:
    """Complete runs of the same work on the same device of the same machine.

    Attributes:
        benchmark: Name of the benchmark.
        work: What it did.
        device: What the model ran on.
        machine: Where: host, processor, cores, bytes of memory.
        stops: The runs, the oldest first.
    """

    benchmark: str
    work: Mapping[str, Any]
    device: str
    machine: tuple[str, str, int, int | None]
    stops: Sequence[Stop] = field(repr=False)

    @cached_property
    def engines(self) -> list[str]:
        """The engines that ran, always in the same order."""
        return in_order({engine for stop in self.stops for engine in stop.runs})

    @cached_property
    def newest(self) -> Run:
        """The run that was started last."""
        return max((run for stop in self.stops for run in stop.runs.values()), key=lambda run: run.info.started)

    @property
    def anchor(self) -> str:
        """Its place in the page; the same whatever other runs there are."""
        key = _text([self.benchmark, self.work, self.device, self.machine])
        return f"{slug(str(self.work.get('model', '')))[:30]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}".strip("-")

    def line(self, engine: str) -> list[Stop]:
        """The stops at which an engine ran."""
        return [stop for stop in self.stops if engine in stop.runs]

    def newest_stop(self, engine: str) -> Stop:
        """The last one at which an engine ran."""
        return self.line(engine)[-1]


@dataclass(frozen=True)
class History:
    """All runs of one benchmark.

    Attributes:
        name: Its name.
        runs: Every run, the oldest first, those that did not finish included.
        sections: The complete ones, sorted; what ran last comes first.
    """

    name: str
    runs: Sequence[Run]
    sections: Sequence[Section]

    @property
    def unfinished(self) -> list[Run]:
        """The runs that did not finish, the newest first."""
        return [run for run in reversed(self.runs) if not run.complete]


@dataclass(frozen=True)
class Archive:
    """All runs.

    Attributes:
        histories: Those of each benchmark, by its name.
        others: How many runs are of something else.
    """

    histories: Mapping[str, History]
    others: int = 0

    @property
    def engines(self) -> list[str]:
        """All engines, always in the same order."""
        runs = (run for history in self.histories.values() for run in history.runs)
        return in_order({run.info.engine for run in runs})


def sort_runs(runs: Iterable[Run]) -> Archive:
    """The runs of each benchmark.

    A run that is there twice, because it was written to two places, counts once.
    """
    unique: dict[str, Run] = {}
    for run in runs:
        other = unique.get(run.info.test_id)
        if other is None or _tells(run) > _tells(other):
            unique[run.info.test_id] = run
    ordered = sorted(unique.values(), key=lambda run: (run.info.started, run.info.test_id))
    named: dict[str, list[Run]] = {}
    for run in ordered:
        if run.work is not None:
            named.setdefault(run.info.name, []).append(run)
    histories = {name: History(name, named[name], _sections(named[name])) for name in sorted(named)}
    return Archive(histories, len(ordered) - sum(map(len, named.values())))


def in_order(engines: Iterable[str]) -> list[str]:
    """Engines in the order in which people are shown them."""
    return sorted(engines, key=lambda engine: (_ENGINES.index(engine) if engine in _ENGINES else len(_ENGINES), engine))


def slug(text: str) -> str:
    """A text as part of an address: lower case, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _tells(run: Run) -> tuple[bool, int]:
    return run.complete, sum(len(values) for values in run.samples.values())


def _sections(runs: Sequence[Run]) -> list[Section]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        if run.complete:
            found.setdefault(_text([run.work, run.info.device, run.machine]), []).append(run)
    sections = [
        Section(group[0].info.name, group[0].work or {}, group[0].info.device, group[0].machine, _stops(group))
        for _, group in sorted(found.items())
    ]
    return sorted(sections, key=lambda section: -section.newest.info.started)


def _stops(runs: Sequence[Run]) -> list[Stop]:
    """Runs by the session that they belong to. One in which an engine ran twice has two stops."""
    found: dict[tuple[str, int], dict[str, Run]] = {}
    for run in runs:
        turn = 0
        while run.info.engine in found.setdefault((run.session, turn), {}):
            turn += 1
        found[run.session, turn][run.info.engine] = run
    return sorted((Stop(runs) for runs in found.values()), key=lambda stop: stop.first.info.started)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
