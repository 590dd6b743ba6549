"""One result for each row of a batch, out of whatever a model returns for the batch."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from runinference.batching.zipped import Zipped
from runinference.errors import OutputCountError
from runinference.prediction import PredictionResult


def make_results(batch: Sequence[Any], predictions: Any, model_id: str | None = None) -> Sequence[PredictionResult]:
    """Puts each example together with its prediction.

    Args:
        batch: The examples.
        predictions: What the model returned; see `make_predictions`.
        model_id: Which model made them.

    Returns:
        A sequence that makes each result when it is taken.

    Raises:
        OutputCountError: There are more or fewer predictions than examples, or a part of them is not per row.
    """
    return Zipped(PredictionResult, (batch, make_predictions(batch, predictions), [model_id] * len(batch)))


def results_of_own_function(
    batch: Sequence[Any],
    outputs: Any,
    model_id: str | None,
    convert: Callable[[Any], Any] = lambda outputs: outputs,
) -> Sequence[PredictionResult]:
    """The results of an `inference_fn` of the user's, which makes results itself or only predictions.

    Args:
        batch: The examples.
        outputs: What it returned.
        model_id: Which model made them, where it made predictions.
        convert: What is done to predictions first.

    Raises:
        OutputCountError: As for `make_results`.
    """
    if isinstance(outputs, (Iterator, Zipped)):
        outputs = list(outputs)
    if isinstance(outputs, (list, tuple)) and outputs and all(map(_is_result, outputs)):
        _check_count(len(outputs), len(batch), "")
        return [each if each.model_id is not None else each._replace(model_id=model_id) for each in outputs]
    return make_results(batch, convert(outputs), model_id)


def _is_result(value: Any) -> bool:
    # Beam's own class of that name counts too.
    return getattr(value, "_fields", None) == PredictionResult._fields


def make_predictions(batch: Any, predictions: Any) -> Any:
    """One prediction for each example, as a sequence.

    A list, or an iterable without a length, is one prediction for each row. An array or tensor is taken apart along
    its first axis. A mapping, dataclass, named tuple or tuple of arrays is several outputs, each taken apart in the
    same way; a row of it is a dict, or an object of the same class, with one entry of each. Pickling a row does not
    pickle its batch.

    Args:
        batch: The examples.
        predictions: What the model returned.

    Raises:
        OutputCountError: There are more or fewer predictions than examples, or a part of them is not per row.
    """
    return _split(predictions, len(batch), "")


def _split(value: Any, count: int, name: str) -> Any:
    if hasattr(value, "iloc"):
        value = value.values
    if isinstance(value, Mapping):
        return _zipped(_as_dict(list(value)), dict(value), count, name)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _zipped(_as_dataclass(value, list(fields)), fields, count, name)
    if isinstance(value, tuple) and any(map(_is_column, value)):
        names = getattr(value, "_fields", range(len(value)))
        make = type(value)._make if hasattr(value, "_make") else tuple
        return _zipped(make, dict(zip(names, value, strict=True)), count, name)
    if _is_array(value):
        return _rows_of_array(value, count, name)
    if isinstance(value, Iterable) and not hasattr(value, "__len__"):
        value = list(value)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or not hasattr(value, "__getitem__"):
        raise OutputCountError(_not_per_row(value, name))
    _check_count(len(value), count, name)
    return value


def _zipped(make: Callable[[tuple[Any, ...]], Any], columns: dict[Any, Any], count: int, name: str) -> Zipped:
    if not columns:
        raise OutputCountError(f"{_subject(name)} is empty; it must have one prediction for each of {count:,} rows")
    # None stands for an output that the model does not have.
    split = [
        [None] * count if column is None else _split(column, count, f"{name}[{key!r}]")
        for key, column in columns.items()
    ]
    return Zipped(make, tuple(split))


def _as_dict(names: list[Any]) -> Callable[[tuple[Any, ...]], dict[Any, Any]]:
    return lambda row: dict(zip(names, row, strict=True))


def _as_dataclass(whole: Any, names: list[str]) -> Callable[[tuple[Any, ...]], Any]:
    def make(row: tuple[Any, ...]) -> Any:
        one = copy.copy(whole)
        for name, value in zip(names, row, strict=True):
            object.__setattr__(one, name, value)
        return one

    return make


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "__getitem__")


def _is_column(value: Any) -> bool:
    """Whether an entry of a tuple is one output for all rows, so that the tuple is not one entry for each row."""
    if _is_result(value):
        return False
    if isinstance(value, (tuple, list)):
        return any(map(_is_column, value))
    if _is_array(value):
        return len(value.shape) > 0
    return isinstance(value, (Mapping, Sequence)) and not isinstance(value, (str, bytes))


def _rows_of_array(array: Any, count: int, name: str) -> Any:
    if len(array.shape) == 0:
        raise OutputCountError(_not_per_row(array, name))
    _check_count(int(array.shape[0]), count, name)
    if type(array).__module__.partition(".")[0] == "torch":
        return Zipped(_clone, (array,))
    return array


def _clone(row: tuple[Any]) -> Any:
    # A row of a tensor is a view, with which the memory of the whole batch would be pickled.
    return row[0].clone()


def _check_count(found: int, count: int, name: str) -> None:
    if found != count:
        what = (
            f"The model's output {name} has {found:,} entries" if name else f"The model returned {found:,} predictions"
        )
        raise OutputCountError(f"{what} for a batch of {count:,} rows")


def _not_per_row(value: Any, name: str) -> str:
    if not name:
        return f"The model returned one {type(value).__name__} for a batch; it must return one prediction per row"
    return (
        f"The model's output {name} is one {type(value).__name__} for the whole batch and has no entry per row; "
        "leave it out, for instance with an inference_fn of your own"
    )


def _subject(name: str) -> str:
    return f"The model's output {name}" if name else "What the model returned"
