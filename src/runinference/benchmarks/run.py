"""Runs a benchmark: every engine in a process of its own, in turns, with their answers compared first."""

from __future__ import annotations

import platform
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.contestant import Contestant, Ready, Timed, peak, prepare, serve
from runinference.benchmarks.figures import figures, peak_share
from runinference.benchmarks.process import BenchmarkError, ContestantProcess
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError
from runinference.metrics.history import Run
from runinference.metrics.measurement import Measurement, RunInfo, State


@dataclass(frozen=True)
class Request:
    """A benchmark that is to be run.

    Attributes:
        benchmark: The benchmark.
        settings: What it is to do.
        engines: What runs it; the answers of the first are what the others are held against.
        repeat: How many passes of each engine are measured.
        warm_up: Whether each engine makes a pass before, which is not measured, and whose answers are compared.
        folders: Where benchmarks of the user's own are.
        machine: What the machine is called; its host name by default.
        timeout_s: Longest time for one pass; `None` for any time.
        cost: What a job of so many seconds costs, in USD; `None` where there is no price.
        options: What else is to be remembered of the run, such as the machine type that the cost is of.
    """

    benchmark: type[Benchmark]
    settings: Settings
    engines: Sequence[str]
    repeat: int = 5
    warm_up: bool = True
    folders: Sequence[str] = ()
    machine: str | None = None
    timeout_s: float | None = None
    cost: Callable[[float], float | None] = lambda _: None
    options: dict[str, Any] = field(default_factory=dict)


class Watcher(Protocol):
    """Is told what happens while a benchmark runs."""

    def doing(self, what: str) -> None:
        """What is being done now."""

    def passed(self, engine: str, run_s: float) -> None:
        """An engine has made a pass."""


@dataclass
class _Entry:
    """An engine that takes part."""

    engine: str
    info: RunInfo
    process: ContestantProcess
    ready: Ready
    answers_equal: float | None = None
    timed: list[tuple[float, Timed]] = field(default_factory=list)
    measured: list[dict[str, float]] = field(default_factory=list)

    def make_pass(self, watcher: Watcher) -> Timed:
        timed: Timed = self.process.ask()
        watcher.passed(self.engine, timed.result.run_s)
        self.info = replace(self.info, device=timed.device, versions=timed.versions, job_id=timed.result.job_id)
        return timed


def run_benchmark(request: Request, publish: Callable[[Measurement], None], watcher: Watcher) -> list[Run]:
    """Runs a benchmark and publishes what each engine does as it is measured.

    Args:
        request: What to run.
        publish: Is given a measurement for each pass, and one when a run begins and ends.
        watcher: Is told what happens.

    Returns:
        One run for each engine.

    Raises:
        ConfigurationError: What is asked for cannot work.
        BenchmarkError: An engine failed, or gave other answers than the first.
    """
    session = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="runinference-bench-") as folder, ExitStack() as stack:
        processes = _Processes(request, Path(folder), stack)
        watcher.doing("making data and weights")
        processes.prepare()
        watcher.doing(f"starting {', '.join(request.engines)}")
        entries = processes.start([_info(request, engine, session) for engine in request.engines])
        try:
            for entry in entries:
                publish(Measurement.of(entry.info, {}))
            first_peak = processes.peak(entries)
            if request.warm_up:
                _warm_up(request, entries, watcher)
            _rounds(request, entries, publish, watcher)
            best = max(filter(None, (first_peak, processes.peak(entries))), default=None)
        except BaseException:
            for entry in entries:
                publish(Measurement.of(replace(entry.info, state="failed"), {}))
            raise
        return [_end(entry, best, publish) for entry in entries]


class _Processes:
    """Starts the processes of a benchmark; they end with `stack`."""

    def __init__(self, request: Request, folder: Path, stack: ExitStack) -> None:
        self._request = request
        self._folder = folder
        self._stack = stack
        self._peak: ContestantProcess | None = None

    def prepare(self) -> None:
        # Without a timeout: data is made once, which may take long.
        with ContestantProcess(prepare, self._contestant("prepare")) as process:
            process.wait()

    def start(self, infos: Sequence[RunInfo]) -> list[_Entry]:
        """Starts the engines side by side, since importing their frameworks takes long, and waits for all."""
        started = [(info, self._start(serve, info.engine)) for info in infos]
        return [self._entry(info, process) for info, process in started]

    def _entry(self, info: RunInfo, process: ContestantProcess) -> _Entry:
        ready: Ready = process.wait()
        if not ready.elements:
            raise ConfigurationError(f"{self._request.benchmark.name}: there are no elements, so nothing is measured")
        # The user's own data may have fewer than were asked for.
        work = {**info.options["work"], "examples": ready.elements}
        return _Entry(info.engine, replace(info, options={**info.options, "work": work}), process, ready)

    def peak(self, entries: Sequence[_Entry]) -> float | None:
        """How fast the device multiplies matrices now; `None` where nobody would compare with that."""
        if all(entry.ready.flops is None for entry in entries):
            return None
        self._peak = self._peak or self._start(peak, "peak")
        rate: float = self._peak.ask()
        return rate

    def _start(self, target: Any, engine: str) -> ContestantProcess:
        contestant = self._contestant(engine)
        return self._stack.enter_context(ContestantProcess(target, contestant, self._request.timeout_s))

    def _contestant(self, engine: str) -> Contestant:
        request = self._request
        log = self._folder / f"{engine}.log"
        return Contestant(request.benchmark.name, request.folders, request.settings, engine, str(log))


def _info(request: Request, engine: str, session: str) -> RunInfo:
    return RunInfo(
        request.benchmark.name,
        engine=engine,
        host=request.machine or platform.node(),
        device=request.settings.device,
        options={"work": request.settings.work(), "repeat": request.repeat, "session": session, **request.options},
        state="running",
    )


def _warm_up(request: Request, entries: Sequence[_Entry], watcher: Watcher) -> None:
    """A pass of each engine that is not measured, whose answers must be the same."""
    answers: list[np.ndarray[Any, Any]] = []
    for entry in entries:
        watcher.doing(f"warming up {entry.engine}")
        result = entry.make_pass(watcher).result
        if result.failed and not result.elements:
            raise BenchmarkError(
                f"{entry.engine}: all {result.failed:,} elements failed, so there is no speed to measure"
            )
        answers.append(np.array(result.answers, dtype=object))
        entry.answers_equal = _compare(request, entries[0].engine, entry.engine, answers[0], answers[-1])


def _compare(
    request: Request, first: str, engine: str, expected: np.ndarray[Any, Any], got: np.ndarray[Any, Any]
) -> float | None:
    """The share of the answers that are the same; `None` where they were not collected.

    Raises:
        BenchmarkError: Too few are.
    """
    if not len(expected) or not len(got):
        return None
    if len(expected) != len(got):
        raise BenchmarkError(
            f"{engine} gave {len(got):,} answers and {first} {len(expected):,}; their speeds are not compared"
        )
    same = expected == got
    share = float(np.mean(same))
    if share < request.benchmark.equal:
        at = int(np.flatnonzero(~same)[0])
        raise BenchmarkError(
            f"{engine} gave other answers than {first} for {np.count_nonzero(~same):,} of {len(got):,} elements, first "
            f"for element {at}: {got[at]!r} in place of {expected[at]!r}. Their speeds are not compared"
        )
    return share


def _rounds(
    request: Request, entries: Sequence[_Entry], publish: Callable[[Measurement], None], watcher: Watcher
) -> None:
    """The passes that are measured, in turns; every other round goes backwards, so that nobody is always first."""
    orders = cycle((entries, entries[::-1]))
    for number, order in zip(range(request.repeat), orders, strict=False):
        for entry in order:
            watcher.doing(f"round {number + 1} of {request.repeat}, {entry.engine}")
            timed = entry.make_pass(watcher)
            when = time.time()
            measured = figures(entry.ready, timed, request.cost)
            if entry.answers_equal is not None:
                measured["answers_equal"] = entry.answers_equal
            entry.timed.append((when, timed))
            entry.measured.append(measured)
            publish(Measurement(entry.info, when, measured, timed.result.texts))


def _end(entry: _Entry, best_peak: float | None, publish: Callable[[Measurement], None]) -> Run:
    """The run of an engine, with what is known only when all are done."""
    state: State = "done"
    info = replace(entry.info, state=state)
    for (when, timed), measured in zip(entry.timed, entry.measured, strict=True):
        share = peak_share(entry.ready, timed, best_peak)
        if share is not None:
            measured["peak_share"] = share
        publish(Measurement(info, when, {} if share is None else {"peak_share": share}))
    names = {name for measured in entry.measured for name in measured}
    samples = {name: [each[name] for each in entry.measured if name in each] for name in sorted(names)}
    texts = entry.timed[-1][1].result.texts if entry.timed else {}
    return Run(info, samples, texts)
