"""The steps of a Beam transform, run bundle by bundle as Beam's worker runs them in streaming.

Beam's local runner makes no small bundles, and so hides what streaming is like. Here the functions of a transform are
driven directly; encoding and the connection to a runner are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.metrics.execution import MetricsContainer
from apache_beam.pipeline import PipelineVisitor
from apache_beam.runners.common import DoFnRunner, Receiver
from apache_beam.runners.worker import statesampler
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.counters import CounterFactory
from apache_beam.utils.windowed_value import WindowedValue

_WINDOWING = Windowing(GlobalWindows())


class Steps:
    """The DoFns of a transform, each feeding the next one; not for several threads at a time.

    Args:
        pickled: What `pickled_steps` gave.
    """

    def __init__(self, pickled: bytes) -> None:
        self._outputs: list[Any] = []
        self._runners: list[DoFnRunner] = []
        receiver: Receiver = _Collect(self._outputs)
        for number, (dofn, args, kwargs) in reversed(list(enumerate(pickler.loads(pickled)))):
            runner = DoFnRunner(dofn, args, kwargs, [], _WINDOWING, {None: receiver}, step_name=f"step {number}")
            self._runners.insert(0, runner)
            receiver = _Feed(runner)
        self._first = receiver
        self._sampler = statesampler.StateSampler("steps", CounterFactory())
        self._metrics = MetricsContainer("steps")
        self._state = self._sampler.scoped_state("steps", "process", metrics_container=self._metrics)

    def __enter__(self) -> Self:
        for runner in self._runners:
            runner.setup()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for runner in self._runners:
            runner.teardown()

    def bundle(self, elements: Sequence[Any]) -> list[Any]:
        """The outputs for a bundle of elements; metrics are counted."""
        statesampler.set_current_tracker(self._sampler)
        try:
            with self._state:
                for runner in reversed(self._runners):
                    runner.start()
                for element in elements:
                    self._first.receive(GlobalWindows.windowed_value(element))
                for runner in self._runners:
                    runner.finish()
            return self._outputs[:]
        finally:
            self._outputs.clear()


def pickled_steps(transform: beam.PTransform) -> bytes:
    """The DoFns of a transform in a streaming pipeline with their arguments, as a worker gets them."""
    pipeline = beam.Pipeline()
    _ = pipeline | TestStream() | "model" >> transform
    found = _ParDos()
    pipeline.visit(found)
    pickled: bytes = pickler.dumps([(each.fn, each.args, each.kwargs) for each in found.transforms])
    return pickled


def metrics_of(all_steps: Iterable[Steps]) -> dict[str, float]:
    """What the copies of a transform have counted together, by the names of the engine's table."""
    totals: dict[str, float] = {}
    for steps in all_steps:
        updates = steps._metrics.get_cumulative()
        for key, count in updates.counters.items():
            totals[key.metric.name] = totals.get(key.metric.name, 0) + count
        for key, value in updates.distributions.items():
            name = key.metric.name
            totals[f"{name}_COUNT"] = totals.get(f"{name}_COUNT", 0) + value.count
            totals[f"{name}_SUM"] = totals.get(f"{name}_SUM", 0) + value.sum
    for name in [name.removesuffix("_COUNT") for name in totals if name.endswith("_COUNT")]:
        if totals[f"{name}_COUNT"]:
            totals[f"{name}_MEAN"] = totals[f"{name}_SUM"] / totals[f"{name}_COUNT"]
    return totals


class _ParDos(PipelineVisitor):  # type: ignore[misc]
    def __init__(self) -> None:
        self.transforms: list[beam.ParDo] = []

    def visit_transform(self, transform_node: Any) -> None:
        if transform_node.full_label.startswith("model") and isinstance(transform_node.transform, beam.ParDo):
            self.transforms.append(transform_node.transform)


class _Collect(Receiver):  # type: ignore[misc]
    def __init__(self, outputs: list[Any]) -> None:
        self._outputs = outputs

    def receive(self, windowed_value: WindowedValue) -> None:
        self._outputs.append(windowed_value.value)


class _Feed(Receiver):  # type: ignore[misc]
    def __init__(self, runner: DoFnRunner) -> None:
        self._runner = runner

    def receive(self, windowed_value: WindowedValue) -> None:
        self._runner.process(windowed_value)
