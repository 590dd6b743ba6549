"""The hand-written Parquet job: `table_loop.py MODEL INPUT OUTPUT`.

Written as somebody who knows pyarrow would, with the settings that were fastest: batches of 16,384 rows, memory map,
no dictionaries for floats, the same compression as the other contestant. On 2 cores 65,536 or 131,072 rows take about a
quarter longer, pre-buffering a few percent, and dictionaries, pyarrow's default, three times as long.
"""

from __future__ import annotations

import sys

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_BATCH_ROWS = 16_384


def main(model_file: str, source: str, target: str) -> None:
    """Adds the column `prediction`."""
    model = joblib.load(model_file)
    file = pq.ParquetFile(source, memory_map=True)
    schema = file.schema_arrow.append(pa.field("prediction", pa.int64()))
    with pq.ParquetWriter(target, schema, compression="snappy", use_dictionary=False) as writer:
        for batch in file.iter_batches(_BATCH_ROWS):
            features = np.column_stack([column.to_numpy() for column in batch.columns])
            predictions = pa.array(model.predict(features))
            writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, predictions], schema=schema))


if __name__ == "__main__":
    main(*sys.argv[1:])
