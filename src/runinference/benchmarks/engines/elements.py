"""The elements of a pipeline that runs elsewhere, on their way to the workers."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions

# A pipeline is one message, which services take up to some megabytes only.
_MOST_IN_PIPELINE = 1 << 20
_AT_A_TIME = 1_000


@contextmanager
def numbered(pipeline: beam.Pipeline, examples: Sequence[Any]) -> Iterator[Any]:
    """Elements with their numbers as keys, as a PCollection that is there until the pipeline has ended.

    They travel within the pipeline if they are few, else as files in the folder that `--temp_location` names.

    Args:
        pipeline: Where they are to be.
        examples: The elements.
    """
    folder = pipeline.options.view_as(GoogleCloudOptions).temp_location
    pairs = list(enumerate(examples))
    starts = range(0, len(pairs), _AT_A_TIME) if folder else ()
    parts = [pickle.dumps(pairs[start : start + _AT_A_TIME]) for start in starts]
    if sum(map(len, parts)) <= _MOST_IN_PIPELINE:
        yield pipeline | beam.Create(pairs)
        return
    folder = FileSystems.join(folder, f"runinference-elements-{uuid.uuid4().hex}")
    paths = [FileSystems.join(folder, f"{number:05}.pickle") for number in range(len(parts))]
    try:
        for path, part in zip(paths, parts, strict=True):
            with FileSystems.create(path) as file:
                file.write(part)
        yield pipeline | beam.Create(paths) | beam.FlatMap(_read) | beam.Reshuffle()
    finally:
        FileSystems.delete([folder])


def _read(path: str) -> Sequence[tuple[int, Any]]:
    with FileSystems.open(path) as file:
        pairs: Sequence[tuple[int, Any]] = pickle.loads(file.read())
    return pairs
