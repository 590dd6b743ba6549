"""scikit-learn, and everything with its interface: XGBoost, LightGBM and CatBoost estimators, pipelines, one's own."""

from __future__ import annotations

import enum
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from runinference.errors import ConfigurationError, MissingDependencyError, ModelLoadError, closest
from runinference.handler import ModelHandler
from runinference.handlers.columns import all_numbers, check_feature_count, select, to_frame, to_matrix
from runinference.handlers.muted import MutedWarning
from runinference.handlers.results import make_predictions, make_results, results_of_own_function
from runinference.handlers.stacking import Array, stack
from runinference.models.files import open_model_file
from runinference.options import HandlerOptions
from runinference.packages import require
from runinference.prediction import PredictionResult, qualified_name

if TYPE_CHECKING:
    import pandas as pd

# A model that was trained on a frame says so for each batch; who runs it on arrays knows.
_NAMES_MISSING = MutedWarning("X does not have valid feature names")


class ModelFileType(enum.Enum):
    """How a model was written to its file.

    Loading a `PICKLE` or `JOBLIB` file runs whatever code is in it, so load only files that you trust. `SKOPS` files
    hold no code.
    """

    PICKLE = 1
    JOBLIB = 2
    SKOPS = 3


def _default_numpy_inference_fn(model: Any, batch: Sequence[Any], inference_args: dict[str, Any] | None = None) -> Any:
    if isinstance(batch[0], Mapping):
        batch = _arrays_of_mappings(model, batch)
    return _predict(model, stack(batch), inference_args)


def _default_pandas_inference_fn(
    model: Any, batch: Sequence[pd.DataFrame], inference_args: dict[str, Any] | None = None
) -> Any:
    import pandas as pd

    names, _ = _trained_features(model)
    if isinstance(batch[0], Mapping):
        return model.predict(_in_order(pd.DataFrame(list(batch)), names), **(inference_args or {}))
    for frame in batch:
        if len(frame) != 1:
            raise ValueError(f"Only dataframes with single rows are supported, got one with {len(frame)} rows")
    # Each before they are joined, which would fill a column that one of them lacks with NaN.
    frames = [_in_order(frame, names) for frame in batch]
    joined = frames[0] if len(frames) == 1 else pd.concat(frames, axis=0)
    return model.predict(joined, **(inference_args or {}))


class _SklearnModelHandler(ModelHandler[Any, PredictionResult, Any]):
    """What both handlers share: where the model is and how it is loaded."""

    _default_inference_fn: Callable[..., Any]

    def __init__(
        self,
        model_uri: str,
        model_file_type: ModelFileType = ModelFileType.PICKLE,
        *,
        inference_fn: Callable[..., Any] | None = None,
        trusted_types: Sequence[str] | None = None,
        **options: Unpack[HandlerOptions],
    ) -> None:
        super().__init__(**options)
        name = type(self).__name__
        if not isinstance(model_file_type, ModelFileType):
            kinds = ", ".join(f"ModelFileType.{kind.name}" for kind in ModelFileType)
            raise ConfigurationError(f"{name}: model_file_type must be one of {kinds}, got {model_file_type!r}")
        if inference_fn is not None and not callable(inference_fn):
            raise ConfigurationError(f"{name}: inference_fn must be a function, got {inference_fn!r}")
        if trusted_types is not None and model_file_type is not ModelFileType.SKOPS:
            raise ConfigurationError(f"{name}: trusted_types has no effect without ModelFileType.SKOPS")
        self._model_uri = str(model_uri)
        self._model_file_type = model_file_type
        self._inference_fn = inference_fn
        self._trusted_types = trusted_types

    def load_model(self) -> Any:
        """Loads the model from its file.

        Raises:
            ModelLoadError: The file is missing, of another type, or does not hold a model.
            MissingDependencyError: A package that is needed to read it is not installed.
        """
        model = _load(self._model_uri, self._model_file_type, self._trusted_types)
        if self._inference_fn is None and not callable(getattr(model, "predict", None)):
            raise ModelLoadError(
                f"{self._model_uri} holds an object of type {qualified_name(type(model))}, which has no predict(); "
                "pass inference_fn to say how it is run"
            )
        return model

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Predicts for a batch.

        Args:
            batch: One example for each row.
            model: The loaded model.
            inference_args: Keyword arguments for `predict`, or for `inference_fn` as its third argument.

        Returns:
            One result for each row, with the file of the model as `model_id`.
        """
        if self._inference_fn is not None:
            outputs = self._inference_fn(model, batch, inference_args)
            return results_of_own_function(batch, outputs, self.get_model_id(), _without_frames)
        return make_results(batch, type(self)._default_inference_fn(model, batch, inference_args), self.get_model_id())

    def get_model_id(self) -> str:
        """Where the model is loaded from."""
        return self._model_uri

    def get_metrics_namespace(self) -> str:
        """`BeamML_Sklearn`, as dashboards know it."""
        return "BeamML_Sklearn"

    def update_model_path(self, model_path: str | None = None) -> None:
        """Makes the next `load_model` load from `model_path`."""
        self._model_uri = self._model_uri if model_path is None else str(model_path)


class SklearnModelHandlerNumpy(_SklearnModelHandler):
    """Runs scikit-learn models on numpy arrays.

    ```python
    handler = SklearnModelHandlerNumpy("model.joblib", ModelFileType.JOBLIB)
    ```

    Each example is an array of shape (features,); a batch is stacked to (rows, features). Tables are run as they are:
    the columns that the model was trained with are picked by name where the model knows their names.

    Args:
        model_uri: Path or URL of the model.
        model_file_type: How it was written.
        inference_fn: How it is run: `inference_fn(model, batch, inference_args)` with a list of arrays, to return one
            prediction for each. By default `model.predict` on the stacked batch.
        trusted_types: Names of types that a skops file may hold besides the usual ones.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    _default_inference_fn = staticmethod(_default_numpy_inference_fn)

    def run_inference_on_block(self, block: Any, model: Any, inference_args: dict[str, Any] | None = None) -> Any:
        """Predicts for a block.

        The model is given an array, in which texts that are numbers are read as such and a null is NaN. Where it was
        trained with named columns and some of them are not numbers, it is given a pandas frame.
        """
        names, count = _trained_features(model)
        block = select(block, names)
        check_feature_count(block, count)
        if names is not None and self._inference_fn is None and not all_numbers(block):
            return np.asarray(model.predict(to_frame(block), **(inference_args or {})))
        matrix = to_matrix(block)
        if self._inference_fn is not None:
            return make_predictions(matrix, self._inference_fn(model, list(matrix), inference_args))
        return _predict(model, matrix, inference_args)


class SklearnModelHandlerPandas(_SklearnModelHandler):
    """Runs scikit-learn models on pandas frames, so that they see column names and types.

    Each example is a `DataFrame` of one row; a batch is one frame. Tables are run as they are.

    Args:
        model_uri: Path or URL of the model.
        model_file_type: How it was written.
        inference_fn: How it is run: `inference_fn(model, batch, inference_args)` with a list of frames, to return one
            prediction for each. By default `model.predict` on the joined frame.
        trusted_types: Names of types that a skops file may hold besides the usual ones.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    _default_inference_fn = staticmethod(_default_pandas_inference_fn)

    def load_model(self) -> Any:
        """Loads the model from its file; pandas must be installed."""
        require("pandas", "pandas", "run SklearnModelHandlerPandas")
        return super().load_model()

    def run_inference_on_block(self, block: Any, model: Any, inference_args: dict[str, Any] | None = None) -> Any:
        """Predicts for a block as one frame."""
        names, count = _trained_features(model)
        block = select(block, names)
        check_feature_count(block, count)
        frame = to_frame(block)
        if names is not None and isinstance(block, np.ndarray):
            frame.columns = names
        if self._inference_fn is None:
            return np.asarray(model.predict(frame, **(inference_args or {})))
        rows = [frame.iloc[position : position + 1] for position in range(len(frame))]
        return make_predictions(rows, self._inference_fn(model, rows, inference_args))


def _predict(model: Any, matrix: Array, inference_args: dict[str, Any] | None) -> Any:
    if getattr(model, "feature_names_in_", None) is None:
        return model.predict(matrix, **(inference_args or {}))
    with _NAMES_MISSING:
        return model.predict(matrix, **(inference_args or {}))


def _without_frames(outputs: Any) -> Any:
    """The predictions; functions for frames that were written for Beam return the rows with them."""
    if isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], list):
        predictions, rows = outputs
        if len(predictions) == len(rows) and all(type(row).__name__ == "DataFrame" for row in rows):
            return predictions
    return outputs


def _trained_features(model: Any) -> tuple[list[str] | None, int | None]:
    """The names and the number of the features that a model was trained with, each where the model tells."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        # CatBoost calls them otherwise, and numbers those without a name; from a file it no longer knows how many.
        names = getattr(model, "feature_names_", None)
        if names is not None and list(names) == [str(position) for position in range(len(names))]:
            return None, len(names)
    if names is None or not len(names):
        return None, getattr(model, "n_features_in_", None)
    return list(map(str, names)), len(names)


def _in_order(frame: pd.DataFrame, names: list[str] | None) -> pd.DataFrame:
    """The columns of the training in their order: LightGBM takes others as they stand, without a word."""
    if names is None or list(frame.columns) == names:
        return frame
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"Column {missing[0]!r} is missing.{closest(missing[0], map(str, frame.columns))}")
    return frame[names]


def _arrays_of_mappings(model: Any, batch: Sequence[Mapping[str, Any]]) -> list[Array]:
    """Rows of a table, which come as dicts where something needs single rows, as arrays of their values."""
    names, _ = _trained_features(model)
    if names is None:
        return [np.asarray(list(row.values())) for row in batch]
    return [np.asarray([row[name] for name in names]) for row in batch]


def _load(uri: str, kind: ModelFileType, trusted_types: Sequence[str] | None) -> Any:
    try:
        with open_model_file(uri) as file:
            if kind is ModelFileType.PICKLE:
                return pickle.load(file)
            if kind is ModelFileType.JOBLIB:
                return require("joblib", "sklearn", "read joblib files").load(file)
            return _load_skops(uri, file.read(), trusted_types)
    except (ModelLoadError, MissingDependencyError):
        raise
    except ModuleNotFoundError as error:
        raise ModelLoadError(
            f"{uri} was written with the package {error.name!r}, which is not installed: pip install {error.name}"
        ) from error
    except Exception as error:
        raise ModelLoadError(
            f"{uri} cannot be read as a {kind.name.lower()} file ({qualified_name(type(error))}: {error}). "
            "Is it damaged, or of another type? See model_file_type"
        ) from error


def _load_skops(uri: str, content: bytes, trusted_types: Sequence[str] | None) -> Any:
    skops_io = require("skops.io", "skops", "read skops files")
    trusted = list(trusted_types or ())
    unknown = [name for name in skops_io.get_untrusted_types(data=content) if name not in trusted]
    if unknown:
        raise ModelLoadError(
            f"{uri} holds types that are not trusted: {', '.join(unknown)}. "
            "Pass them as trusted_types if you trust them"
        )
    return skops_io.loads(content, trusted=trusted)
