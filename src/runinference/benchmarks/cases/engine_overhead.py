"""What an engine costs: rows through a model that does next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.tables import Array, num_bytes
from runinference.benchmarks.passes import Pass
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError
from runinference.handler import ModelHandler
from runinference.packages import require
from runinference.prediction import PredictionResult

_FEATURES = 64
_LOOP_ROWS = 1024

Model = Callable[[Sequence[Array]], Array]


class EngineOverhead(Benchmark):
    """Adds up rows of 64 float32, so that what is measured is everything but the model.

    All engines call the same function, which stacks a batch and sums each row. `loop` is the loop that one writes by
    hand in place of an engine: batches of 1,024 rows out of a list, and a result for each row. Beam forms batches as
    it does where nothing is said.
    """

    name = "engine-overhead"
    title = "Overhead of the engine"
    models = ("sum",)
    engines = ("embedded", "loop", "beam", "beam-original")
    default_examples = 1_000_000

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if settings.input is not None or settings.weights is not None:
            raise ConfigurationError(
                "engine-overhead adds up rows that it makes. Leave out --input and --weights; `custom` runs your own"
            )

    def examples(self) -> Sequence[Any]:
        """Rows of whole numbers, whose sum is the same in whatever order they are added."""
        random = np.random.default_rng(1)
        return list(random.integers(0, 1000, (self.settings.examples, _FEATURES)).astype(np.float32))

    def handler(self) -> Any:
        """Ours."""
        return _Sums(**self.settings.handler_options)

    def beams_handler(self) -> Any:
        """The same, derived from Beam's class."""
        require("apache_beam", "beam", f"run {self.name} on Beam")
        from runinference.benchmarks.models.beams_sums import BeamsSums

        return BeamsSums()

    def answer(self, inference: Any) -> int:
        """The sum."""
        return int(inference)

    def num_bytes(self, examples: Sequence[Any]) -> int:
        """Of the numbers."""
        return num_bytes(examples)

    def run(self, engine: str, examples: Sequence[Any]) -> Pass:
        """One pass, also of the loop."""
        return self._loop(examples) if engine == "loop" else super().run(engine, examples)

    def _loop(self, examples: Sequence[Any]) -> Pass:
        start = time.perf_counter()
        answers = [self.answer(result.inference) for result in _loop(examples, add_up)]
        return Pass(len(answers), time.perf_counter() - start, answers=answers)


class _Sums(ModelHandler[Array, PredictionResult, Model]):
    def load_model(self) -> Model:
        return add_up

    def run_inference(
        self, batch: Sequence[Array], model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        del inference_args
        return map(PredictionResult, batch, model(batch))


def add_up(batch: Sequence[Array]) -> Array:
    """The model: the sum of each row."""
    sums: Array = np.stack(batch).sum(axis=1)
    return sums


def _loop(examples: Sequence[Array], model: Model) -> Iterator[PredictionResult]:
    for start in range(0, len(examples), _LOOP_ROWS):
        batch = examples[start : start + _LOOP_ROWS]
        yield from map(PredictionResult, batch, model(batch))
