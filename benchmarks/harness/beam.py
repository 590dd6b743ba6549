"""Apache Beam's handlers, in this process: called batch by batch, or in a pipeline on Beam's local runner.

A module of its own, because Beam pickles functions of the main program by value: lists in it would be copies.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_rows: list[Any] = []
_answers: list[tuple[int, Any]] = []


def installed() -> bool:
    """Whether Beam is there."""
    return importlib.util.find_spec("apache_beam") is not None


def stand_in_for_datatable() -> None:
    """Lets Beam's module for XGBoost be imported.

    It imports datatable, which nobody maintains and which this Python has no build of, for one handler that is not
    measured here and an annotation.
    """
    if importlib.util.find_spec("datatable") is None:
        module = types.ModuleType("datatable")
        module.__dict__["Frame"] = type("Frame", (), {})
        sys.modules["datatable"] = module


def call(handler: Any, model: Any, rows: Sequence[Any], batch_rows: int) -> Iterator[Any]:
    """The results of a handler that is called as Beam's DoFn does it, in batches of a fixed size.

    Metrics, keys and all that Beam does around these calls are left out.
    """
    for start in range(0, len(rows), batch_rows):
        yield from handler.run_inference(rows[start : start + batch_rows], model, {})


def pipeline(handler: Any, rows: Sequence[Any], answer: Callable[[Any], Any]) -> list[Any]:
    """The answers of a pipeline, whose model is loaded within it as always.

    Rows start as one element and are made within the stage of the model, so that none is encoded on its way there.

    Args:
        handler: A handler of Beam's.
        rows: The examples.
        answer: A function of an importable module, which makes the answer of a `PredictionResult`.
    """
    import apache_beam
    from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
    from apache_beam.options.pipeline_options import PipelineOptions

    logging.getLogger().setLevel(logging.ERROR)
    _rows[:], _answers[:] = rows, []
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    with apache_beam.Pipeline(options=options) as started:
        results = (
            started
            | apache_beam.Create([0], reshuffle=False)
            | apache_beam.FlatMap(_numbered)
            | RunInference(KeyedModelHandler(handler))
        )
        results | apache_beam.Map(_keep, answer)
    return [each for _, each in sorted(_answers, key=lambda pair: pair[0])]


def _numbered(_: int) -> Iterator[tuple[int, Any]]:
    yield from enumerate(_rows)


def _keep(result: tuple[int, Any], answer: Callable[[Any], Any]) -> None:
    _answers.append((result[0], answer(result[1])))
