"""Apache Beam with our transform or with its own, on Beam's local runner or on any other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from runinference.benchmarks.engines.latencies import latencies_of
from runinference.benchmarks.passes import Pass, inference_of
from runinference.errors import ConfigurationError
from runinference.packages import require

if TYPE_CHECKING:
    from runinference.benchmarks.benchmark import Benchmark

_LOCAL = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
_STATISTICS = {"COUNT": "count", "SUM": "sum", "MIN": "min", "MAX": "max", "MEAN": "mean"}

# The elements and the answers of the pass that runs in this process. Beam pickles what a pipeline is made of, so these
# are no attributes of it: they would be copies.
_examples: Sequence[Any] = ()
_answer: Callable[[Any], Any] = id
_answers: list[tuple[int, Any]] = []


def run(benchmark: Benchmark, examples: Sequence[Any]) -> Pass:
    """One pass with our transform."""
    require("apache_beam", "beam", "run a benchmark on Beam")
    from runinference.beam import RunInference
    from runinference.beam.worker import end_idle_workers, metrics_of_workers
    from runinference.keyed import KeyedModelHandler

    transform: Any = RunInference(KeyedModelHandler(benchmark.handler()))
    try:
        result = _run(benchmark, examples, transform, benchmark.answer)
        # Where the workers are in this process, they know more than Beam's metrics hold.
        measured = [metrics.to_dict() for metrics in metrics_of_workers()]
    finally:
        end_idle_workers()  # So that the next pass loads the model too.
    flat = measured[0] if len(measured) == 1 else {}
    texts = {name: value for name, value in flat.items() if isinstance(value, str)}
    numbers = {name: value for name, value in flat.items() if not isinstance(value, str)}
    return replace(result, metrics={**result.metrics, **numbers}, texts=texts)


def run_original(benchmark: Benchmark, examples: Sequence[Any]) -> Pass:
    """One pass with Beam's own transform.

    Raises:
        ConfigurationError: Beam has no handler for this benchmark.
    """
    base = require("apache_beam.ml.inference.base", "beam", "run a benchmark on Beam")
    handler = benchmark.beams_handler()
    if handler is None:
        raise ConfigurationError(f"Beam's RunInference has no handler for {benchmark.name}; leave out beam-original")
    innermost = _innermost(handler)
    transform = base.RunInference(_with_functions_of(handler, base.KeyedModelHandler(innermost)))
    with latencies_of(innermost) as latencies:
        result = _run(benchmark, examples, transform, benchmark.beams_answer)
    return replace(result, metrics={**result.metrics, **latencies})


def _innermost(handler: Any) -> Any:
    """The handler that runs the model, out of those that add pre- and post-processing to it."""
    while hasattr(handler, "_base"):
        handler = handler._base
    return handler


def _with_functions_of(handler: Any, keyed: Any) -> Any:
    """A keyed handler with the pre- and post-processing of one without keys, which Beam takes on the outside only."""
    for function in reversed(handler.get_preprocess_fns()):
        keyed = keyed.with_preprocess_fn(partial(_on_value, function))
    for function in handler.get_postprocess_fns():
        keyed = keyed.with_postprocess_fn(partial(_on_value, function))
    return keyed


def _on_value(function: Callable[[Any], Any], pair: tuple[Any, Any]) -> tuple[Any, Any]:
    key, value = pair
    return key, function(value)


def _run(benchmark: Benchmark, examples: Sequence[Any], transform: Any, answer: Callable[[Any], Any]) -> Pass:
    beam = require("apache_beam", "beam", "run a benchmark on Beam")
    from apache_beam.options.pipeline_options import PipelineOptions

    global _examples, _answer
    logging.getLogger().setLevel(logging.ERROR)
    elsewhere = bool(benchmark.settings.pipeline_options)
    _examples, _answer = examples, answer
    _answers.clear()
    options = PipelineOptions(list(benchmark.settings.pipeline_options) or _LOCAL)
    start = time.perf_counter()
    pipeline = beam.Pipeline(options=options)
    if elsewhere:
        elements = pipeline | beam.Create(list(enumerate(examples)))
    else:
        # Made within the stage of the model, so that no element is encoded on its way there.
        elements = pipeline | beam.Create([0], reshuffle=False) | beam.FlatMap(_numbered)
    results = elements | transform
    if not elsewhere:
        results | beam.Map(_keep)
    result = pipeline.run()
    result.wait_until_finish()
    run_s = time.perf_counter() - start
    metrics = _metrics(result.metrics().query())
    answers = [each for _, each in sorted(_answers, key=_index)]
    return Pass(
        elements=int(metrics.get("num_inferences", 0)) if elsewhere else len(answers),
        run_s=run_s,
        load_s=metrics.get("load_model_latency_milli_secs_SUM", 0.0) * 1e-3,
        answers=answers,
        metrics=metrics,
    )


def _metrics(query: Any) -> dict[str, float]:
    """The metrics of a pipeline by the names of the engine's table."""
    flat: dict[str, float] = {}
    for counter in query["counters"]:
        name = counter.key.metric.name
        flat[name] = flat.get(name, 0) + counter.result
    for distribution in query["distributions"]:
        values = {key: getattr(distribution.result, name) for key, name in _STATISTICS.items()}
        flat |= {f"{distribution.key.metric.name}_{key}": value for key, value in values.items() if value is not None}
    return flat


def _numbered(_: int) -> Iterator[tuple[int, Any]]:
    yield from enumerate(_examples)


def _keep(result: tuple[int, Any]) -> None:
    number, prediction = result
    _answers.append((number, _answer(inference_of(prediction))))


def _index(pair: tuple[int, Any]) -> int:
    return pair[0]
