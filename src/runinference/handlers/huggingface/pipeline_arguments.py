"""The arguments that a pipeline of transformers is called with: checked by name, and completed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from runinference.errors import ModelFaultError, closest
from runinference.handlers.huggingface.pipeline_prepare import generation_of

_OF_EVERY_CALL = frozenset({"batch_size", "num_workers"})
_WITH_LABELS = frozenset(
    {"zero-shot-audio-classification", "zero-shot-classification", "zero-shot-image-classification"}
)

# How a pipeline is told to cut texts off; for other tasks that is done where the tokenizer has a limit.
_TO_TRUNCATE: dict[str, dict[str, Any]] = {
    "feature-extraction": {"tokenize_kwargs": {"truncation": True}},
    "fill-mask": {"tokenizer_kwargs": {"truncation": True}},
    "text-classification": {"truncation": True},
}


def check_arguments(pipeline: Any, arguments: Mapping[str, Any]) -> None:
    """Checks that the pipeline takes each argument.

    Pipelines sort the arguments of a call into those of their three steps; one that is in none of these has no effect.

    Raises:
        ModelFaultError: It does not take one, or not with this value.
    """
    own = {name: value for name, value in _copied(arguments).items() if name not in _OF_EVERY_CALL}
    parameters = inspect.signature(pipeline._sanitize_parameters).parameters.values()
    named = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    for name in own:
        if name not in named and rest is None:
            raise _refusal(pipeline, name, named)
    try:
        steps = pipeline._sanitize_parameters(**own)
    except Exception as error:
        shown = ", ".join(f"{name}={value!r}" for name, value in own.items())
        raise ModelFaultError(f"The pipeline for {pipeline.task} refuses {shown}: {error}") from error
    further = _further(pipeline, rest)
    for name in own:
        if name not in named and (not any(name in step for step in steps) or not (further is None or name in further)):
            raise _refusal(pipeline, name, named | (further or set()))


def complete(pipeline: Any, task: str, arguments: Mapping[str, Any], too_long: str) -> dict[str, Any]:
    """The arguments for a call, with those that it needs besides.

    Raises:
        ModelFaultError: One is missing, or no text leaves room for as many new tokens as are asked for.
    """
    completed = _copied(arguments)
    if task in _WITH_LABELS and not completed.get("candidate_labels"):
        given = pipeline._preprocess_params.get("candidate_labels")
        if not given:
            raise ModelFaultError(f"{task} needs inference_args={{'candidate_labels': [...]}}")
        completed["candidate_labels"] = given
    limit = getattr(pipeline, "token_limit", None)
    if limit is None:
        return completed
    if task == "text-generation":
        generation = generation_of(pipeline, completed)
        wanted = generation.get("max_new_tokens") or (generation.get("max_length") or 1) - 1
        if wanted >= limit:
            raise ModelFaultError(
                f"The model takes {limit:,} tokens, and {wanted:,} new ones leave no room for a text. "
                "Pass less, for instance inference_args={'max_new_tokens': 20}"
            )
    if too_long == "truncate":
        for name, value in _TO_TRUNCATE.get(task, {}).items():
            given = completed.get(name)
            completed[name] = {**value, **(given or {})} if isinstance(value, dict) else completed.get(name, value)
        if task == "feature-extraction" and "truncation" in completed:
            completed["tokenize_kwargs"].pop("truncation")
    elif task == "token-classification" and completed.get("stride") is not None:
        raise ModelFaultError("stride splits texts that are too long, so it needs too_long='truncate'")
    return completed


def _further(pipeline: Any, rest: str | None) -> set[str] | None:
    """The names that a pipeline hands on to its tokenizer or to `generate`; `None` where it hands none on."""
    if rest == "tokenizer_kwargs":
        return _names(type(pipeline.tokenizer).__call__)
    if rest == "generate_kwargs":
        from transformers import GenerationConfig

        model = type(pipeline.model)
        return {
            *vars(GenerationConfig()),
            *_names(model.generate),
            *_names(model.forward),
            *("add_special_tokens", "generate_kwargs", "generation_config", "padding"),
        }
    return None


def _names(function: Any) -> set[str]:
    return {p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD} - {"self"}


def _refusal(pipeline: Any, name: str, known: set[str]) -> ModelFaultError:
    return ModelFaultError(f"The pipeline for {pipeline.task} takes no argument {name!r}.{closest(name, known)}")


def _copied(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy, also of dicts within, since transformers put entries into them and take them out."""
    return {name: dict(value) if isinstance(value, dict) else value for name, value in arguments.items()}
