"""The engines that benchmarks run on."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.passes import Pass

_ENGINES: Final = {
    "embedded": ("runinference.benchmarks.engines.embedded", "run"),
    "beam": ("runinference.benchmarks.engines.beam", "run"),
    "beam-original": ("runinference.benchmarks.engines.beam", "run_original"),
}

PEER: Final = "beam-original"


def run(engine: str, benchmark: Benchmark, examples: Sequence[Any]) -> Pass:
    """One pass of a benchmark over its elements on one of the engines that all benchmarks share.

    Args:
        engine: `embedded`, `beam` (our transform) or `beam-original` (Beam's own).
        benchmark: The benchmark.
        examples: Its elements.
    """
    module, name = _ENGINES[engine]
    passed: Pass = getattr(import_module(module), name)(benchmark, examples)
    return passed
