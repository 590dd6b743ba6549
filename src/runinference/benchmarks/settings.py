"""What a benchmark is asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Settings:
    """The work of a benchmark.

    Attributes:
        examples: How many elements.
        model: Which of the benchmark's models, such as `resnet101`.
        weights: A file of weights, or a folder with a model, in place of random weights.
        input: The user's own data: a file, folder or glob; `None` for data that is made.
        device: Where the model runs.
        handler: For `custom`: a text that names a handler.
        handler_options: Options for our handler, such as `precision`.
        pipeline_options: Options for Beam pipelines, such as `--runner=DataflowRunner`.
    """

    examples: int
    model: str
    weights: str | None = None
    input: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    handler: str | None = None
    handler_options: Mapping[str, Any] = field(default_factory=dict)
    pipeline_options: Sequence[str] = ()

    def work(self) -> dict[str, Any]:
        """What tells two pieces of work apart, whose figures are then not compared."""
        optional = {
            "weights": self.weights,
            "input": self.input,
            "handler": self.handler,
            "handler_options": dict(self.handler_options),
            # The name of a job tells when it was started, not what it does.
            "pipeline_options": [each for each in self.pipeline_options if not each.startswith("--job_name")],
        }
        always = {"model": self.model, "examples": self.examples, "device": self.device}
        return always | {name: value for name, value in optional.items() if value}
