"""Apache Beam with our transform, or with its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from runinference.benchmarks.engines.latencies import latencies_of
from runinference.benchmarks.passes import Pass
from runinference.errors import ConfigurationError
from runinference.packages import require

if TYPE_CHECKING:
    from runinference.benchmarks.benchmark import Benchmark


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
    return replace(result, metrics={**result.metrics, **numbers}, texts={**result.texts, **texts})


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


def _run(benchmark: Benchmark, examples: Sequence[Any], transform: Any, answer: Callable[[Any], Any]) -> Pass:
    options = benchmark.settings.pipeline_options
    if options:
        from runinference.benchmarks.engines.elsewhere import run_elsewhere

        return run_elsewhere(options, examples, transform)
    from runinference.benchmarks.engines.here import run_here

    return run_here(examples, transform, answer)


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
