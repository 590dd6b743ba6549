"""TensorFlow and Keras models: SavedModels with their signatures, Keras files, weights and checkpoints."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Unpack

import numpy as np

from runinference.errors import ConfigurationError, ModelLoadError
from runinference.handler import ModelHandler
from runinference.handlers.columns import to_matrix
from runinference.handlers.results import make_predictions, make_results, results_of_own_function
from runinference.handlers.tensorflow.inputs import num_bytes, tensors_of_block, tensors_of_rows
from runinference.handlers.tensorflow.kinds import call_of
from runinference.handlers.tensorflow.load import import_tensorflow, load_saved, load_weights, read_weights
from runinference.handlers.tensorflow.outputs import map_tensors, outputs_of, to_numpy, to_rows
from runinference.options import HandlerOptions
from runinference.prediction import PredictionResult, qualified_name


class ModelType(enum.Enum):
    """What is in the place that a model is loaded from.

    `SAVED_MODEL` is a whole model: the folder of a SavedModel, or a `.keras` or `.h5` file. `SAVED_WEIGHTS` are the
    weights of a model that a function makes: a `.weights.h5` file, or the prefix of a TensorFlow checkpoint.
    """

    SAVED_MODEL = 1
    SAVED_WEIGHTS = 2


class _TFModelHandler(ModelHandler[Any, PredictionResult, Any]):
    """What both handlers share: where the model is, how it is loaded and called."""

    def __init__(
        self,
        model_uri: str,
        model_type: ModelType = ModelType.SAVED_MODEL,
        create_model_fn: Callable[[], Any] | None = None,
        *,
        load_model_args: dict[str, Any] | None = None,
        custom_weights: str = "",
        inference_fn: Callable[..., Any] | None = None,
        signature: str | None = None,
        **options: Unpack[HandlerOptions],
    ) -> None:
        super().__init__(**options)
        self._model_uri = str(model_uri)
        self._model_type = model_type
        self._create_model_fn = create_model_fn
        self._load_model_args = dict(load_model_args or {})
        self._custom_weights = str(custom_weights or "")
        self._inference_fn = inference_fn
        self._signature = signature
        self._check()

    def _check(self) -> None:
        name = type(self).__name__
        if not isinstance(self._model_type, ModelType):
            kinds = ", ".join(f"ModelType.{kind.name}" for kind in ModelType)
            raise ConfigurationError(f"{name}: model_type must be one of {kinds}, got {self._model_type!r}")
        for argument, value in (("create_model_fn", self._create_model_fn), ("inference_fn", self._inference_fn)):
            if value is not None and not callable(value):
                raise ConfigurationError(f"{name}: {argument} must be a function, got {value!r}")
        if self._signature is not None and self._inference_fn is not None:
            raise ConfigurationError(f"{name}: signature has no effect with an inference_fn, which runs the model")
        if self._model_type is ModelType.SAVED_MODEL:
            if self._create_model_fn is not None:
                raise ConfigurationError(f"{name}: create_model_fn has no effect without ModelType.SAVED_WEIGHTS")
            return
        if self._create_model_fn is None:
            raise ConfigurationError(
                f"{name}: ModelType.SAVED_WEIGHTS needs create_model_fn, which makes the model for the weights"
            )
        for argument in ("load_model_args", "custom_weights", "signature"):
            if getattr(self, f"_{argument}"):
                raise ConfigurationError(f"{name}: {argument} has no effect with ModelType.SAVED_WEIGHTS")

    def load_model(self) -> Any:
        """Loads the model.

        Returns:
            A Keras model, what `tf.saved_model.load` returns, or what `create_model_fn` returns.

        Raises:
            ModelLoadError: The model is missing, damaged or of another kind, or its weights do not fit.
            MissingDependencyError: TensorFlow is not installed.
        """
        if self._create_model_fn is not None:
            model = load_weights(self._model_uri, self._create_model_fn)
        else:
            model = load_saved(self._model_uri, self._load_model_args)
        if self._custom_weights:
            if not hasattr(model, "load_weights"):
                raise ModelLoadError(
                    f"custom_weights={self._custom_weights!r} need a Keras model, but {self._model_uri} holds a "
                    f"{qualified_name(type(model))}, whose weights cannot be replaced"
                )
            read_weights(model, self._custom_weights)
        if self._inference_fn is None:
            call_of(model, self._signature, self._model_uri)
        return model

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Predicts for a batch.

        Args:
            batch: One example for each row.
            model: The loaded model.
            inference_args: Keyword arguments of the model's call, such as `training`, or inputs of the signature that
                are the same for all rows; with an `inference_fn` its third argument.

        Returns:
            One result for each row, with the place of the model as `model_id`.

        Raises:
            ModelFaultError: The model cannot take an argument, or so many rows at once.
            ValueError: The rows differ in shape, or do not fit the model.
            MemoryError: The batch does not fit into the memory of the device.
        """
        if self._inference_fn is None:
            return make_results(batch, self._columns(self._run(batch, model, inference_args)), self.get_model_id())
        with _memory_errors(len(batch)):
            outputs = self._inference_fn(model, batch, inference_args or {}, self.get_model_id())
            return results_of_own_function(batch, outputs, self.get_model_id(), self._columns)

    def run_inference_on_block(self, block: Any, model: Any, inference_args: dict[str, Any] | None = None) -> Any:
        """Predicts for a block; the predictions are arrays of numpy.

        A model with one input is given all columns as a matrix, one with several the column of each by its name.
        """
        if self._inference_fn is None:
            outputs = map_tensors(self._run(block, model, inference_args, in_columns=True), to_numpy)
            predictions = make_predictions(range(len(block)), outputs)
        else:
            rows = self._rows(to_matrix(block))
            results = self.run_inference(rows, model, inference_args)
            predictions = [to_numpy(result.inference) for result in results]
        return predictions if isinstance(predictions, np.ndarray) else list(predictions)

    def _run(self, data: Any, model: Any, inference_args: dict[str, Any] | None, in_columns: bool = False) -> Any:
        call = call_of(model, self._signature, self._model_uri)
        arguments = inference_args or {}
        specs = call.inputs(arguments)
        with _memory_errors(len(data)):
            tensors = (tensors_of_block if in_columns else tensors_of_rows)(data, specs, call)
            return outputs_of(call(tensors, arguments))

    def _columns(self, outputs: Any) -> Any:
        """The outputs of the model as columns that are taken apart into one prediction for each row."""
        raise NotImplementedError

    def _rows(self, matrix: Any) -> Sequence[Any]:
        """The rows of a matrix as an `inference_fn` is given them."""
        raise NotImplementedError

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        """The bytes of the arrays, tensors and texts."""
        return sum(map(num_bytes, batch))

    def get_model_bytes(self, model: Any) -> int | None:
        """The bytes of the model's variables."""
        if self._inference_fn is None:
            variables = call_of(model, self._signature, self._model_uri).variables
        else:
            variables = list(getattr(model, "variables", ()))
        tf = import_tensorflow()
        total = sum(int(np.prod(variable.shape)) * int(tf.as_dtype(variable.dtype).size) for variable in variables)
        return total or None

    def get_model_id(self) -> str:
        """Where the model is loaded from."""
        return self._model_uri

    def update_model_path(self, model_path: str | None = None) -> None:
        """Makes the next `load_model` load from `model_path`."""
        self._model_uri = self._model_uri if model_path is None else str(model_path)


class TFModelHandlerNumpy(_TFModelHandler):
    """Runs TensorFlow and Keras models on numpy arrays.

    ```python
    handler = TFModelHandlerNumpy("model.keras")
    handler = TFModelHandlerNumpy("saved_model_folder", signature="serving_default")
    ```

    Each example is an array of the model's input shape without the row axis, or a dict of them by the name of the
    input where there are several; a batch is stacked to (rows, …) and cast to the type that the model takes. An input
    of texts takes `str`, `bytes` and `tf.train.Example` objects. A prediction is an array, a dict of arrays where the
    outputs have names, or a tuple of arrays. Tables are run as they are.

    Args:
        model_uri: Path or URL of the folder of a SavedModel, of a `.keras` or `.h5` file or, with
            `ModelType.SAVED_WEIGHTS`, of a `.weights.h5` file or a checkpoint (its prefix).
        model_type: Whether it is a whole model, or weights for the model that `create_model_fn` makes.
        create_model_fn: Makes the model for `ModelType.SAVED_WEIGHTS`; every weight of it must be in the file.
        load_model_args: Keyword arguments for `keras.models.load_model`, such as `custom_objects`, or for
            `tf.saved_model.load`, such as `tags`. Code in a Keras file, such as a Lambda layer, is refused unless
            `{"safe_mode": False}` is given.
        custom_weights: Path or URL of weights that a Keras model is given after it is loaded.
        inference_fn: How the model is run: `inference_fn(model, batch, inference_args, model_id)` with a list of
            examples, to return a `PredictionResult` or a prediction for each. By default one call of a graph for the
            whole batch.
        signature: Which signature of a SavedModel is run. By default the model itself where it can be called, else
            `serving_default`.
        **options: See [HandlerOptions][runinference.options.HandlerOptions]. Several copies of the model
            (`model_copies`) share the threads of TensorFlow, whose number is set once for a process, before the first
            model is loaded: `tf.config.threading.set_intra_op_parallelism_threads`.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def _columns(self, outputs: Any) -> Any:
        return map_tensors(outputs, to_numpy)

    def _rows(self, matrix: Any) -> Sequence[Any]:
        return list(matrix)

    def get_metrics_namespace(self) -> str:
        """`BeamML_TF_Numpy`, as dashboards know it."""
        return "BeamML_TF_Numpy"


class TFModelHandlerTensor(_TFModelHandler):
    """Runs TensorFlow and Keras models on tensors.

    ```python
    handler = TFModelHandlerTensor("model.keras")
    ```

    Each example is a `tf.Tensor` (or array) of the model's input shape without the row axis, or a dict of them by the
    name of the input where there are several; a batch is stacked to (rows, …) and cast to the type that the model
    takes. An input of texts takes `str`, `bytes` and `tf.train.Example` objects. A prediction is a `tf.Tensor`, a dict
    of them where the outputs have names, or a tuple of them. Tables are run as they are; their predictions are arrays.

    Args:
        model_uri: Path or URL of the folder of a SavedModel, of a `.keras` or `.h5` file or, with
            `ModelType.SAVED_WEIGHTS`, of a `.weights.h5` file or a checkpoint (its prefix).
        model_type: Whether it is a whole model, or weights for the model that `create_model_fn` makes.
        create_model_fn: Makes the model for `ModelType.SAVED_WEIGHTS`; every weight of it must be in the file.
        load_model_args: Keyword arguments for `keras.models.load_model`, such as `custom_objects`, or for
            `tf.saved_model.load`, such as `tags`. Code in a Keras file, such as a Lambda layer, is refused unless
            `{"safe_mode": False}` is given.
        custom_weights: Path or URL of weights that a Keras model is given after it is loaded.
        inference_fn: How the model is run: `inference_fn(model, batch, inference_args, model_id)` with a list of
            examples, to return a `PredictionResult` or a prediction for each. By default one call of a graph for the
            whole batch.
        signature: Which signature of a SavedModel is run. By default the model itself where it can be called, else
            `serving_default`.
        **options: See [HandlerOptions][runinference.options.HandlerOptions]. Several copies of the model
            (`model_copies`) share the threads of TensorFlow, whose number is set once for a process, before the first
            model is loaded: `tf.config.threading.set_intra_op_parallelism_threads`.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def _columns(self, outputs: Any) -> Any:
        return map_tensors(outputs, to_rows)

    def _rows(self, matrix: Any) -> Sequence[Any]:
        return list(to_rows(import_tensorflow().convert_to_tensor(matrix)))

    def get_metrics_namespace(self) -> str:
        """`BeamML_TF_Tensor`, as dashboards know it."""
        return "BeamML_TF_Tensor"


@contextlib.contextmanager
def _memory_errors(rows: int) -> Iterator[None]:
    """Raises the error of Python where TensorFlow says in its own way that memory ran out."""
    try:
        yield
    except import_tensorflow().errors.ResourceExhaustedError as error:
        raise MemoryError(f"The batch of {rows:,} rows does not fit into memory: {error.message}") from error
