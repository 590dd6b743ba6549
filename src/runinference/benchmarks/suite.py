"""Runs several benchmarks, one after the other; one that fails does not keep the others from being run."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runinference.benchmarks.run import Request, Watcher, run_benchmark
from runinference.errors import ConfigurationError, DataError, RunInferenceError
from runinference.metrics.history import Run
from runinference.metrics.machine import cores, memory_bytes, processor
from runinference.metrics.measurement import Measurement


@dataclass(frozen=True)
class Outcome:
    """What became of a benchmark.

    Attributes:
        request: What was to be run.
        runs: A run for each engine; none where it failed.
        error: Why it failed; `None` where it did not.
    """

    request: Request
    runs: Sequence[Run] = ()
    error: RunInferenceError | None = None

    @property
    def wrong_usage(self) -> bool:
        """Whether it cannot be run as it was asked for."""
        return isinstance(self.error, ConfigurationError)


def run_suite(
    requests: Sequence[Request], publish: Callable[[Measurement], None], watch: Callable[[Request], Watcher]
) -> Iterator[Outcome]:
    """Runs benchmarks one after the other.

    Args:
        requests: What to run.
        publish: Is given what is measured.
        watch: Makes what is told how a benchmark is getting on.
    """
    for request in requests:
        try:
            yield Outcome(request, run_benchmark(request, publish, watch(request)))
        except RunInferenceError as error:
            yield Outcome(request, error=error)


def write_results(path: str | Path, runs: Sequence[Run], about: dict[str, Any] | None = None) -> None:
    """Writes runs as one JSON document, with every single measurement.

    Args:
        path: The file. It appears, or is replaced, only when it is whole.
        runs: The runs.
        about: What else is to be kept, such as the command.

    Raises:
        DataError: It cannot be written.
    """
    machine = {
        "host": platform.node(),
        "processor": processor(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    document = {"machine": machine, **(about or {}), "runs": [run.to_dict() for run in runs]}
    unfinished = Path(f"{path}.tmp-{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise DataError(f"The results cannot be written to {path}: {error.strerror}") from error
