"""A process in which one engine makes its passes over one benchmark."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.catalog import find_benchmark
from runinference.benchmarks.engines import PEER
from runinference.benchmarks.passes import Pass
from runinference.benchmarks.settings import Settings
from runinference.benchmarks.workers import runner_elsewhere
from runinference.errors import ConfigurationError, MissingDependencyError, RunInferenceError
from runinference.metrics.measurement import package_versions
from runinference.packages import require
from runinference.report.memory import peak_bytes

_FRAMES = 4
_ON_BEAM = ("beam", PEER)


@dataclass(frozen=True)
class Contestant:
    """What a process needs to take part.

    Attributes:
        benchmark: The name of a benchmark.
        folders: Where benchmarks of the user's own are.
        settings: What is asked for.
        engine: What runs it.
        log: File for what the frameworks write.
    """

    benchmark: str
    folders: Sequence[str]
    settings: Settings
    engine: str
    log: str

    def make(self) -> Benchmark:
        """The benchmark, with the models and data still to be loaded."""
        return find_benchmark(self.benchmark, self.folders)(self.settings)


@dataclass(frozen=True)
class Ready:
    """What a process tells before its first pass.

    Attributes:
        elements: How many there are.
        num_bytes: Their bytes as they are stored; `None` where that is not known.
        flops: Floating-point operations that they need; `None` where that is not known.
    """

    elements: int
    num_bytes: int | None
    flops: float | None


@dataclass(frozen=True)
class Timed:
    """A pass, with what was seen of its process.

    Attributes:
        result: The pass.
        cpu_s: Processor time that it took, over all threads and child processes that have ended; `None` where the
            work was done on other machines.
        peak_bytes: Most memory of the process up to now; `None` where the system does not tell, or as above.
        device: What the model ran on.
        versions: Versions of the packages that took part.
    """

    result: Pass
    cpu_s: float | None
    peak_bytes: int | None
    device: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Trouble:
    """Why a process could not do what it was asked for.

    Attributes:
        message: For people.
        wrong_usage: Whether what was asked for cannot work.
        trace: The last lines that led to it, where they help.
    """

    message: str
    wrong_usage: bool
    trace: str = ""


def prepare(contestant: Contestant, connection: Connection) -> None:
    """Makes the data and weights; sends `None` when they are there."""
    with _Talk(contestant, connection) as talk:
        _check_device(contestant.settings)
        contestant.make().prepare()
        talk.send(None)


def peak(contestant: Contestant, connection: Connection) -> None:
    """Sends how fast the device multiplies matrices, each time it is asked."""
    with _Talk(contestant, connection) as talk:
        from runinference.benchmarks.peak import matmul_flops

        while connection.recv():
            talk.send(matmul_flops(contestant.settings.device))


def serve(contestant: Contestant, connection: Connection) -> None:
    """Sends `Ready`, and then a `Timed` for each pass that it is asked for."""
    with _Talk(contestant, connection) as talk:
        benchmark = contestant.make()
        examples = benchmark.examples()
        elsewhere = contestant.engine in _ON_BEAM and runner_elsewhere(contestant.settings) is not None
        # The limit of this machine is not that of others.
        flops = None if elsewhere else benchmark.flops(examples)
        talk.send(Ready(len(examples), benchmark.num_bytes(examples), flops))
        while connection.recv():
            timed = _timed(benchmark, contestant.engine, examples)
            if elsewhere:
                timed = replace(timed, cpu_s=None, peak_bytes=None, device=contestant.settings.device)
            talk.send(timed)


def _timed(benchmark: Benchmark, engine: str, examples: Sequence[Any]) -> Timed:
    before = os.times()
    result = benchmark.run(engine, examples)
    after = os.times()
    cpu_s = sum(after[:4]) - sum(before[:4])
    return Timed(result, cpu_s, peak_bytes(), _device(benchmark.settings.device), package_versions())


def _check_device(settings: Settings) -> None:
    if settings.device != "cuda" or runner_elsewhere(settings) is not None:
        return
    torch = require("torch", "torch", "run a benchmark on a GPU")
    if not torch.cuda.is_available():
        raise ConfigurationError("There is no GPU here that PyTorch can use, so --device cuda cannot work")


def _device(asked: str) -> str:
    torch = sys.modules.get("torch")
    if asked == "cuda" and torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return "cpu"


class _Talk:
    """What is said to the parent: values, or what went wrong; what frameworks say goes into a file."""

    def __init__(self, contestant: Contestant, connection: Connection) -> None:
        self._contestant = contestant
        self._log = Path(contestant.log)
        self._connection = connection

    def __enter__(self) -> Self:
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        return self

    def send(self, value: Any) -> None:
        self._connection.send(value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or isinstance(error, EOFError):  # The parent has gone.
            return isinstance(error, EOFError)
        if isinstance(error, Exception):
            self._connection.send(_trouble(error, self._contestant))
            return True
        return False


def _trouble(error: Exception, contestant: Contestant) -> Trouble:
    if isinstance(error, ModuleNotFoundError) and not isinstance(error, RunInferenceError):
        extras = find_benchmark(contestant.benchmark, contestant.folders).extras
        if extras:
            return Trouble(f'{error}. Install what it needs: pip install "runinference[{",".join(extras)}]"', True)
    if isinstance(error, RunInferenceError):
        return Trouble(str(error), isinstance(error, (ConfigurationError, MissingDependencyError)))
    lines = traceback.format_tb(error.__traceback__, limit=-_FRAMES)
    return Trouble(f"{type(error).__name__}: {error}", False, "".join(lines))
