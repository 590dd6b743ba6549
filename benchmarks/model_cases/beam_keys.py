"""Apache Beam's handler for several models by key, in a pipeline on Beam's local runner.

A module of its own, because Beam pickles functions of the main program by value: lists in it would be copies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Pair = tuple[int, Any]

_rows: list[Pair] = []
_answers: dict[int, int] = {}


def pipeline(
    handlers: Sequence[Any], keys: Sequence[list[int]], rows: list[Pair], answer: Callable[[Any], int]
) -> list[int]:
    """The answers of a pipeline, whose models are loaded within it as always, in the order of the rows.

    Rows start as one element and are made within the stage of the models, so that none is encoded on its way there.

    Args:
        handlers: Beam's handlers.
        keys: The keys of each.
        rows: A key and an example for each, no example twice.
        answer: A function of an importable module, which makes the answer of a key and its `PredictionResult`.
    """
    import apache_beam
    from apache_beam.ml.inference.base import KeyedModelHandler, KeyModelMapping, RunInference
    from apache_beam.options.pipeline_options import PipelineOptions

    logging.getLogger().setLevel(logging.ERROR)
    _rows[:] = rows
    _answers.clear()
    handler = KeyedModelHandler([KeyModelMapping(own, each) for own, each in zip(keys, handlers, strict=True)])
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    with apache_beam.Pipeline(options=options) as started:
        results = (
            started | apache_beam.Create([0], reshuffle=False) | apache_beam.FlatMap(_given) | RunInference(handler)
        )
        results | apache_beam.Map(_keep, answer)
    return [_answers[id(example)] for _, example in rows]


def _given(_: int) -> Iterator[Pair]:
    yield from _rows


def _keep(result: tuple[int, Any], answer: Callable[[Any], int]) -> None:
    # Beam gives results grouped by key; the examples are the objects that went in.
    _answers[id(result[1].example)] = answer(result)
