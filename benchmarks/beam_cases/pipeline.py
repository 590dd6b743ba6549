"""A pipeline with either transform, on Beam's local runner in this process.

A module of its own, because Beam pickles functions of the main program by value: lists in it would be copies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

OPTIONS = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
_PART = 1000

_rows: list[Any] = []
_results: list[Any] = []


def results(rows: Sequence[Any], transform: Callable[[], beam.PTransform]) -> list[Any]:
    """What the transform gives for the rows, in their order.

    All of a pipeline is in it: it is made and started, loads the model, and ends. `Create` gives where parts of the
    rows start, and the rows are taken from there within the stage of the model. Rows that `Create` itself holds are
    pickled and compressed several times, 0.35 ms for one of 64 floats: ten times all that is to be measured.

    Args:
        rows: The elements.
        transform: Makes the transform.
    """
    logging.getLogger().setLevel(logging.ERROR)
    _rows[:] = rows
    _results.clear()
    with beam.Pipeline(options=OPTIONS) as pipeline:
        starts = pipeline | beam.Create(range(0, len(rows), _PART), reshuffle=False)
        _ = starts | beam.FlatMap(_part) | "model" >> transform() | beam.Map(_keep)
    return list(_results)


def _part(start: int) -> Iterator[Any]:
    yield from _rows[start : start + _PART]


def _keep(result: Any) -> None:
    _results.append(result)
