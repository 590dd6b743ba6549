"""Daft on its local engine: `peer_daft.py rows|parquet ...`."""

from __future__ import annotations

import argparse
from typing import Any

import daft
import joblib
import numpy as np
import pyarrow as pa
from contestant import digest_of, parse, report
from daft import DataType, Series

from harness import data

# Which settings were tried is told in peer_cases/.
_BATCH_ROWS = 65_536


@daft.cls
class Predict:
    """A model that is loaded once for each worker."""

    def __init__(self, path: str) -> None:
        self._model = joblib.load(path)

    @daft.method.batch(return_dtype=DataType.int64(), batch_size=_BATCH_ROWS)
    def of_columns(self, *columns: Series) -> Any:
        """Predictions from one column for each feature."""
        return self._model.predict(np.column_stack([column.to_arrow().to_numpy() for column in columns]))

    @daft.method.batch(return_dtype=DataType.int64(), batch_size=_BATCH_ROWS)
    def of_vectors(self, vectors: Series) -> Any:
        """Predictions from a column that holds all features of a row."""
        flat = vectors.to_arrow().flatten()
        return self._model.predict(flat.to_numpy().reshape(len(vectors), -1))


def main(arguments: argparse.Namespace) -> None:
    """Runs the contestant that the command line asks for."""
    predict = Predict(arguments.model)
    if arguments.kind == "parquet":

        def one_pass() -> int:
            frame = daft.read_parquet(str(arguments.input))
            frame = frame.with_column("prediction", predict.of_columns(*(frame[name] for name in frame.column_names)))
            frame.write_parquet(str(arguments.output), compression="snappy", write_mode="overwrite")
            return daft.read_parquet(str(arguments.output)).count_rows()

        report(one_pass)
        return
    features = data.matrix(arguments.rows)
    table = pa.table({"features": pa.FixedSizeListArray.from_arrays(features.reshape(-1), data.FEATURES)})

    def answers() -> Any:
        frame = daft.from_arrow(table)
        return frame.with_column("prediction", predict.of_vectors(frame["features"]))

    def digest() -> int:
        out = answers().to_arrow().combine_chunks()
        examples = out.column("features").combine_chunks().flatten().to_numpy().reshape(-1, data.FEATURES)
        return digest_of(examples, out.column("prediction").to_numpy())

    report(lambda: sum(batch.num_rows for batch in answers().to_arrow_iter()), digest if arguments.check else None)


if __name__ == "__main__":
    main(parse())
