"""What a benchmark is."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from runinference.benchmarks.passes import Pass
from runinference.benchmarks.settings import Settings
from runinference.metrics.measures import Measure


class Benchmark(ABC):
    """Real model code over many elements, the same for each engine.

    A subclass in a file of `runinference/benchmarks/cases`, or of a folder that `--cases` names, is a benchmark: it is
    listed, run, stored and has a page of its own. Its docstring is the description on that page. Frameworks are
    imported inside of methods.

    Each engine has a process of its own, in which one object of the class makes all of its passes. What is made once,
    data and weights, is made by `prepare`, in a process before these.

    Args:
        settings: What is asked for.

    Attributes:
        name: What it is called on the command line: lower case, with hyphens.
        title: What people call it.
        models: The models that it can run, the default first. One called `tiny` is for trying it out in seconds.
        engines: The engines that it can run on, the default ones.
        extras: Extras of this package that it needs, such as `torch`; they are listed.
        default_examples: How many elements, where the user does not say.
        smoke_examples: How many elements show that it works, with the first or the `tiny` model.
        equal: The share of the answers that must be the same on all engines.
        measures: Quantities of its own that passes have in their metrics.
        missing: Why it cannot run yet; it is listed all the same.
        standard: Whether it is one of `all`: it needs nothing that only the user has.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    models: ClassVar[Sequence[str]] = ("default",)
    engines: ClassVar[Sequence[str]] = ("embedded", "beam", "beam-original")
    extras: ClassVar[Sequence[str]] = ()
    default_examples: ClassVar[int] = 50_000
    smoke_examples: ClassVar[int] = 64
    equal: ClassVar[float] = 1.0
    measures: ClassVar[Sequence[Measure]] = ()
    missing: ClassVar[str | None] = None
    standard: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def description(cls) -> str:
        """Its docstring."""
        return inspect.cleandoc(cls.__doc__ or "")

    def prepare(self) -> None:  # noqa: B027
        """Makes the data and weights that are not there yet, and leaves them in files."""

    @abstractmethod
    def examples(self) -> Sequence[Any]:
        """The elements, always the same ones. Called once in each process, before anything is timed."""

    @abstractmethod
    def handler(self) -> Any:
        """Our handler, with the pre- and post-processing that belongs to the work."""

    def beams_handler(self) -> Any:
        """Beam's own handler for the same work, set up as its example sets it up; `None` where there is none."""
        return None

    def answer(self, inference: Any) -> Any:
        """What is compared of a prediction: a number or a text."""
        return inference

    def beams_answer(self, inference: Any) -> Any:
        """The same of what `beams_handler` predicts."""
        return self.answer(inference)

    def num_bytes(self, examples: Sequence[Any]) -> int | None:
        """The bytes of the elements as they are stored; `None` where nobody would ask."""
        del examples
        return None

    def flops(self, examples: Sequence[Any]) -> float | None:
        """Floating-point operations that the elements need, padding left out; `None` where they are not known."""
        del examples
        return None

    def run(self, engine: str, examples: Sequence[Any]) -> Pass:
        """One pass over all elements on an engine. The model is loaded within it.

        A benchmark with engines of its own, such as a loop written by hand, overrides this and handles these.
        """
        from runinference.benchmarks.engines import run

        return run(engine, self, examples)
