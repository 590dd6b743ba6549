"""One result for each row of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from runinference.batching.zipped import Zipped
from runinference.errors import OutputCountError
from runinference.prediction import PredictionResult

# A named tuple made through `tuple.__new__` skips a Python call for each row.
_new_result = partial(tuple.__new__, PredictionResult)


def make_results(batch: Sequence[Any], predictions: Any, model_id: str | None = None) -> Sequence[PredictionResult]:
    """Puts each example together with its prediction.

    Args:
        batch: The examples.
        predictions: One prediction for each, as a sequence, an array or a lazy iterable; or a mapping of names to
            such, which becomes one dict for each row.
        model_id: Which model made them.

    Returns:
        A sequence that makes each result when it is taken.

    Raises:
        OutputCountError: There are more or fewer predictions than examples.
    """
    return Zipped(_new_result, (batch, make_predictions(batch, predictions), [model_id] * len(batch)))


def make_predictions(batch: Any, predictions: Any) -> Any:
    """One prediction for each example, as a sequence or array.

    Args:
        batch: The examples.
        predictions: As for `make_results`.

    Raises:
        OutputCountError: There are more or fewer predictions than examples.
    """
    rows = _rows_of_mapping(batch, predictions) if isinstance(predictions, Mapping) else _as_sized(predictions)
    if len(rows) != len(batch):
        raise OutputCountError(f"The model returned {len(rows):,} predictions for a batch of {len(batch):,} rows")
    return rows


def _as_sized(predictions: Any) -> Any:
    if isinstance(predictions, Iterable) and not hasattr(predictions, "__len__"):
        return list(predictions)
    if getattr(predictions, "shape", None) == () or not hasattr(predictions, "__len__"):
        raise OutputCountError(
            f"The model returned one {type(predictions).__name__} for a batch; it must return one prediction per row"
        )
    return getattr(predictions, "values", predictions) if hasattr(predictions, "iloc") else predictions


def _rows_of_mapping(batch: Any, predictions: Mapping[str, Any]) -> list[dict[str, Any]]:
    for name, values in predictions.items():
        if not hasattr(values, "__len__") or len(values) != len(batch):
            size = f"{len(values):,} entries" if hasattr(values, "__len__") else "no entries per row"
            raise OutputCountError(f"The model's output {name!r} has {size} for a batch of {len(batch):,} rows")
    return [dict(zip(predictions, row, strict=True)) for row in zip(*predictions.values(), strict=True)]
