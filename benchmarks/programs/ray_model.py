"""The model of the Ray contestant: a module of its own, so that its workers can import it."""

from __future__ import annotations

from functools import cache
from typing import Any

import joblib
import numpy as np
import pyarrow as pa


def predict(batch: dict[str, Any], path: str) -> dict[str, Any]:
    """Arrays with their predictions; the model is loaded once for each worker process."""
    return {**batch, "prediction": _model(path).predict(batch["data"])}


def predict_table(table: pa.Table, path: str) -> pa.Table:
    """A table with its predictions, which spares the arrays between Arrow and numpy that `predict` needs."""
    features = np.column_stack([column.to_numpy() for column in table.columns])
    return table.append_column("prediction", pa.array(_model(path).predict(features)))


@cache
def _model(path: str) -> Any:
    return joblib.load(path)
