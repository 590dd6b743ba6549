"""Ray Data on this machine: `peer_ray.py rows|parquet ...`."""

from __future__ import annotations

import argparse
import logging
from typing import Any

import numpy as np
import ray
from contestant import cores, digest_of, parse, report
from ray_model import predict, predict_table

from harness import data

# Which settings were tried is told in peer_cases/.
_BATCH_ROWS = 16_384
_BLOCKS = 8
_PARQUET_BATCH_ROWS = 65_536
_PARQUET_BLOCKS = 10


def main(arguments: argparse.Namespace) -> None:
    """Runs the contestant that the command line asks for."""
    ray.init(num_cpus=cores(), include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    if arguments.kind == "parquet":
        _parquet(arguments)
    else:
        _rows(arguments)


def _rows(arguments: argparse.Namespace) -> None:
    features = data.matrix(arguments.rows)

    def answers() -> Any:
        blocks = ray.data.from_numpy(np.array_split(features, _BLOCKS))
        predicted = blocks.map_batches(
            predict, batch_format="numpy", batch_size=_BATCH_ROWS, fn_kwargs={"path": arguments.model}
        )
        return predicted.iter_batches(batch_size=None, batch_format="numpy")

    def digest() -> int:
        out = list(answers())
        return digest_of(np.concatenate([b["data"] for b in out]), np.concatenate([b["prediction"] for b in out]))

    report(lambda: sum(len(batch["prediction"]) for batch in answers()), digest if arguments.check else None)


def _parquet(arguments: argparse.Namespace) -> None:
    def one_pass() -> int:
        stored = ray.data.read_parquet(str(arguments.input), override_num_blocks=_PARQUET_BLOCKS)
        predicted = stored.map_batches(
            predict_table, batch_format="pyarrow", batch_size=_PARQUET_BATCH_ROWS, fn_kwargs={"path": arguments.model}
        )
        # The writer's own default, dictionaries for floats too, takes twice as long.
        predicted.write_parquet(
            str(arguments.output), mode=ray.data.SaveMode.OVERWRITE, compression="snappy", use_dictionary=False
        )
        return int(ray.data.read_parquet(str(arguments.output)).count())

    report(one_pass)


if __name__ == "__main__":
    main(parse())
