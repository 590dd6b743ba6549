"""`infer`: a model over an iterable, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from typing import Any

from runinference.engine.engine import Engine
from runinference.engine.results import Results
from runinference.metrics import Metrics
from runinference.prediction import Failure


def infer(
    examples: Iterable[Any],
    handler: Any,
    *,
    inference_args: Mapping[str, Any] | None = None,
    ordered: bool = True,
    on_failure: Callable[[Failure], Any] | None = None,
    retries: int = 0,
    timeout_s: float | None = None,
    workers: int | None = None,
    progress: bool | Callable[[dict[str, Any]], Any] = False,
    metrics: Metrics | None = None,
    model_identifier: str | None = None,
    watch_model_pattern: str | os.PathLike[str] | Mapping[Hashable, str] | None = None,
    watch_interval_s: float = 30.0,
) -> Iterator[Any]:
    """Lazily runs a handler's model over examples, in batches, with memory that does not grow with the input.

    ```python
    for result in infer(examples, handler):
        print(result.example, result.inference)
    ```

    Args:
        examples: The rows; a list, a generator, a stream that never ends.
        handler: Loads the model and runs it; see [ModelHandler][runinference.handler.ModelHandler].
        inference_args: Extra keyword arguments for each call of the model.
        ordered: Give results in the order of the input; else as they are ready.
        on_failure: Given each row that failed; the others go on. Without it the first failure raises.
        retries: How often a call that may succeed when tried again is tried again.
        timeout_s: Longest time for one call of the model in seconds.
        workers: Threads for pre- and post-processing; 0 runs everything in the caller's thread.
        progress: Show progress on standard error; or a function that is given it as a dict each second.
        metrics: Where to record what is measured.
        model_identifier: Calls in this process that say the same at the same time share one copy of the model.
        watch_model_pattern: Where new versions of the model appear while rows are running: a folder, a glob, a file
            that names one, or the model itself; see [Engine][runinference.engine.engine.Engine].
        watch_interval_s: How often to look there, in seconds.

    Returns:
        An iterator of results, one for each row that worked. Closing it, or dropping it, ends the work and releases
        the model.

    Raises:
        ConfigurationError: The handler or an argument cannot work; raised at once.
        InferenceError: While iterating: a row failed and there is no `on_failure`.
        ModelLoadError: While iterating: the model cannot be loaded.
        ModelFaultError: While iterating: the model fails on every row.
    """
    engine = Engine(
        handler,
        inference_args=inference_args,
        ordered=ordered,
        on_failure=on_failure,
        retries=retries,
        timeout_s=timeout_s,
        workers=workers,
        progress=progress,
        metrics=metrics,
        model_identifier=model_identifier,
        watch_model_pattern=watch_model_pattern,
        watch_interval_s=watch_interval_s,
    )
    return Results.of(_and_close(engine, engine.map(examples).runs))


def _and_close(engine: Engine, runs: Generator[Any, None, None]) -> Generator[Any, None, None]:
    with engine:
        yield from runs
