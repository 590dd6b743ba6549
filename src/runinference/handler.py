"""What a model is: how it is loaded and how it turns a batch of examples into predictions."""

from __future__ import annotations

import copy
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, Unpack

from runinference.errors import ConfigurationError
from runinference.options import HandlerOptions, check_options

ExampleT = TypeVar("ExampleT")
PredictionT = TypeVar("PredictionT")
ModelT = TypeVar("ModelT")


class ModelHandler(ABC, Generic[ExampleT, PredictionT, ModelT]):
    """Loads a model and runs it on batches. Two methods are needed, the rest has defaults that work.

    ```python
    class Double(ModelHandler[int, int, int]):
        def load_model(self):
            return 2

        def run_inference(self, batch, model, inference_args=None):
            return [example * model for example in batch]
    ```

    A handler is a specification: it is cheap to make, to copy and to pickle, and holds no model. The engine calls
    `load_model` once and hands the model to `run_inference`. A subclass need not call `super().__init__()`.

    Args:
        **options: See [HandlerOptions][runinference.options.HandlerOptions].

    Raises:
        ConfigurationError: An option is unknown, has a wrong value or would have no effect.
    """

    _options: HandlerOptions = {}  # noqa: RUF012
    _preprocess_fns: tuple[Callable[[Any], Any], ...] = ()
    _postprocess_fns: tuple[Callable[[Any], Any], ...] = ()
    _prebatched: bool = False

    def __init__(self, **options: Unpack[HandlerOptions]) -> None:
        self._options = check_options(type(self).__name__, options)

    @abstractmethod
    def load_model(self) -> ModelT:
        """Loads the model; any Python object may be one."""

    @abstractmethod
    def run_inference(
        self, batch: Sequence[ExampleT], model: ModelT, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionT]:
        """Runs the model on a batch of at least one example.

        Args:
            batch: The examples.
            model: What `load_model` returned.
            inference_args: Extra keyword arguments for the model.

        Returns:
            Exactly one prediction for each example, in their order. It may be lazy.
        """

    def run_inference_on_block(self, block: Any, model: ModelT, inference_args: dict[str, Any] | None = None) -> Any:
        """Runs the model on a block of rows in columns, without an object for each row.

        Overriding this method is how a handler takes tables as they are; otherwise it is given rows.

        Args:
            block: A `pyarrow.RecordBatch`, or a 2-D numpy array of shape (rows, features).
            model: What `load_model` returned.
            inference_args: Extra keyword arguments for the model.

        Returns:
            A numpy array or Arrow array with one entry for each row, in their order.
        """
        raise NotImplementedError(f"{type(self).__name__} does not take blocks")

    def get_num_bytes(self, batch: Sequence[ExampleT]) -> int:
        """The bytes that the examples of a batch hold: array buffers and texts, nothing else."""
        try:
            return sum(map(operator.attrgetter("nbytes"), batch))
        except (AttributeError, TypeError):  # Only arrays and tensors have that.
            return sum(map(num_bytes, batch))

    def get_model_bytes(self, model: ModelT) -> int | None:
        """The bytes of the model's parameters and buffers, or `None` to let the engine count its arrays."""
        return None

    def get_model_id(self) -> str | None:
        """Which model this is: the path, URL or name that it is loaded from."""
        return None

    def get_metrics_namespace(self) -> str:
        """The namespace under which the metrics of this handler are reported."""
        return "RunInference"

    def get_resource_hints(self) -> dict[str, Any]:
        """What the model needs of a machine, such as `min_ram` or `accelerator`, for runners that can provide it."""
        return {}

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """The batching options that are set, in the names of Beam's `BatchElements`."""
        renamed = {"batch_length_fn": "length_fn", "batch_bucket_boundaries": "bucket_boundaries"}
        others = {"large_model", "model_copies", "env_vars"}
        return {renamed.get(k, k): v for k, v in self._options.items() if k not in others}

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        """Raises `ConfigurationError` for arguments that the model cannot take; called before any row is read."""

    def update_model_path(self, model_path: str | None = None) -> None:
        """Makes the next `load_model` load from `model_path`."""
        if model_path is not None:
            raise ConfigurationError(f"{type(self).__name__} cannot change its model while running")

    def update_model_paths(self, model: ModelT, model_paths: Any = None) -> None:
        """Makes the models of several keys load from other paths."""
        if model_paths is not None:
            raise ConfigurationError(f"{type(self).__name__} has no models per key")

    def should_skip_batching(self) -> bool:
        """Whether each input element is a batch already."""
        return self._prebatched

    def set_environment_vars(self) -> None:
        """Sets the `env_vars` option; called before the model is loaded."""
        # Handlers written for Beam that have an __init__ of their own keep it in an attribute.
        os.environ.update(getattr(self, "_env_vars", None) or self._options.get("env_vars") or {})

    def share_model_across_processes(self) -> bool:
        """Whether the processes of a machine share the model."""
        return bool(self._options.get("large_model")) or self._options.get("model_copies") is not None

    def model_copies(self) -> int:
        """Number of copies of the model for each machine."""
        return self._options.get("model_copies") or 1

    def for_copy(self, copy: int, copies: int) -> Self:
        """The handler of one of several copies of the model in this process: on a device of its own, for instance.

        Args:
            copy: Which copy, from 0 on.
            copies: How many there are, at least 2.
        """
        return self

    def override_metrics(self, metrics_namespace: str = "") -> bool:
        """Whether the handler reports the metrics itself, so that the engine does not."""
        return False

    def should_garbage_collect_on_timeout(self) -> bool:
        """Whether a shared model is dropped when a batch exceeds its time."""
        return self.share_model_across_processes()

    def get_preprocess_fns(self) -> Sequence[Callable[[Any], Any]]:
        """The functions applied to each example before batching, in the order in which they run."""
        return self._preprocess_fns

    def get_postprocess_fns(self) -> Sequence[Callable[[Any], Any]]:
        """The functions applied to each prediction, in the order in which they run."""
        return self._postprocess_fns

    def with_preprocess_fn(self, fn: Callable[[Any], Any]) -> Self:
        """A copy of this handler that applies `fn` to each example first; the function added last runs first."""
        clone = copy.copy(self)
        clone._preprocess_fns = (_checked(fn), *self.get_preprocess_fns())
        return clone

    def with_postprocess_fn(self, fn: Callable[[Any], Any]) -> Self:
        """A copy of this handler that applies `fn` to each prediction; the function added first runs first."""
        clone = copy.copy(self)
        clone._postprocess_fns = (*self.get_postprocess_fns(), _checked(fn))
        return clone

    def with_options(self, **options: Unpack[HandlerOptions]) -> Self:
        """A copy of this handler with some of its options changed; `None` unsets one."""
        clone = copy.copy(self)
        clone._options = check_options(type(self).__name__, {**self._options, **options})
        return clone

    def with_no_batching(self) -> Self:
        """A copy of this handler for input whose elements are batches already."""
        clone = copy.copy(self)
        clone._prebatched = True
        return clone


def num_bytes(example: Any) -> int:
    """The bytes that an example holds: array buffers, texts, numbers, and these within containers."""
    if type(example) in _NUMBERS:
        return 8
    nbytes = getattr(example, "nbytes", None)
    if nbytes is not None:
        return int(nbytes)
    if isinstance(example, str):
        return len(example) if example.isascii() else len(example.encode("utf-8", "surrogatepass"))
    if isinstance(example, (bytes, bytearray)):
        return len(example)
    if isinstance(example, Mapping):
        return sum(map(num_bytes, example.values()))
    if isinstance(example, (list, tuple, set, frozenset)):
        return sum(map(num_bytes, example))
    if hasattr(example, "memory_usage"):
        return int(example.memory_usage(index=False, deep=True).sum())
    return 0


_NUMBERS = frozenset({bool, float, int})


def _checked(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if not callable(fn):
        raise ConfigurationError(f"A pre- or post-processing step must be a function, got {fn!r}")
    return fn
