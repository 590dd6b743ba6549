"""Keys that travel with the examples: taken off before the model, put back on its predictions."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, Unpack

from runinference.errors import ConfigurationError, RowError
from runinference.handler import ModelHandler
from runinference.options import HandlerOptions
from runinference.prediction import PredictionResult


def is_keyed(row: Any) -> bool:
    """Whether `row` is a `(key, example)` pair; a `PredictionResult` or another named tuple is not one."""
    return type(row) is tuple and len(row) == 2


@dataclass(frozen=True)
class KeyModelMapping:
    """A model and the keys whose examples it is for.

    Attributes:
        keys: The keys, at least one. The first names the model in metrics.
        mh: The handler that loads it.
    """

    keys: Sequence[Hashable]
    mh: Any


@dataclass(frozen=True)
class KeyModelPathMapping:
    """A new version of the model of some keys.

    Attributes:
        keys: The keys. Those that shared a model with others have one of their own from now on.
        update_path: Path or URL of the new version.
        model_id: What results call it; the path without it.
    """

    keys: Sequence[Hashable]
    update_path: str | os.PathLike[str]
    model_id: str = ""


class ModelMetadata(NamedTuple):
    """A version of a model.

    Attributes:
        model_id: Path or URL.
        model_name: Its name in metrics.
    """

    model_id: str
    model_name: str


class KeyedModelHandler(ModelHandler[tuple[Any, Any], tuple[Any, Any], Any]):
    """Takes `(key, example)` pairs and returns `(key, prediction)` pairs, of one model or of a model for each key.

    ```python
    KeyedModelHandler(handler)
    KeyedModelHandler([KeyModelMapping(["de", "at"], german), KeyModelMapping(["fr"], french)])
    ```

    Pre- and post-processing of an inner handler see the example and the prediction alone; functions added to this
    handler see the pairs, before and after those. With several models each has its own batches, formed over all its
    keys by its own options; a row whose key has no model is set aside.

    Args:
        unkeyed: The handler that runs on the examples, or a list of handlers with their keys.
        max_models_per_worker_hint: Of several models no more than this are in memory at one time, for each process.
            The one that has not been used for longest leaves; its rows wait while it is loaded again, others run.
        max_model_bytes: The same as a limit of the bytes that the models hold together. A model that is larger than
            this runs alone.

    Raises:
        ConfigurationError: `unkeyed` is not a handler, or is keyed itself; a key has two models; a limit is not a
            number above 0 or is set for a single model.
    """

    keyed_rows: Literal["all", "maybe"] = "all"

    def __init__(
        self,
        unkeyed: Any,
        max_models_per_worker_hint: int | None = None,
        *,
        max_model_bytes: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        limits = {"max_models_per_worker_hint": max_models_per_worker_hint, "max_model_bytes": max_model_bytes}
        self.mappings: tuple[KeyModelMapping, ...] = ()
        self.unkeyed: Any = None
        self.max_models, self.max_model_bytes = max_models_per_worker_hint, max_model_bytes
        if isinstance(unkeyed, (list, tuple)):
            self.mappings = _checked_mappings(name, unkeyed)
        else:
            _check_inner(name, unkeyed)
            self.unkeyed = unkeyed
        for limit, value in limits.items():
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{name}: {limit} must be a whole number above 0, got {value!r}")
            if not self.mappings:
                raise ConfigurationError(f"{name}: {limit} has no effect with one model; it limits a list of them")

    def load_model(self) -> Any:
        """Loads the model of the inner handler; of several all."""
        if self.mappings:
            return LoadedModels({number: mapping.mh.load_model() for number, mapping in enumerate(self.mappings)})
        return self.unkeyed.load_model()

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Any]:
        """Runs each inner handler once, on the examples of all its keys, and puts the keys back.

        The engines of this package do not call this for several models, but form batches for each.
        """
        if self.mappings:
            return self._run_each(batch, model, inference_args)
        keyed = [self._has_key(row) for row in batch]
        examples = [row[1] if has_key else row for row, has_key in zip(batch, keyed, strict=True)]
        predictions = self.unkeyed.run_inference(examples, model, inference_args)
        return [
            (row[0], prediction) if has_key else prediction
            for row, has_key, prediction in zip(batch, keyed, predictions, strict=True)
        ]

    def _run_each(self, batch: Sequence[Any], models: LoadedModels, inference_args: dict[str, Any] | None) -> list[Any]:
        of_key = {key: number for number, mapping in enumerate(self.mappings) for key in mapping.keys}
        positions: dict[int, list[int]] = {}
        for position, row in enumerate(batch):
            self._has_key(row)
            if row[0] not in of_key:
                raise RowError(f"There is no model for the key {row[0]!r}")
            positions.setdefault(of_key[row[0]], []).append(position)
        results: list[Any] = [None] * len(batch)
        for number, chosen in positions.items():
            handler = self.mappings[number].mh
            examples = [batch[position][1] for position in chosen]
            for fn in _ask(handler, "get_preprocess_fns"):
                examples = [fn(example) for example in examples]
            predictions = list(handler.run_inference(examples, models[number], inference_args))
            for fn in _ask(handler, "get_postprocess_fns"):
                predictions = [fn(prediction) for prediction in predictions]
            for position, prediction in zip(chosen, predictions, strict=True):
                results[position] = batch[position][0], prediction
        return results

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        """The bytes of the examples; keys are not counted."""
        examples = [row[1] if self._has_key(row) else row for row in batch]
        return int(_ask(_DEFAULTS if self.mappings else self.unkeyed, "get_num_bytes", examples))

    def get_metrics_namespace(self) -> str:
        """The namespace of the inner handler; of several one for all."""
        return "BeamML_KeyedModels" if self.mappings else str(_ask(self.unkeyed, "get_metrics_namespace"))

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        """Raises `ConfigurationError` for arguments that one of the models cannot take."""
        for handler in [mapping.mh for mapping in self.mappings] or [self.unkeyed]:
            _ask(handler, "validate_inference_args", inference_args)

    def should_skip_batching(self) -> bool:
        """Whether each input element is a batch already, as either handler says."""
        return super().should_skip_batching() or (not self.mappings and _ask(self.unkeyed, "should_skip_batching"))

    def with_options(self, **options: Unpack[HandlerOptions]) -> Self:
        """A copy of this handler whose inner handlers have some of their options changed."""
        clone = copy.copy(self)
        if self.mappings:
            clone.mappings = tuple(
                KeyModelMapping(each.keys, each.mh.with_options(**options)) for each in self.mappings
            )
        else:
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

    def __init__(self, unkeyed: Any) -> None:
        if isinstance(unkeyed, (list, tuple)):
            raise ConfigurationError(
                "MaybeKeyedModelHandler takes one handler: a row without a key belongs to none of several models"
            )
        super().__init__(unkeyed)


class LoadedModels(dict[Any, Any]):
    """Several loaded models; not a plain dict, because Beam keeps a weak reference to a model."""


def _check_inner(name: str, handler: Any) -> None:
    if isinstance(handler, KeyedModelHandler):
        raise ConfigurationError(f"{name} is given a handler that is keyed already: {type(handler).__name__}")
    if isinstance(handler, type) or not callable(getattr(handler, "run_inference", None)):
        raise ConfigurationError(f"{name} needs a model handler, got {handler!r}")


def _checked_mappings(name: str, mappings: Sequence[Any]) -> tuple[KeyModelMapping, ...]:
    if not mappings:
        raise ConfigurationError(f"{name} is given an empty list; it needs a KeyModelMapping for each model")
    owner: dict[Hashable, int] = {}
    checked = []
    for number, mapping in enumerate(mappings):
        if not (hasattr(mapping, "keys") and hasattr(mapping, "mh")):
            raise ConfigurationError(f"{name} needs a list of KeyModelMapping(keys, handler), got {mapping!r}")
        _check_inner(name, mapping.mh)
        if _ask(mapping.mh, "should_skip_batching"):
            raise ConfigurationError(
                f"{name}: with_no_batching() does not go with several models, whose rows are mixed"
            )
        keys = [mapping.keys] if isinstance(mapping.keys, (str, bytes)) else list(mapping.keys)
        if not keys:
            raise ConfigurationError(f"{name}: the model {number} has no keys")
        for key in keys:
            if not isinstance(key, Hashable):
                raise ConfigurationError(f"{name}: {key!r} cannot be a key, because it is not hashable")
            if key in owner:
                raise ConfigurationError(
                    f"{name}: the key {key!r} has two models, {owner[key]} and {number} of the list"
                )
            owner[key] = number
        checked.append(KeyModelMapping(tuple(keys), mapping.mh))
    return tuple(checked)


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
        if self.mappings:  # Each model has its own answer, which the engine asks for.
            return getattr(ModelHandler, method)(self, *args)
        return _ask(self.unkeyed, method, *args)

    delegate.__name__ = method
    delegate.__doc__ = getattr(ModelHandler, method).__doc__
    return delegate


DELEGATED = (
    "batch_elements_kwargs",
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
)
for _name in DELEGATED:
    setattr(KeyedModelHandler, _name, _delegate(_name))
