"""ONNX models, run by onnxruntime."""

from __future__ import annotations

import copy as copying
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, Unpack

import numpy as np

from runinference.errors import ConfigurationError, ModelFaultError, ModelLoadError, OutputCountError, closest
from runinference.handler import ModelHandler
from runinference.handlers.copies import threads_of_copy
from runinference.handlers.onnx.inputs import Input, examples_of_block, feed_of_block, feed_of_rows, split_inputs
from runinference.handlers.onnx.session import (
    Providers,
    SessionOptions,
    check_providers,
    check_session_options,
    file_bytes,
    open_session,
)
from runinference.handlers.results import make_predictions, make_results, results_of_own_function
from runinference.options import HandlerOptions
from runinference.prediction import PredictionResult

# What onnxruntime writes when memory ran out; its exceptions have no class for it.
_OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc", "bad allocation")


class OnnxModelHandlerNumpy(ModelHandler[Any, PredictionResult, Any]):
    """Runs ONNX models on numpy arrays.

    ```python
    handler = OnnxModelHandlerNumpy("model.onnx")
    handler = OnnxModelHandlerNumpy("encoder.onnx", {"intra_op_num_threads": 2}, output_names=["embedding"])
    ```

    For a model with one input, each example is an array without the batch axis; for one with several, a dict of such
    arrays by the names of the inputs. A batch is stacked to arrays of shape (rows, …), which become the type of the
    input where nothing but precision is lost: float64 becomes float32, integers become floats or integers of another
    size, but floats become no integers. Texts are given to inputs of type string.

    A prediction is the row of the model's output, or a dict of the rows of its outputs where it has several.

    Tables are run as they are: a model with one input gets all columns side by side, a model with several inputs the
    columns of their names.

    A model whose first axis has a fixed length, such as (8, 3, 224, 224), is run on so many rows at a time; the last
    ones are repeated to fill it up and their surplus predictions dropped. Batches of a multiple of that length waste
    nothing: see `max_batch_size`.

    `inference_args` are further inputs, by name, each given whole to every batch: `{"threshold": 0.5}`.

    Args:
        model_uri: Path or URL of the model, with its files of weights beside it, or of a folder with one model.
        session_options: Attributes of `onnxruntime.SessionOptions` as a dict, enumerations as texts, such as
            `{"graph_optimization_level": "ORT_ENABLE_BASIC"}`; or a function that makes one; or one itself, with which
            the handler cannot be pickled. Where `intra_op_num_threads` is not set, several copies of the model
            (`model_copies`) share the cores of this process.
        providers: Execution providers in order of preference, as names or tuples of name and options. All of them must
            be available. By default CUDA where this onnxruntime has it, and the CPU.
        provider_options: A dict of options for each provider.
        inference_fn: How the model is run: `inference_fn(session, batch, inference_args)` with a list of examples, to
            return one prediction for each.
        output_names: The outputs to return, though onnxruntime computes the others too; a single one is not put into a
            dict. All by default.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    _threads: int | None = None

    def __init__(
        self,
        model_uri: str,
        session_options: SessionOptions = None,
        providers: Providers | None = None,
        provider_options: Sequence[dict[str, Any]] | None = None,
        *,
        inference_fn: Callable[..., Any] | None = None,
        output_names: Sequence[str] | None = None,
        **options: Unpack[HandlerOptions],
    ) -> None:
        super().__init__(**options)
        check_providers(providers, provider_options)
        if inference_fn is not None and not callable(inference_fn):
            raise ConfigurationError(f"OnnxModelHandlerNumpy: inference_fn must be a function, got {inference_fn!r}")
        if inference_fn is not None and output_names is not None:
            raise ConfigurationError("OnnxModelHandlerNumpy: output_names has no effect with an inference_fn")
        self._model_uri = str(model_uri)
        self._session_options = check_session_options(session_options)
        self._providers = providers
        self._provider_options = provider_options
        self._inference_fn = inference_fn
        self._output_names = _checked_names(output_names)

    def load_model(self) -> Any:
        """Opens an `onnxruntime.InferenceSession`.

        Raises:
            ModelLoadError: The file is missing, damaged or no ONNX model, a provider is not available, or the model
                has not the outputs that are asked for.
            ConfigurationError: The session options cannot work.
            MissingDependencyError: onnxruntime is not installed.
        """
        session = open_session(
            self._model_uri, self._session_options, self._providers, self._provider_options, self._threads
        )
        if self._inference_fn is None:
            try:
                split_inputs(session, None)
            except ModelLoadError as error:
                raise ModelLoadError(f"{self._model_uri}: {error}") from None
        known = [node.name for node in session.get_outputs()]
        for name in self._output_names or ():
            if name not in known:
                raise ModelLoadError(
                    f"{self._model_uri} has no output {name!r}.{closest(name, known)} Outputs: {', '.join(known)}"
                )
        return session

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Predicts for a batch.

        Args:
            batch: One array, or dict of arrays, for each row.
            model: The loaded session.
            inference_args: Values of further inputs by name, or the third argument for `inference_fn`.

        Returns:
            One result for each row, with the path of the model as `model_id`.

        Raises:
            ValueError: A row does not fit the inputs of the model.
            ModelFaultError: `inference_args` do not fit them, or an output is not per row.
        """
        if self._inference_fn is not None:
            outputs = self._inference_fn(model, batch, inference_args)
            return results_of_own_function(batch, outputs, self.get_model_id())
        inputs, fixed = split_inputs(model, inference_args)
        predictions = self._run(model, inputs, feed_of_rows(batch, inputs), fixed, len(batch))
        return make_results(batch, predictions, self.get_model_id())

    def run_inference_on_block(self, block: Any, model: Any, inference_args: dict[str, Any] | None = None) -> Any:
        """Predicts for a block; of several outputs each row is a dict."""
        if self._inference_fn is not None:
            rows = examples_of_block(block, model.get_inputs())
            return [result.inference for result in self.run_inference(rows, model, inference_args)]
        inputs, fixed = split_inputs(model, inference_args)
        outputs = self._run(model, inputs, feed_of_block(block, inputs), fixed, len(block))
        return list(make_predictions(block, outputs)) if isinstance(outputs, dict) else outputs

    def get_model_bytes(self, model: Any) -> int | None:
        """The bytes of the model's file and its files of weights; onnxruntime does not tell those in memory."""
        return file_bytes.get(model)

    def get_model_id(self) -> str:
        """Where the model is loaded from."""
        return self._model_uri

    def get_metrics_namespace(self) -> str:
        """`BeamML_Onnx`, as dashboards know it."""
        return "BeamML_Onnx"

    def update_model_path(self, model_path: str | None = None) -> None:
        """Makes the next `load_model` load from `model_path`."""
        self._model_uri = self._model_uri if model_path is None else str(model_path)

    def for_copy(self, copy: int, copies: int) -> Self:  # noqa: ARG002
        """The handler of one of several copies, with its part of the cores."""
        clone = copying.copy(self)
        clone._threads = threads_of_copy(copies)
        return clone

    def _run(
        self, session: Any, inputs: Sequence[Input], feed: dict[str, Any], fixed: dict[str, Any], count: int
    ) -> Any:
        """The only output for all rows, or a dict of several."""
        names = self._output_names or [node.name for node in session.get_outputs()]
        size = _fixed_size(inputs)
        if size is None or size == count:
            outputs = _call(session, names, {**feed, **fixed}, count)
        else:
            parts = [
                _call(session, names, {**_part(feed, start, size), **fixed}, size) for start in range(0, count, size)
            ]
            outputs = [_join(values)[:count] for values in zip(*parts, strict=True)]
        return outputs[0] if len(names) == 1 else dict(zip(names, outputs, strict=True))


def _checked_names(names: Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    checked = [names] if isinstance(names, str) else list(names)
    if not checked or len(set(checked)) < len(checked) or not all(isinstance(name, str) for name in checked):
        raise ConfigurationError(
            f"OnnxModelHandlerNumpy: output_names must be different names of outputs, at least one; got {names!r}"
        )
    return checked


def _fixed_size(inputs: Sequence[Input]) -> int | None:
    """The length of the batch axis, where the model fixes it."""
    sizes = {each.name: each.shape[0] for each in inputs if each.shape and isinstance(each.shape[0], int)}
    if len(set(sizes.values())) > 1:
        raise ModelFaultError(
            f"The model's inputs do not agree on a number of rows: {sizes}. "
            "Give those that are not per row as inference_args"
        )
    return next(iter(sizes.values()), None)


def _part(feed: dict[str, Any], start: int, size: int) -> dict[str, Any]:
    """`size` rows of each array from `start` on, the last one repeated where there are fewer."""
    part = {name: array[start : start + size] for name, array in feed.items()}
    missing = size - len(next(iter(part.values())))
    if not missing:
        return part
    return {name: np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) for name, rows in part.items()}


def _call(session: Any, names: list[str], feed: dict[str, Any], count: int) -> list[Any]:
    try:
        outputs: list[Any] = session.run(names, feed)
    except Exception as error:
        if any(text in str(error).lower() for text in _OUT_OF_MEMORY):
            raise MemoryError(str(error)) from error
        raise
    for name, values in zip(names, outputs, strict=True):
        per_row = isinstance(values, list) or (isinstance(values, np.ndarray) and values.ndim > 0)
        if not per_row or len(values) != count:
            raise OutputCountError(
                f"The model's output {name!r}, {_shape(values)}, has not one entry for each of {count:,} rows; "
                "leave it out with output_names"
            )
    return outputs


def _shape(values: Any) -> str:
    if hasattr(values, "shape"):
        return f"an array of shape {values.shape}"
    return f"a list of {len(values):,}" if isinstance(values, list) else f"a {type(values).__name__}"


def _join(parts: Sequence[Any]) -> Any:
    """The values of one output for several parts of a batch."""
    if isinstance(parts[0], np.ndarray):
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    return [value for part in parts for value in part]
