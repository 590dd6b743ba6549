"""Several models over the same rows: side by side, each for a share of the rows, or voting."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self, Unpack

from runinference.errors import ConfigurationError, closest
from runinference.handler import ModelHandler
from runinference.keyed import KeyedModelHandler, LoadedModels, is_keyed
from runinference.options import HandlerOptions
from runinference.prediction import PredictionResult

Vote = Literal["majority", "mean"]

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


class EnsembleModelHandler(ModelHandler[Any, Any, LoadedModels]):
    """Runs several models over one pass of the input.

    ```python
    EnsembleModelHandler({"a": handler_a, "b": handler_b})  # every row to both: {"a": result, "b": result}
    EnsembleModelHandler({"a": handler_a, "b": handler_b}, split={"a": 0.9, "b": 0.1})  # 10 % of the rows to b
    EnsembleModelHandler({"a": handler_a, "b": handler_b, "c": handler_c}, vote="majority")
    ```

    Rows are read once. Functions added to this handler with `with_preprocess_fn` run once for each row, before those
    of the models; those added with `with_postprocess_fn` see the dict, or what was voted for. The models have their
    own batches and run side by side. A row that fails in one model fails.

    Args:
        models: A handler for each name.
        split: The share of the rows that each model gets, in any unit; the result of a row is a dict with one entry.
            Rows with a key go where their key goes, always; others take turns.
        vote: Makes one result out of all: `majority` of labels, where a tie goes to the model named first, or `mean`
            of numbers, arrays or tensors of one shape.
        weights: How much the word of each model counts in the vote; 1 where nothing is said.

    Raises:
        ConfigurationError: There are no models, a name or a number cannot be one, or two arguments contradict.
    """

    def __init__(
        self,
        models: Mapping[str, Any],
        *,
        split: Mapping[str, float] | None = None,
        vote: Vote | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        _check_models(models)
        if split is not None and vote is not None:
            raise ConfigurationError("split gives each row to one model, so that there is nothing to vote on: pass one")
        if weights is not None and vote is None:
            raise ConfigurationError("weights count in a vote: pass vote='majority' or 'mean' too")
        if vote is not None and vote not in _VOTES:
            raise ConfigurationError(f"vote is 'majority' or 'mean', not {vote!r}")
        self.models = dict(models)
        self.split = None if split is None else _shares("split", split, self.models, default=0.0)
        self.vote = vote
        self.weights = _shares("weights", weights or {}, self.models, default=1.0)

    def choose(self, row: Any, index: int) -> str:
        """The name of the model that gets a row, where they share them.

        Args:
            row: The row; of a pair the key decides.
            index: Its position in the input.
        """
        assert self.split is not None
        if is_keyed(row):
            digest = hashlib.blake2b(repr(row[0]).encode("utf-8", "surrogatepass"), digest_size=8).digest()
            place = int.from_bytes(digest, "big") / 2**64
        else:
            place = (index * _GOLDEN_RATIO) % 1  # Any run of rows is shared out evenly.
        return choose_share(self.split, place)

    def combine(self, predictions: dict[str, Any]) -> Any:
        """What the models said about one row, by their names, as one result.

        Raises:
            ValueError: The predictions cannot be voted on.
        """
        if self.vote is None:
            return predictions
        inferences = {name: _inference(prediction) for name, prediction in predictions.items()}
        result = _VOTES[self.vote](inferences, self.weights)
        first = next(iter(predictions.values()))
        if not isinstance(first, PredictionResult):
            return result
        return PredictionResult(first.example, result, f"{self.vote} of {', '.join(predictions)}")

    def with_options(self, **options: Unpack[HandlerOptions]) -> Self:
        """A copy of this handler whose models have some of their options changed."""
        clone = copy.copy(self)
        clone.models = {name: handler.with_options(**options) for name, handler in self.models.items()}
        return clone

    def load_model(self) -> LoadedModels:
        """Loads all models."""
        return LoadedModels({name: handler.load_model() for name, handler in self.models.items()})

    def run_inference(
        self, batch: Sequence[Any], model: LoadedModels, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Any]:
        """Runs each model on the batch, one after another.

        The engines of this package do not call this, but form batches for each model.
        """
        chosen = None if self.split is None else [self.choose(row, index) for index, row in enumerate(batch)]
        rows: list[dict[str, Any]] = [{} for _ in batch]
        for name, handler in self.models.items():
            positions = [at for at in range(len(batch)) if chosen is None or chosen[at] == name]
            if not positions:
                continue
            examples = [batch[at] for at in positions]
            for fn in handler.get_preprocess_fns():
                examples = [fn(example) for example in examples]
            predictions = list(handler.run_inference(examples, model[name], inference_args))
            for fn in handler.get_postprocess_fns():
                predictions = [fn(prediction) for prediction in predictions]
            for at, prediction in zip(positions, predictions, strict=True):
                rows[at][name] = prediction
        return [self.combine(row) for row in rows]

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        """Raises `ConfigurationError` for arguments that one of the models cannot take."""
        for handler in self.models.values():
            validate = getattr(handler, "validate_inference_args", None)
            if validate is not None:
                validate(inference_args)


def choose_share(shares: Mapping[str, float], place: float) -> str:
    """The name whose share of a line from 0 to 1 holds `place`."""
    total, end = sum(shares.values()), 0.0
    for name, share in shares.items():
        end += share / total
        if place < end:
            return name
    return [name for name, share in shares.items() if share][-1]


def majority(labels: Mapping[str, Any], weights: Mapping[str, float]) -> Any:
    """The label that has most weight; of several the one that was named first.

    Raises:
        ValueError: A prediction is no label, because it holds several values.
    """
    count: dict[Any, float] = {}
    for name, label in labels.items():
        try:
            value = label.item() if hasattr(label, "item") else label
            count[value] = count.get(value, 0.0) + weights[name]
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"A majority is counted of labels, but the model {name!r} said {_short(label)}: make it a label with "
                "with_postprocess_fn, or take the mean"
            ) from None
    return max(count, key=count.__getitem__)


def mean(values: Mapping[str, Any], weights: Mapping[str, float]) -> Any:
    """The weighted mean of numbers, arrays or tensors of one shape; of dicts and lists entry by entry.

    Raises:
        ValueError: The predictions are not alike, or are no numbers.
    """
    first_name, first = next(iter(values.items()))
    for name, value in values.items():
        if _shape(value) != _shape(first):
            raise ValueError(
                f"There is no mean of predictions that differ: {first_name!r} said {_short(first)}, "
                f"{name!r} said {_short(value)}"
            )
    if isinstance(first, Mapping):
        return {key: mean({name: value[key] for name, value in values.items()}, weights) for key in first}
    if isinstance(first, (list, tuple)):
        return [mean({n: value[i] for n, value in values.items()}, weights) for i in range(len(first))]
    if isinstance(first, (str, bytes)) or first is None:
        raise ValueError(f"There is no mean of {_short(first)}; vote='majority' counts labels")
    return sum(value * weights[name] for name, value in values.items()) / sum(weights[name] for name in values)


_VOTES: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, float]], Any]] = {"majority": majority, "mean": mean}


def _inference(prediction: Any) -> Any:
    return prediction.inference if isinstance(prediction, PredictionResult) else prediction


def _shape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return "dict", *value
    if isinstance(value, (list, tuple)):
        return "list", len(value)
    return isinstance(value, (str, bytes)) or value is None, tuple(getattr(value, "shape", ()))


def _short(value: Any) -> str:
    shape = tuple(getattr(value, "shape", ()))
    return f"a {type(value).__name__} of shape {shape}" if shape else f"{value!r:.60}"


def _check_models(models: Any) -> None:
    if not isinstance(models, Mapping) or not models:
        raise ConfigurationError("EnsembleModelHandler needs a dict with a handler for each name, such as {'a': …}")
    for name, handler in models.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"The name of a model must be a text, got {name!r}")
        if isinstance(handler, (KeyedModelHandler, EnsembleModelHandler)):
            raise ConfigurationError(
                f"The model {name!r} of an ensemble is a {type(handler).__name__}; "
                "put KeyedModelHandler around the ensemble, and models of ensembles side by side"
            )
        if isinstance(handler, type) or not callable(getattr(handler, "run_inference", None)):
            raise ConfigurationError(f"The model {name!r} needs a model handler, got {handler!r}")
        if getattr(handler, "should_skip_batching", bool)():
            raise ConfigurationError(f"The model {name!r}: with_no_batching() does not go with several models")


def _shares(what: str, shares: Mapping[str, float], models: Mapping[str, Any], default: float) -> dict[str, float]:
    for name, share in shares.items():
        if name not in models:
            raise ConfigurationError(f"{what} names a model {name!r} that there is not.{closest(name, models)}")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < math.inf:
            raise ConfigurationError(f"{what}: the share of {name!r} must be a number of at least 0, got {share!r}")
    chosen = {name: float(shares.get(name, default)) for name in models}
    if not sum(chosen.values()):
        raise ConfigurationError(f"{what}: at least one model needs a share above 0")
    return chosen
