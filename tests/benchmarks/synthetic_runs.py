"""Runs of benchmarks with the samples that a test asks for, as if they had been measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runinference.benchmarks.suite import write_results
from runinference.metrics.history import Run
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.sinks.sqlite import SqliteSink

DAY_S = 86_400.0
FIRST_S = 1_790_000_000.0
MACHINE = {"host": "server", "processor": "Quick 3000", "cores": 8, "memory_bytes": 32 * 2**30}


def made_run(
    seconds: Sequence[float] = (10.0, 10.1, 9.9),
    *,
    day: int = 0,
    name: str = "classification",
    engine: str = "embedded",
    model: str = "small",
    examples: int = 1000,
    device: str = "cpu",
    state: str = "done",
    commit: str | None = "a" * 40,
    work: dict[str, Any] | None = None,
    samples: dict[str, Sequence[float]] | None = None,
    **info: Any,
) -> Run:
    """A run on one machine; `info` takes further fields of `RunInfo`."""
    options = {
        "work": {"model": model, "examples": examples, "device": device, **(work or {})},
        "repeat": len(seconds),
        "session": f"{day:032x}",
    }
    known = MACHINE | {"versions": {}, "started": FIRST_S + day * DAY_S, "options": options} | info
    about = RunInfo(name, engine=engine, device=device, state=state, commit=commit, **known)
    return Run(about, {"JobRuntimeSeconds": list(seconds), **(samples or {})})


def write_store(path: Path, runs: Sequence[Run]) -> str:
    """Writes runs as `bench run` publishes them: at the start, after each pass, and at the end."""
    sink = SqliteSink(str(path))
    for run in runs:
        started = run.info.started
        sink.write(Measurement(replace(run.info, state="running"), started, {}))
        passes = max((len(values) for values in run.samples.values()), default=0)
        for number in range(passes):
            values = {name: values[number] for name, values in run.samples.items() if number < len(values)}
            sink.write(Measurement(replace(run.info, state="running"), started + number + 1, values))
        if run.info.state != "running":
            sink.write(Measurement(run.info, started + passes + 1, {}))
    return str(path)


def write_json(path: Path, runs: Sequence[Run]) -> str:
    """Writes runs as `bench run --output` does."""
    write_results(path, runs)
    return str(path)
