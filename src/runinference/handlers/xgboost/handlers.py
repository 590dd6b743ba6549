"""XGBoost: boosters and estimators from JSON and UBJSON files, on arrays, frames and sparse matrices."""

from __future__ import annotations

import copy as copying
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, Unpack

import numpy as np

from runinference.errors import ConfigurationError
from runinference.handler import ModelHandler
from runinference.handlers.columns import check_feature_count, select, to_frame, to_matrix
from runinference.handlers.copies import threads_of_copy
from runinference.handlers.results import make_results, results_of_own_function
from runinference.handlers.xgboost.frames import as_trained, holds_categories, join_frames, values_of
from runinference.handlers.xgboost.model import (
    booster_of,
    check_width,
    load,
    num_features,
    numbers,
    open_threads,
    predict,
    use_threads,
)
from runinference.options import HandlerOptions
from runinference.packages import require
from runinference.prediction import PredictionResult

# The joined rows, and of each element how many of them are its own: `None` for a single row, and if all are.
Joined = tuple[Any, list[int | None] | None]


class _XGBoostModelHandler(ModelHandler[Any, PredictionResult, Any]):
    """What the handlers share: all but how elements are joined and tables are read."""

    _threads: int | None = None

    def __init__(
        self,
        model_class: Callable[..., Any],
        model_state: str,
        inference_fn: Callable[..., Any] | None = None,
        **options: Unpack[HandlerOptions],
    ) -> None:
        super().__init__(**options)
        name = type(self).__name__
        if not callable(model_class):
            raise ConfigurationError(
                f"{name}: model_class must make an empty model, such as xgboost.XGBClassifier or xgboost.Booster, "
                f"got {type(model_class).__name__}"
            )
        if inference_fn is not None and not callable(inference_fn):
            raise ConfigurationError(f"{name}: inference_fn must be a function, got {inference_fn!r}")
        self._model_class = model_class
        self._model_state = str(model_state)
        self._inference_fn = inference_fn

    def load_model(self) -> Any:
        """Makes an empty model and loads the file into it.

        Raises:
            ModelLoadError: The file is missing, damaged, in a format that is gone, or of another kind of model.
            MissingDependencyError: xgboost, or scikit-learn for its estimators, is not installed.
        """
        require("xgboost", "xgboost", f"run {type(self).__name__}")
        model = load(self._model_class, self._model_state)
        threads = open_threads(self._threads)
        if threads is not None:
            use_threads(model, threads)
        return model

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Predicts for a batch with one call of the model.

        Args:
            batch: The elements, each a single row or a block of rows.
            model: The loaded model.
            inference_args: Keyword arguments for `predict`, or for `inference_fn` as its third argument.

        Returns:
            One result for each element, with the file of the model as `model_id`: for a single row its prediction,
            for a block of n rows an array of n predictions.
        """
        if self._inference_fn is not None:
            outputs = self._inference_fn(batch, model, inference_args)
            results = results_of_own_function(batch, outputs, self.get_model_id())
            # Functions written for Beam put the matrix that they made of an element in its place.
            return make_results(batch, [result.inference for result in results], self.get_model_id())
        rows, sizes = self._join(batch, booster_of(model))
        predictions = predict(model, rows, inference_args, open_threads(self._threads))
        return make_results(batch, _take_apart(predictions, sizes), self.get_model_id())

    def run_inference_on_block(self, block: Any, model: Any, inference_args: dict[str, Any] | None = None) -> Any:
        """Predicts for a block; where the model knows its columns by name, they are picked by name."""
        booster = booster_of(model)
        block = select(block, getattr(booster, "feature_names", None))
        check_feature_count(block, num_features(booster))
        rows = self._rows_of_block(block, booster)
        if self._inference_fn is None:
            return predict(model, rows, inference_args, open_threads(self._threads))
        results = self.run_inference(self._elements(rows), model, inference_args)
        return [result.inference for result in results]

    def for_copy(self, copy: int, copies: int) -> Self:  # noqa: ARG002
        """The handler of one of several copies, with its part of the cores."""
        clone = copying.copy(self)
        clone._threads = threads_of_copy(copies)
        return clone

    @abstractmethod
    def _join(self, batch: Sequence[Any], booster: Any) -> Joined:
        """All rows of a batch below each other."""

    @abstractmethod
    def _rows_of_block(self, block: Any, booster: Any) -> Any:
        """The rows of a block as the model takes them."""

    def _elements(self, rows: Any) -> list[Any]:
        """The rows one by one."""
        return [rows[position] for position in range(rows.shape[0])]

    def get_model_bytes(self, model: Any) -> int | None:
        """The bytes of the trees in XGBoost's binary format, which is about what they take in memory."""
        save = getattr(booster_of(model), "save_raw", None)
        return None if save is None else len(save("ubj"))

    def get_model_id(self) -> str:
        """Where the model is loaded from."""
        return self._model_state

    def get_metrics_namespace(self) -> str:
        """`BeamML_XGBoost`, as dashboards know it."""
        return "BeamML_XGBoost"

    def update_model_path(self, model_path: str | None = None) -> None:
        """Makes the next `load_model` load from `model_path`."""
        self._model_state = self._model_state if model_path is None else str(model_path)


class XGBoostModelHandlerNumpy(_XGBoostModelHandler):
    """Runs XGBoost models on numpy arrays.

    ```python
    handler = XGBoostModelHandlerNumpy(xgboost.XGBClassifier, "model.json")
    ```

    Each example is a row of shape (features,), whose prediction is one number or vector, or a block of shape
    (rows, features), whose prediction is an array with one entry for each row. NaN is a missing value. Tables are run
    as they are, with a null as a missing value; texts are given as categories where the model was trained with them.

    Args:
        model_class: Makes an empty model: `xgboost.XGBClassifier`, `xgboost.Booster`, or a function without arguments.
            Several copies (`model_copies`) share the cores of this process, unless it makes them with `n_jobs` or
            `nthread`, or the environment variable `OMP_NUM_THREADS` is set.
        model_state: Path or URL of the model, saved as JSON or UBJSON.
        inference_fn: How it is run: `inference_fn(batch, model, inference_args)` with the list of examples, to return
            one prediction, or one `PredictionResult`, for each. By default one `predict` for the whole batch.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def _join(self, batch: Sequence[Any], booster: Any) -> Joined:
        if isinstance(batch, np.ndarray) and batch.ndim == 2:
            return numbers(batch, booster), None
        if (matrix := _single_rows(batch)) is not None:
            return numbers(matrix, booster), None
        names = getattr(booster, "feature_names", None)
        rows = [row if type(row) is np.ndarray else _as_array(row, names) for row in batch]
        shapes = {row.shape for row in rows}
        if any(len(shape) not in (1, 2) for shape in shapes) or len({shape[-1] for shape in shapes}) > 1:
            raise ValueError(
                "The arrays of a batch must be of shape (features,) or (rows, features), with as many features each; "
                f"got the shapes {', '.join(map(str, sorted(shapes)[:5]))}"
            )
        matrix = np.concatenate(rows, axis=None).reshape(-1, rows[0].shape[-1])
        all_single = all(len(shape) == 1 for shape in shapes)
        sizes = None if all_single else [None if row.ndim == 1 else len(row) for row in rows]
        return numbers(matrix, booster), sizes

    def _rows_of_block(self, block: Any, booster: Any) -> Any:
        if self._inference_fn is None and holds_categories(block, booster):
            return as_trained(to_frame(block), booster, same_categories=False)
        return numbers(to_matrix(block), booster)


class XGBoostModelHandlerPandas(_XGBoostModelHandler):
    """Runs XGBoost models on pandas frames.

    Each example is a `DataFrame`, whose prediction is an array with one entry for each row, or a dict of one row, whose
    prediction is one number or vector. Columns are picked by name where the model knows their names. A column that was
    trained as categories is given the categories of the training, whatever those of the frame are. Texts that are
    numbers are read as such.

    Args:
        model_class: Makes an empty model: `xgboost.XGBClassifier`, `xgboost.Booster`, or a function without arguments.
            Several copies (`model_copies`) share the cores of this process, unless it makes them with `n_jobs` or
            `nthread`, or the environment variable `OMP_NUM_THREADS` is set.
        model_state: Path or URL of the model, saved as JSON or UBJSON.
        inference_fn: How it is run: `inference_fn(batch, model, inference_args)` with the list of examples, to return
            one prediction, or one `PredictionResult`, for each. By default one `predict` for the whole batch.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def load_model(self) -> Any:
        """Makes an empty model and loads the file into it; pandas must be installed."""
        require("pandas", "pandas", "run XGBoostModelHandlerPandas")
        return super().load_model()

    def _join(self, batch: Sequence[Any], booster: Any) -> Joined:
        frame = as_trained(join_frames(batch, booster), booster)
        check_width(frame, booster)
        return frame, [None if isinstance(row, Mapping) else len(row) for row in batch]

    def _rows_of_block(self, block: Any, booster: Any) -> Any:
        frame = to_frame(block)
        names = getattr(booster, "feature_names", None)
        if isinstance(block, np.ndarray) and names is not None:
            frame.columns = names
        return as_trained(frame, booster, same_categories=False)

    def _elements(self, rows: Any) -> list[Any]:
        return [rows.iloc[position : position + 1] for position in range(len(rows))]


class XGBoostModelHandlerSciPy(_XGBoostModelHandler):
    """Runs XGBoost models on sparse matrices of scipy.

    Each example is a sparse matrix of shape (rows, features), also of one row; its prediction is an array with one
    entry for each row. A value that is not stored is missing for XGBoost, which is not the same as 0. A table becomes
    such a matrix too, so that its zeros are missing: use `XGBoostModelHandlerNumpy` for models trained on dense data.

    Args:
        model_class: Makes an empty model: `xgboost.XGBClassifier`, `xgboost.Booster`, or a function without arguments.
            Several copies (`model_copies`) share the cores of this process, unless it makes them with `n_jobs` or
            `nthread`, or the environment variable `OMP_NUM_THREADS` is set.
        model_state: Path or URL of the model, saved as JSON or UBJSON.
        inference_fn: How it is run: `inference_fn(batch, model, inference_args)` with the list of examples, to return
            one prediction, or one `PredictionResult`, for each. By default one `predict` for the whole batch.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def _join(self, batch: Sequence[Any], booster: Any) -> Joined:
        sparse = require("scipy.sparse", "xgboost", "run XGBoostModelHandlerSciPy")
        for matrix in batch:
            if not sparse.issparse(matrix) or matrix.ndim != 2:
                raise ValueError(f"An example must be a sparse matrix of shape (rows, features), got {_shown(matrix)}")
        joined = sparse.csr_matrix(sparse.vstack(list(batch), format="csr"))
        return numbers(joined, booster), [matrix.shape[0] for matrix in batch]

    def _rows_of_block(self, block: Any, booster: Any) -> Any:
        sparse = require("scipy.sparse", "xgboost", "run XGBoostModelHandlerSciPy")
        return sparse.csr_matrix(numbers(to_matrix(block), booster))

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        """The bytes of the stored values and of their positions."""
        parts = ("data", "indices", "indptr", "row", "col", "offsets")
        return sum(getattr(getattr(matrix, part, None), "nbytes", 0) for matrix in batch for part in parts)


def _take_apart(predictions: Any, sizes: list[int | None] | None) -> Any:
    """Of the predictions for the joined rows those of each element."""
    if sizes is None:
        return predictions
    parts, start = [], 0
    for size in sizes:
        # A copy, so that keeping it does not keep the predictions of the whole batch.
        part = predictions[start : start + (1 if size is None else size)].copy()
        parts.append(part[0] if size is None else part)
        start += len(part)
    return parts


def _single_rows(batch: Sequence[Any]) -> np.ndarray[Any, Any] | None:
    """Single rows of one width below each other, without an object for each; `None` where they are anything else."""
    if set(map(type, batch)) != {np.ndarray} or batch[0].ndim != 1:
        return None
    try:
        matrix = np.array(batch)
    except ValueError:  # They differ in shape.
        return None
    return matrix if matrix.ndim == 2 else None


def _as_array(row: Any, names: Sequence[str] | None) -> np.ndarray[Any, Any]:
    if isinstance(row, Mapping):
        return np.array(values_of(row, names), dtype=object)
    return np.asarray(row)


def _shown(example: Any) -> str:
    shape = getattr(example, "shape", None)
    return type(example).__name__ + ("" if shape is None else f" of shape {shape}")
