"""Benchmarks: the standard models, or one's own handler on one's own data, on any engine."""

from __future__ import annotations

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.passes import Pass
from runinference.benchmarks.settings import Settings

__all__ = ["Benchmark", "Pass", "Settings"]
