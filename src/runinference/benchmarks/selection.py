"""Which runs of a store are meant by `benchmarks.sqlite@latest~1` and the like."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runinference.errors import ConfigurationError, DataError, closest
from runinference.metrics.history import Run, read_runs

Key = Callable[[Run], Hashable]

_LATEST = re.compile(r"latest(?:~(\d+))?")
_START = re.compile(r"[0-9a-f]{4,40}")
_FORMS = "@latest, @latest~1, or @ and the first digits (4 or more) of a commit or of a test id"
_GIB = 2**30
_COMMITS_SHOWN = 5


@dataclass(frozen=True)
class Source:
    """Runs to choose from, as a user named them.

    Attributes:
        text: What the user wrote.
        complete: Those that reached their end, the newest first.
        incomplete: Those that failed or have not ended, the newest first.
        back: How many newer runs of the same thing are passed over.
    """

    text: str
    complete: Sequence[Run]
    incomplete: Sequence[Run]
    back: int = 0

    def choose(self, key: Key) -> dict[Hashable, Run]:
        """One run for each key: the newest, or one before it."""
        groups: dict[Hashable, list[Run]] = {}
        for run in self.complete:
            groups.setdefault(key(run), []).append(run)
        return {name: runs[self.back] for name, runs in groups.items() if len(runs) > self.back}

    def unfinished(self, key: Key) -> list[Run]:
        """The incomplete runs in whose place an older one was chosen, or none: the newest of each key."""
        chosen = self.choose(key)
        newest: dict[Hashable, Run] = {}
        for run in self.incomplete:
            newest.setdefault(key(run), run)
        return [
            run for name, run in newest.items() if name not in chosen or run.info.started > chosen[name].info.started
        ]


def read_source(text: str) -> Source:
    """The runs of benchmarks that `FILE` or `FILE@WHICH` names.

    Args:
        text: A database or a file of results. Behind an `@`: `latest`, `latest~N` for the run that came N runs before
            the newest of the same thing, or how a commit or a test id begins.

    Raises:
        ConfigurationError: There is no such file or no such run, or several are meant.
    """
    path, which = _split(text)
    try:
        runs = [run for run in reversed(read_runs(path)) if run.work is not None]
    except DataError as error:
        raise ConfigurationError(str(error)) from error
    if not runs:
        raise ConfigurationError(f"{path} holds no runs of benchmarks. `runinference bench run` writes them")
    latest = _LATEST.fullmatch(which)
    if latest is not None:
        return _source(text, runs, int(latest[1] or 0))
    if not _START.fullmatch(which.lower()):
        raise ConfigurationError(f"{text}: @{which} names no runs.{closest(which, ['latest'])} Possible are {_FORMS}")
    return _source(text, _beginning_with(which.lower(), runs, text))


def exact(run: Run) -> Hashable:
    """What two runs must have in common to be compared."""
    host, processor, cores, memory = run.machine
    # A kernel takes a little of the memory for itself, and a newer one takes a little more or less.
    return similar(run), host, processor, cores, None if memory is None else round(memory / _GIB)


def similar(run: Run) -> Hashable:
    """The same without the machine."""
    return run.info.name, json.dumps(run.work, sort_keys=True, default=str), run.info.engine, run.info.device


def _split(text: str) -> tuple[str, str]:
    """The file and what is behind the last @; a file may have one in its name."""
    path, _, which = text.rpartition("@")
    return (text, "latest") if not path or Path(text).exists() else (path, which)


def _source(text: str, runs: Iterable[Run], back: int = 0) -> Source:
    runs = list(runs)
    complete = [run for run in runs if run.complete]
    return Source(text, complete, [run for run in runs if not run.complete], back)


def _beginning_with(start: str, runs: Sequence[Run], text: str) -> list[Run]:
    of_commits = [run for run in runs if (run.info.commit or "").lower().startswith(start)]
    of_ids = [run for run in runs if run.info.test_id.lower().startswith(start)]
    meant = list(dict.fromkeys([f"commit {run.info.commit}" for run in of_commits]))
    meant += [f"test id {run.info.test_id}" for run in of_ids]
    if len(meant) > 1:
        raise ConfigurationError(f"{text}: more than one thing begins with {start}: {', '.join(meant)}")
    if not meant:
        commits = list(dict.fromkeys(run.info.commit[:10] for run in runs if run.info.commit))
        newest = ", ".join(commits[:_COMMITS_SHOWN]) or "none is known"
        raise ConfigurationError(
            f"{text}: no commit and no test id begins with {start}. The newest commits there: {newest}"
        )
    return of_commits or of_ids
