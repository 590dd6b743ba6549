"""Which runs of two sources are held against each other, and why others are not."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runinference.benchmarks.selection import Source, exact, similar
from runinference.errors import ConfigurationError
from runinference.metrics.history import Run
from runinference.metrics.snapshot import human

_PROBLEMS_SHOWN = 5


@dataclass(frozen=True)
class Unpaired:
    """A run that is compared with nothing.

    Attributes:
        run: The run.
        side: Where it is: `A`, `B`, or `A and B` for one that is on both sides.
        reason: Why.
    """

    run: Run
    side: str
    reason: str


@dataclass(frozen=True)
class Pairs:
    """Runs of the same thing, before and after.

    Attributes:
        pairs: One of A and one of B each.
        unpaired: Runs without a partner.
        incomplete: Runs that took no part since they failed or have not ended.
    """

    pairs: Sequence[tuple[Run, Run]]
    unpaired: Sequence[Unpaired]
    incomplete: Sequence[Unpaired]


def pair_up(a: Source, b: Source, *, across_machines: bool = False) -> Pairs:
    """Finds the runs of one benchmark with the same work, engine, device and machine.

    Args:
        a: What is compared with.
        b: What is compared.
        across_machines: The machine may differ.

    Raises:
        ConfigurationError: No two runs can be compared; says why.
    """
    key = similar if across_machines else exact
    of_a, of_b = a.choose(key), b.choose(key)
    both = [name for name in of_b if name in of_a]
    pairs = [(of_a[name], of_b[name]) for name in both if not _is_one(of_a[name], of_b[name])]
    incomplete = list(_incomplete(a.unfinished(key), b.unfinished(key)))
    unpaired = [Unpaired(of_b[name], "A and B", "is the same run") for name in both if _is_one(of_a[name], of_b[name])]
    unpaired += _without_partner("A", of_a, "B", of_b)
    unpaired += _without_partner("B", of_b, "A", of_a)
    if not pairs:
        _refuse(a, b, incomplete, unpaired)
    return Pairs(sorted(pairs, key=lambda pair: title_of(pair[1])), unpaired, incomplete)


def title_of(run: Run) -> tuple[str, str]:
    """What a run did, and on which engine, for people."""
    work = dict(run.work or {})
    model, examples = work.pop("model", None), work.pop("examples", None)
    work.pop("device", None)
    parts = [run.info.name if model in (None, "default") else f"{run.info.name} {model}"]
    if examples is not None:
        parts.append(f"{examples:,} examples")
    parts.append(run.info.device)
    return ", ".join([*parts, *(f"{name} {value}" for name, value in work.items())]), run.info.engine


def machine_of(run: Run) -> str:
    """The machine of a run, for people."""
    host, processor, cores, memory = run.machine
    of_memory = [] if memory is None else [human(memory, "bytes")]
    return ", ".join([host, *([processor] if processor else []), f"{cores} cores", *of_memory])


def _is_one(a: Run, b: Run) -> bool:
    return a.info.test_id == b.info.test_id


def _incomplete(of_a: Sequence[Run], of_b: Sequence[Run]) -> Iterator[Unpaired]:
    ids = {"A": {run.info.test_id for run in of_a}, "B": {run.info.test_id for run in of_b}}
    for name, run in {run.info.test_id: run for run in [*of_a, *of_b]}.items():
        sides = " and ".join(side for side, there in ids.items() if name in there)
        yield Unpaired(run, sides, "failed" if run.info.state == "failed" else "has not ended, or was killed")


def _without_partner(
    side: str, runs: Mapping[Hashable, Run], other: str, others: Mapping[Hashable, Run]
) -> Iterator[Unpaired]:
    for name, run in runs.items():
        if name not in others:
            yield Unpaired(run, side, _reason(run, other, others.values()))


def _reason(run: Run, other: str, others: Iterable[Run]) -> str:
    """How the run of the other side that is most like this one differs from it."""
    told = [_differences(run, each) for each in others if _subject(each) == _subject(run)]
    return f"is in {other} with {', '.join(_fewest(told))}" if told else f"is not in {other}"


def _fewest(told: list[list[str]]) -> list[str]:
    return min(told, key=len)


def _subject(run: Run) -> tuple[str, str, str]:
    return run.info.name, run.info.engine, str((run.work or {}).get("model"))


def _differences(run: Run, other: Run) -> list[str]:
    mine, theirs = dict(run.work or {}), dict(other.work or {})
    names = [name for name in [*mine, *theirs] if mine.get(name) != theirs.get(name)]
    told = [f"{name} {_shown(theirs.get(name))} in place of {_shown(mine.get(name))}" for name in dict.fromkeys(names)]
    if run.info.device != other.info.device and "device" not in names:
        told.append(f"device {other.info.device} in place of {run.info.device}")
    if exact(run) != exact(other) and similar(run) == similar(other):
        told.append("another machine")
    return told


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _refuse(a: Source, b: Source, incomplete: Sequence[Unpaired], unpaired: Sequence[Unpaired]) -> None:
    of_a, of_b = a.choose(similar), b.choose(similar)
    elsewhere = [name for name in of_b if name in of_a and exact(of_a[name]) != exact(of_b[name])]
    if elsewhere:
        raise ConfigurationError(
            f"A and B are of different machines, whose speeds say nothing about the code: A of "
            f"{machine_of(of_a[elsewhere[0]])}; B of {machine_of(of_b[elsewhere[0]])}. Compare all the same with "
            f"--across-machines"
        )
    if any(each.side == "A and B" for each in unpaired):
        raise ConfigurationError(
            f"{a.text} and {b.text} are the same runs. The last two of a store: STORE@latest~1 STORE@latest"
        )
    problems = [_nothing_in(source) for source in (a, b) if not source.choose(similar)]
    problems = problems or [
        f"{each.side}: {', '.join(title_of(each.run))} {each.reason}" for each in [*incomplete, *unpaired]
    ]
    raise ConfigurationError(
        f"{a.text} and {b.text} have no runs of the same work: {'; '.join(problems[:_PROBLEMS_SHOWN])}"
    )


def _nothing_in(source: Source) -> str:
    if not source.complete:
        return f"{source.text} has no run that reached its end"
    return f"{source.text} goes back further than the runs that are there"
