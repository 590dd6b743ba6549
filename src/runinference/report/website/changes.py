"""What got slower or faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runinference.metrics.change_points import ChangePoint, change_points
from runinference.metrics.history import Run
from runinference.report.website.archive import Section, in_order
from runinference.report.website.quantities import RUN_TIME, THROUGHPUT, samples


@dataclass(frozen=True)
class Change:
    """A change of one engine on one piece of work.

    Attributes:
        section: Where it was seen.
        engine: The engine.
        before: The last run before it.
        after: The first run after it.
        effects: What changed: run time, throughput or both.
        also: Which other engines changed the same way in these runs. Where all did, the machine or a package that all
            use is to be suspected first.
    """

    section: Section
    engine: str
    before: Run
    after: Run
    effects: Mapping[str, ChangePoint]
    also: Sequence[str] = ()

    @property
    def metric(self) -> str:
        """What it is told by: the run time where that changed, else the throughput."""
        return next(iter(self.effects))

    @property
    def effect(self) -> ChangePoint:
        """The change of that."""
        return self.effects[self.metric]

    @property
    def worse(self) -> bool:
        """Whether it got slower."""
        return (self.effect.ratio > 1) == (self.metric == RUN_TIME)

    @property
    def confirmed(self) -> bool:
        """Whether more than one run shows it."""
        return self.effect.runs_after > 1

    def versions(self) -> Iterator[str]:
        """Which packages became others between the two runs, this one left out."""
        before, after = self.before.info.versions, self.after.info.versions
        for name in sorted(set(before) & set(after) - {"runinference"}):
            if before[name] != after[name]:
                yield f"{name} {before[name]} → {after[name]}"


def find_changes(sections: Sequence[Section]) -> list[Change]:
    """All changes, the newest first."""
    found = [change for section in sections for change in _of_section(section)]
    return sorted(found, key=lambda change: (-change.after.info.started, change.section.benchmark, change.engine))


def _of_section(section: Section) -> list[Change]:
    changes = [change for engine in section.engines for change in _of_line(section, engine)]
    places = {run.info.test_id: place for place, stop in enumerate(section.stops) for run in stop.runs.values()}

    def together(one: Change, other: Change) -> bool:
        apart = places[one.after.info.test_id] - places[other.after.info.test_id]
        return one.engine != other.engine and one.worse == other.worse and abs(apart) <= 1

    return [
        replace(change, also=in_order({other.engine for other in changes if together(change, other)}))
        for change in changes
    ]


def _of_line(section: Section, engine: str) -> list[Change]:
    runs = [stop.runs[engine] for stop in section.line(engine)]
    effects: dict[int, dict[str, ChangePoint]] = {}
    for metric in (RUN_TIME, THROUGHPUT):
        for point in change_points([samples(run, metric) for run in runs]):
            # Both are of the same passes: what is found a run apart is one change.
            index = next((near for near in effects if abs(near - point.index) <= 1), point.index)
            effects.setdefault(index, {})[metric] = point
    return [Change(section, engine, runs[index - 1], runs[index], effects[index]) for index in sorted(effects)]
