"""A loaded pipeline made ready to run in batches: its padding, and the longest text that its model takes."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import transformers

from runinference.errors import RowError
from runinference.handlers.huggingface.tasks import TEXT_TASKS, task_name
from runinference.handlers.pytorch.options import TorchSettings
from runinference.handlers.pytorch.prepare import limits_of

# What stands in a tokenizer that does not know how long a text may be is far above any number of tokens.
_NO_LIMIT = 10**9


def make_ready(pipeline: Any, too_long: str, own_tokenizer: bool) -> Any:
    """The pipeline, which from now on pads, and neither takes texts that are too long nor ids that are no words.

    Args:
        pipeline: The loaded pipeline.
        too_long: `truncate` or `set_aside`.
        own_tokenizer: The tokenizer was loaded with the pipeline, so that it may be changed; else it is copied first.
    """
    for parameter in pipeline.model.parameters():
        parameter.requires_grad_(False)
    task = task_name(pipeline.task)
    tokenizer = pipeline.tokenizer
    if tokenizer is None:
        return pipeline
    if not own_tokenizer:
        tokenizer = pipeline.tokenizer = copy.deepcopy(tokenizer)
    _let_pad(pipeline, tokenizer)
    if can_pad(pipeline):
        _trust_padding(pipeline.model)
    if task not in TEXT_TASKS:
        return pipeline
    limits = limits_of(pipeline.model, "forward", TorchSettings())
    longest = _longest(tokenizer, limits.max_length, pipeline.model.config)
    writes = task == "text-generation"
    if longest is not None:
        # Without a limit the tokenizer cuts nothing off, so that the length is seen.
        tokenizer.model_max_length = longest if too_long == "truncate" and not writes else int(1e30)
    # Positions that are counted from the left do not suit padding there, unless the model is told where it begins.
    if limits.max_length is not None and not writes:
        tokenizer.padding_side = "right"
    pipeline.__class__ = _guarded(pipeline.__class__, task == "feature-extraction")
    pipeline.token_limit, pipeline.vocabulary = longest, limits.vocabulary
    pipeline.keeps_end = writes and too_long == "truncate"
    return pipeline


class Guarded(transformers.Pipeline):  # type: ignore[misc]
    """What is put before a class of pipelines: a look at the tokens of each row before the model sees them.

    Attributes:
        token_limit: Most tokens that the model takes; `None` where it sets no limit.
        vocabulary: Token ids are below this. On a GPU one that is not would end the process.
        keeps_end: Of a text that is too long the end is kept; the tokenizer would keep the beginning.
    """

    token_limit: int | None = None
    vocabulary: int | None = None
    keeps_end: bool = False

    def preprocess(self, *args: Any, **arguments: Any) -> Any:
        """The input of the model for a row.

        Raises:
            RowError: The row has no tokens, too many, or some that the model does not know.
        """
        prepared = super().preprocess(*args, **arguments)
        if isinstance(prepared, Iterator):
            return map(self._checked, prepared)
        return self._checked(prepared, generation_of(self, arguments))

    def _checked(self, prepared: Any, generation: Mapping[str, Any] | None = None) -> Any:
        generation = generation or {}
        count = int(prepared["input_ids"].shape[-1])
        if not count:
            raise RowError("The text has no tokens")
        total, new = generation.get("max_length"), generation.get("max_new_tokens") or 0
        if not new and total is not None and count >= total:
            raise RowError(
                f"The text has {count:,} tokens or more, and max_length={total} counts these: pass max_new_tokens"
            )
        if self.token_limit is not None and count + new > self.token_limit:
            if not self.keeps_end:
                room = f" and {new:,} are to be written" if new else ""
                raise RowError(
                    f"The text has {count:,} tokens{room}; the model takes at most {self.token_limit:,}. "
                    "too_long='truncate' cuts it off"
                )
            for name in ("input_ids", "attention_mask"):
                if name in prepared:
                    prepared[name] = prepared[name][:, new - self.token_limit :]
        ids = prepared["input_ids"]
        if self.vocabulary is not None and int(ids.max()) >= self.vocabulary:
            raise RowError(f"The token id {int(ids.max()):,} is not among the model's {self.vocabulary:,}")
        return prepared


class WithoutPadding(Guarded):
    """Features of the tokens of each row, without those of the padding that its batch needed."""

    def _forward(self, model_inputs: Mapping[str, Any]) -> dict[str, Any]:
        features = super()._forward(model_inputs)[0]
        return {"features": features, "attention_mask": model_inputs.get("attention_mask")}

    def postprocess(self, model_outputs: Mapping[str, Any], **arguments: Any) -> Any:
        """The features of one row."""
        features, mask = model_outputs["features"], model_outputs["attention_mask"]
        if mask is not None and features.dim() > 1 and features.shape[1] == mask.shape[1]:
            features = features[:, mask[0].bool()]
        return super().postprocess((features,), **arguments)


def generation_of(pipeline: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What arguments, pipeline and model say about the generation of a text; empty for other tasks."""
    if not hasattr(pipeline, "_prepare_generate_kwargs") or not getattr(pipeline, "_pipeline_calls_generate", False):
        return {}
    given = pipeline._prepare_generate_kwargs({**pipeline._forward_params, **arguments})
    found: dict[str, Any] = pipeline._get_set_generation_params(given)
    return found


@functools.cache
def _guarded(kind: Any, of_features: bool) -> Any:
    before = WithoutPadding if of_features else Guarded
    return type(kind.__name__, (before, kind), {"__doc__": kind.__doc__, "__module__": kind.__module__})


def _let_pad(pipeline: Any, tokenizer: Any) -> None:
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    generation = getattr(pipeline.model, "generation_config", None)
    for config in (pipeline.model.config, generation):
        if config is not None and getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = tokenizer.pad_token_id


def _trust_padding(model: Any) -> None:
    # Where a batch is not padded, generate() leaves the mask out, and the model then warns as soon as a text has ended.
    for module in model.modules():
        if hasattr(module, "warn_if_padding_and_no_attention_mask"):
            module.warn_if_padding_and_no_attention_mask = _no_warning


def _no_warning(*_: Any) -> None:
    pass


def _longest(tokenizer: Any, learnt: int | None, config: Any) -> int | None:
    """Most tokens of a text: as the tokenizer and the learnt positions say, or else as the configuration does."""
    said = tokenizer.model_max_length
    known = [limit for limit in (learnt, said if said < _NO_LIMIT else None) if limit is not None]
    if known:
        return int(min(known))
    text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
    configured = getattr(text_config, "max_position_embeddings", None)
    return configured if isinstance(configured, int) and configured > 0 else None


def can_pad(pipeline: Any) -> bool:
    """Whether texts may be filled up to one length, and the model is told where."""
    tokenizer = pipeline.tokenizer
    return (
        tokenizer.pad_token_id is not None
        and "attention_mask" in tokenizer.model_input_names
        and "attention_mask" in inspect.signature(pipeline.model.forward).parameters
    )


def own_memory(prediction: Any) -> Any:
    """A tensor that is part of a batch as one of its own, anything else as it is."""
    return prediction.clone() if isinstance(prediction, torch.Tensor) else prediction
