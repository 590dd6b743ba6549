"""Keys that travel with the examples: taken off before the model, put back on its predictions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Self, Unpack

from runinference.errors import ConfigurationError
from runinference.handler import ModelHandler
from runinference.options import HandlerOptions
from runinference.prediction import PredictionResult


def is_keyed(row: Any) -> bool:
    """Whether `row` is a `(key, example)` pair; a `PredictionResult` or another named tuple is not one."""
    return type(row) is tuple and len(row) == 2


class KeyedModelHandler(ModelHandler[tuple[Any, Any], tuple[Any, Any], Any]):
    """Takes `(key, example)` pairs and returns `(key, prediction)` pairs.

    Pre- and post-processing of the inner handler see the example and the prediction alone; functions added to this
    handler see the pairs, before and after those.

    Args:
        unkeyed: The handler that runs on the examples.

    Raises:
        ConfigurationError: `unkeyed` is not a handler, or is keyed itself.
    """

    keyed_rows: Literal["all", "maybe"] = "all"

    def __init__(self, unkeyed: Any) -> None:
        super().__init__()
        name = type(self).__name__
        if isinstance(unkeyed, (list, tuple)):
            raise ConfigurationError(f"{name} takes one handler; a list of handlers per key is not supported yet")
        if isinstance(unkeyed, KeyedModelHandler):
            raise ConfigurationError(f"{name} is given a handler that is keyed already: {type(unkeyed).__name__}")
        if not callable(getattr(unkeyed, "run_inference", None)):
            raise ConfigurationError(f"{name} needs a model handler, got {unkeyed!r}")
        self.unkeyed = unkeyed

    def load_model(self) -> Any:
        """Loads the model of the inner handler."""
        return self.unkeyed.load_model()

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Any]:
        """Runs the inner handler on the examples of a batch and puts their keys back."""
        keyed = [self._has_key(row) for row in batch]
        examples = [row[1] if has_key else row for row, has_key in zip(batch, keyed, strict=True)]
        predictions = self.unkeyed.run_inference(examples, model, inference_args)
        return [
            (row[0], prediction) if has_key else prediction
            for row, has_key, prediction in zip(batch, keyed, predictions, strict=True)
        ]

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        """The bytes of the examples; keys are not counted."""
        examples = [row[1] if self._has_key(row) else row for row in batch]
        return int(_ask(self.unkeyed, "get_num_bytes", examples))

    def should_skip_batching(self) -> bool:
        """Whether each input element is a batch already, as either handler says."""
        return super().should_skip_batching() or _ask(self.unkeyed, "should_skip_batching")

    def with_options(self, **options: Unpack[HandlerOptions]) -> Self:
        """A copy of this handler whose inner handler has some of its options changed."""
        clone = copy.copy(self)
        clone.unkeyed = self.unkeyed.with_options(**options)
        return clone

    def _has_key(self, row: Any) -> bool:
        if is_keyed(row):
            return True
        if self.keyed_rows == "maybe":
            return False
        raise not_a_pair(row)


class MaybeKeyedModelHandler(KeyedModelHandler):
    """Takes `(key, example)` pairs or bare examples, also mixed, and returns each the way it came.

    A row is a pair when it is a plain tuple of two; a `PredictionResult` is never taken for a key and an example.

    Args:
        unkeyed: The handler that runs on the examples.
    """

    keyed_rows = "maybe"


def not_a_pair(row: Any) -> TypeError:
    """The error for a row of a keyed handler that is not a `(key, example)` pair."""
    kind = "a PredictionResult" if isinstance(row, PredictionResult) else f"{type(row).__name__}"
    return TypeError(f"KeyedModelHandler needs (key, example) pairs, got {kind}")


def _ask(handler: Any, method: str, *args: Any) -> Any:
    return getattr(handler if hasattr(handler, method) else _DEFAULTS, method)(*args)


class _Defaults(ModelHandler[Any, Any, None]):
    """Answers what a handler that does not derive from ours does not say itself."""

    def load_model(self) -> None:
        """Loads nothing."""

    def run_inference(
        self, batch: Sequence[Any], model: None, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Any]:
        """Runs nothing."""
        raise NotImplementedError


_DEFAULTS = _Defaults()


def _delegate(method: str) -> Callable[..., Any]:
    def delegate(self: KeyedModelHandler, *args: Any) -> Any:
        return _ask(self.unkeyed, method, *args)

    delegate.__name__ = method
    delegate.__doc__ = getattr(ModelHandler, method).__doc__
    return delegate


DELEGATED = (
    "batch_elements_kwargs",
    "get_metrics_namespace",
    "get_model_bytes",
    "get_model_id",
    "get_resource_hints",
    "model_copies",
    "override_metrics",
    "set_environment_vars",
    "share_model_across_processes",
    "should_garbage_collect_on_timeout",
    "update_model_path",
    "update_model_paths",
    "validate_inference_args",
)
for _name in DELEGATED:
    setattr(KeyedModelHandler, _name, _delegate(_name))
