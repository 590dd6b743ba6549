"""The model of `engine-overhead` in a handler of Beam's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from apache_beam.ml.inference import base

from runinference.benchmarks.cases.engine_overhead import Model, add_up
from runinference.benchmarks.data.tables import Array


class BeamsSums(base.ModelHandler):  # type: ignore[misc]
    """Adds up rows."""

    def load_model(self) -> Model:
        """The function that does it."""
        return add_up

    def run_inference(
        self, batch: Sequence[Array], model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Any]:
        """A result for each row."""
        del inference_args
        return map(base.PredictionResult, batch, model(batch))
