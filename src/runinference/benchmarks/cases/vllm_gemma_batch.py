"""Prompts through Gemma in vLLM: its place among the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runinference.benchmarks.benchmark import Benchmark
from runinference.errors import ConfigurationError


class VllmGemmaBatch(Benchmark):
    """Prompts through Gemma 2B, tuned for instructions, in vLLM: how fast is text written?

    Beam's handler will be set up as in Beam's example for Gemma in batches.
    """

    name = "vllm-gemma-batch"
    title = "vLLM Gemma 2B"
    models = ("gemma-2b-it",)
    missing = "it follows with the handler for vLLM"

    def prepare(self) -> None:
        """There is nothing to prepare yet."""
        raise self._error()

    def examples(self) -> Sequence[Any]:
        """There are none yet."""
        raise self._error()

    def handler(self) -> Any:
        """There is none yet."""
        raise self._error()

    def _error(self) -> ConfigurationError:
        return ConfigurationError(f"{self.name} cannot run yet: {self.missing}")
