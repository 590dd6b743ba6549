"""XGBoost's models themselves: loading, what they tell, and predicting with errors that can be read."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runinference.errors import ModelFaultError, ModelLoadError, OutputCountError, closest
from runinference.models.files import open_model_file
from runinference.packages import require

# What stands before the message in an error of XGBoost's C++ part: the time and the line of its source.
_PLACE = re.compile(r"^\[\d\d:\d\d:\d\d\] \S+?:\d+: ")
# JSON files hold the attribute as a text in a text, with its quotes escaped.
_ESTIMATOR_TYPE = re.compile(rb'_estimator_type\\?": ?\\?"(\w+)')
_ESTIMATORS = {b"classifier": "XGBClassifier", b"regressor": "XGBRegressor", b"ranker": "XGBRanker"}
_FILE_HEAD_BYTES = 1 << 20


def load(model_class: Callable[..., Any], uri: str) -> Any:
    """Makes an empty model and loads a file into it.

    Raises:
        ModelLoadError: The file is missing, damaged, in a format that is gone, or of another kind of model.
        MissingDependencyError: scikit-learn, which XGBoost's estimators need, is not installed.
    """
    with open_model_file(uri) as file:
        content = bytearray(file.read())
    _check_format(uri, content)
    kind = _name_of(model_class)
    try:
        model = model_class()
    except ImportError:
        require("sklearn", "sklearn", f"run {kind}")
        raise
    if not callable(getattr(model, "load_model", None)):
        raise ModelLoadError(
            f"model_class must make an empty XGBoost model, but {kind}() made {type(model).__name__}, "
            "which has no load_model()"
        )
    try:
        model.load_model(content)
    except (TypeError, ValueError) as error:  # XGBoost's own error is a ValueError.
        raise ModelLoadError(
            f"{uri} cannot be loaded as {kind}: {_first_line(error)}. "
            "Is it damaged, or was it saved from another class?"
        ) from None
    return model


def saved_class(uri: str) -> Any:
    """The class of XGBoost that a model was saved from, as far as its file tells.

    Args:
        uri: Path or URL of the model, saved as JSON or UBJSON.

    Returns:
        `XGBClassifier`, `XGBRegressor` or `XGBRanker`; `Booster` for a model that was saved without an estimator.

    Raises:
        ModelLoadError: The file cannot be read.
        MissingDependencyError: xgboost is not installed.
    """
    xgboost = require("xgboost", "xgboost", "run an XGBoost model")
    with open_model_file(uri) as file:
        head = file.read(_FILE_HEAD_BYTES)  # XGBoost sorts the keys, which puts the attributes first.
    found = _ESTIMATOR_TYPE.search(head)
    return getattr(xgboost, _ESTIMATORS.get(found[1], "Booster") if found else "Booster")


def _check_format(uri: str, content: bytearray) -> None:
    if content[:1] == b"{":
        return
    # XGBoost itself ends the whole process on an empty file.
    if not content:
        raise ModelLoadError(f"{uri} is empty")
    if content[:1] == b"\x80":
        advice = "It seems to be a pickle or joblib file: use SklearnModelHandlerNumpy or SklearnModelHandlerPandas"
    else:
        advice = (
            "If it is in XGBoost's old binary format, load it with XGBoost before 3.1 and save it with "
            'save_model("model.ubj")'
        )
    raise ModelLoadError(f"{uri} is neither JSON nor UBJSON: it begins with {bytes(content[:4])!r}. {advice}")


def open_threads(threads: int | None) -> int | None:
    """`threads`, unless the environment says how many there are to be."""
    return None if os.environ.get("OMP_NUM_THREADS") else threads


def use_threads(model: Any, threads: int) -> None:
    """Lets a model predict with so many threads, unless it was made with a number of its own."""
    xgboost = require("xgboost", "xgboost", "run its models")
    booster = booster_of(model)
    if not isinstance(booster, xgboost.Booster) or (getattr(model, "kwargs", None) or {}).get("nthread") is not None:
        return
    if json.loads(booster.save_config())["learner"]["generic_param"]["nthread"] != "0":
        return
    booster.set_param({"nthread": threads})
    if booster is not model:
        model.n_jobs = threads  # Of the matrix that an estimator makes of some kinds of rows.


def predict(model: Any, rows: Any, inference_args: dict[str, Any] | None, threads: int | None = None) -> Any:
    """One call of the model for all rows.

    Args:
        model: A booster, which is given a `DMatrix`, or an estimator.
        rows: An array, frame or sparse matrix of shape (rows, features).
        inference_args: Keyword arguments for `predict`.
        threads: Threads to make a `DMatrix` with; `None` for all cores.

    Returns:
        An array with one entry for each row.

    Raises:
        ValueError: XGBoost does not take the rows.
        MemoryError: Memory ran out, on the host or on a device.
        ModelFaultError: `predict` does not take the arguments.
    """
    xgboost = require("xgboost", "xgboost", "run its models")
    arguments = inference_args or {}
    if arguments:
        _check_arguments(model, arguments)
    count = rows.shape[0]
    try:
        if isinstance(model, xgboost.Booster):
            names = None if hasattr(rows, "iloc") else model.feature_names
            rows = xgboost.DMatrix(rows, feature_names=names, enable_categorical=True, nthread=threads)
        predictions = model.predict(rows, **arguments)
    except xgboost.core.XGBoostError as error:
        message = _first_line(error)
        if "out of memory" in message or "bad_alloc" in message:
            raise MemoryError(message) from None
        raise ValueError(message) from None
    if len(predictions) != count:
        raise OutputCountError(f"The model returned {len(predictions):,} predictions for {count:,} rows")
    return predictions


def _check_arguments(model: Any, arguments: Mapping[str, Any]) -> None:
    name = type(model).__name__
    _, *known = inspect.signature(model.predict).parameters.values()
    taken = [parameter.name for parameter in known if parameter.name != "base_margin"]
    for argument in arguments:
        if argument == "base_margin":
            raise ModelFaultError(
                "base_margin holds one value for each row and cannot be the same for every batch; "
                "pass an inference_fn that knows the rows"
            )
        if argument not in taken and all(parameter.kind is not parameter.VAR_KEYWORD for parameter in known):
            raise ModelFaultError(
                f"{name}.predict takes no {argument!r}.{closest(argument, taken)} It takes: {', '.join(taken)}"
            )


def booster_of(model: Any) -> Any:
    """The booster of an estimator; any other model itself."""
    get = getattr(model, "get_booster", None)
    return model if get is None else get()


def num_features(booster: Any) -> int | None:
    """How many features the model was trained with, where it tells."""
    count = getattr(booster, "num_features", None)
    return None if count is None else int(count())


def numbers(matrix: Any, booster: Any) -> Any:
    """The matrix, checked to be of numbers and as wide as the model needs."""
    check_width(matrix, booster)
    if matrix.dtype.kind in "biuf":
        return matrix
    if matrix.dtype == object:
        return matrix.astype(np.float64)
    raise ValueError(f"The rows must hold numbers, got an array of type {matrix.dtype}")


def check_width(rows: Any, booster: Any) -> None:
    """Raises `ValueError` for rows that are not as wide as the model needs; XGBoost takes some that are too narrow."""
    expected = num_features(booster)
    if expected is not None and rows.shape[1] != expected:
        raise ValueError(f"The model was trained with {expected:,} features but is given {rows.shape[1]:,}")


def _name_of(model_class: Any) -> str:
    """A name for messages, also of what is wrapped in a `functools.partial`."""
    return getattr(getattr(model_class, "func", model_class), "__name__", None) or repr(model_class)


def _first_line(error: BaseException) -> str:
    """The message of an error without the place in XGBoost's source and the stack below it."""
    lines = _PLACE.sub("", str(error)).splitlines()
    return lines[0].strip() if lines else type(error).__name__
