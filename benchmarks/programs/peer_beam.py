"""Apache Beam's `RunInference` on its local runner: `peer_beam.py create|best ...`.

`create` starts from the arrays themselves, as Beam's examples do. `best` starts from a few numbers and makes the
arrays within the stage of the model, so that no array is encoded on its way there.
"""

from __future__ import annotations

import argparse
import logging

import apache_beam as beam
import beam_ends
import numpy as np
from apache_beam.ml.inference.base import RunInference
from apache_beam.ml.inference.sklearn_inference import ModelFileType, SklearnModelHandlerNumpy
from apache_beam.options.pipeline_options import PipelineOptions
from contestant import digest_of, parse, report


def main(arguments: argparse.Namespace) -> None:
    """Runs the contestant that the command line asks for."""
    # Which settings were tried is told in peer_cases/rows.py.
    options = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
    handler = SklearnModelHandlerNumpy(arguments.model, ModelFileType.JOBLIB, min_batch_size=1024, max_batch_size=1024)
    features = beam_ends.features(arguments.rows)

    def run(*ends: beam.PTransform) -> None:
        with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
            if arguments.kind == "create":
                rows = pipeline | beam.Create(list(features), reshuffle=False)
            else:
                starts = range(0, len(features), beam_ends.PART_ROWS)
                rows = pipeline | beam.Create(starts, reshuffle=False) | beam.FlatMap(beam_ends.part, arguments.rows)
            results = rows | RunInference(handler)
            for number, end in enumerate(ends):
                results = results | f"end {number}" >> end

    def one_pass() -> int:
        beam_ends.counts.clear()
        run(beam.combiners.Count.Globally(), beam.Map(beam_ends.count))
        return sum(beam_ends.counts)

    def digest() -> int:
        beam_ends.answers.clear()
        run(beam.Map(beam_ends.keep))
        examples, answers = zip(*beam_ends.answers, strict=True)
        return digest_of(np.array(examples), np.array(answers))

    report(one_pass, digest if arguments.check else None)


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    main(parse())
