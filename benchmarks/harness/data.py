"""The data and the model that the benchmarks run on: made once, always the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.machine import ROOT, versions

FEATURES = 64
_GROUP_ROWS = 100_000


def folder() -> Path:
    """Where benchmark data is kept; not part of the repository."""
    path = ROOT / "bench-data"
    path.mkdir(exist_ok=True)
    return path


def matrix(rows: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """Random features as float32, of shape (rows, 64)."""
    return np.random.default_rng(seed).standard_normal((rows, FEATURES), dtype=np.float32)


def made_once(name: str, write: Callable[[Path], object]) -> Path:
    """The file of that name among the benchmark data; `write` writes it where it is not there yet."""
    path = folder() / name
    if not path.exists():
        unfinished = _unfinished(path)
        write(unfinished)
        unfinished.rename(path)
    return path


def model_file() -> Path:
    """A logistic regression on 64 features, trained without column names."""
    path = folder() / f"logistic-{FEATURES}-sklearn-{versions(['scikit-learn'])['scikit-learn']}.joblib"
    if not path.exists():
        import joblib
        from sklearn.linear_model import LogisticRegression

        features = matrix(20_000, seed=0)
        labels = (features @ np.linspace(-1, 1, FEATURES, dtype=np.float32) > 0).astype(np.int64)
        unfinished = _unfinished(path)
        joblib.dump(LogisticRegression(max_iter=200).fit(features, labels), unfinished)
        unfinished.rename(path)
    return path


def parquet_file(rows: int) -> Path:
    """Rows of 64 float32 columns in a Parquet file: snappy, no dictionaries, row groups of 100,000."""
    path = folder() / f"rows-{rows}x{FEATURES}.parquet"
    if not path.exists():
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = [f"f{column:02}" for column in range(FEATURES)]
        schema = pa.schema([(name, pa.float32()) for name in names])
        unfinished = _unfinished(path)
        with pq.ParquetWriter(unfinished, schema, compression="snappy", use_dictionary=False) as writer:
            for start in range(0, rows, _GROUP_ROWS):
                features = matrix(min(_GROUP_ROWS, rows - start), seed=1 + start)
                writer.write_table(pa.table(list(np.ascontiguousarray(features.T)), names))
        unfinished.rename(path)
    return path


def _unfinished(path: Path) -> Path:
    # Renamed when it is whole: an interrupted run leaves nothing that looks like data.
    return path.with_name(f"{path.name}.{os.getpid()}.unfinished")
