"""A pipeline on Beam's local runner, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from runinference.benchmarks.engines.pipeline_metrics import flat_metrics
from runinference.benchmarks.passes import Pass, inference_of

_OPTIONS = ("--runner=FnApiRunner", "--direct_running_mode=in_memory")

# The elements and the answers of the pipeline that runs. Beam pickles what a pipeline is made of, so these are no
# attributes of it: they would be copies.
_examples: Sequence[Any] = ()
_answer: Callable[[Any], Any] = id
_answers: list[tuple[int, Any]] = []


def run_here(examples: Sequence[Any], transform: Any, answer: Callable[[Any], Any]) -> Pass:
    """One pass.

    Args:
        examples: The elements.
        transform: Makes results of elements with their numbers as keys.
        answer: Makes what is compared of what a result says.
    """
    global _examples, _answer
    _examples, _answer = examples, answer
    _answers.clear()
    start = time.perf_counter()
    pipeline = beam.Pipeline(options=PipelineOptions(_OPTIONS))
    # Made within the stage of the model, so that no element is encoded on its way there.
    elements = pipeline | beam.Create([0], reshuffle=False) | beam.FlatMap(_numbered)
    elements | transform | beam.Map(_keep)
    result = pipeline.run()
    result.wait_until_finish()
    run_s = time.perf_counter() - start
    metrics = flat_metrics(result)
    answers = [each for _, each in sorted(_answers, key=_number)]
    return Pass(
        elements=len(answers),
        run_s=run_s,
        load_s=metrics.get("load_model_latency_milli_secs_SUM", 0.0) * 1e-3,
        answers=answers,
        metrics=metrics,
    )


def _numbered(_: int) -> Iterator[tuple[int, Any]]:
    yield from enumerate(_examples)


def _keep(result: tuple[int, Any]) -> None:
    number, prediction = result
    _answers.append((number, _answer(inference_of(prediction))))


def _number(pair: tuple[int, Any]) -> int:
    return pair[0]
