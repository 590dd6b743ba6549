"""Loads a pipeline of transformers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from runinference.errors import ModelLoadError, closest
from runinference.handlers.huggingface.loading import (
    architecture,
    check_trained,
    collect_messages,
    find_model,
    load_error,
    some,
)
from runinference.handlers.huggingface.tasks import PipelineTask, instead_of


def load_pipeline(task: str, model: str, device: str | None, arguments: Mapping[str, Any]) -> Any:
    """The pipeline for a task.

    Args:
        task: The task; empty where the hub tells that of the model.
        model: A folder, a URL or the name of a model on the hub; empty for the one that transformers choose.
        device: The name of the device; `None` where the arguments say it.
        arguments: Further arguments of `transformers.pipeline`.

    Raises:
        ModelLoadError: The model is missing, damaged or made for another task, or the device is not there.
    """
    import transformers

    from runinference.handlers.pytorch.devices import find_device

    place = find_model(model) if model else None
    _check_task(task, place, bool(arguments.get("trust_remote_code")))
    chosen = {} if device is None else {"device": find_device(device)}
    # Some are dicts that transformers take entries out of. Where nothing is said about code, they ask on the console.
    own = {name: dict(value) if isinstance(value, dict) else value for name, value in arguments.items()}
    own.setdefault("trust_remote_code", False)
    with collect_messages(quiet=place is not None and os.path.isdir(place)) as messages:
        try:
            pipeline = transformers.pipeline(task or None, place, **chosen, **own)
        except Exception as error:
            raise load_error(task, model, place, error) from error
    _check_loaded(pipeline, task, model, messages, bool(arguments.get("trust_remote_code")))
    return pipeline


def _check_task(task: str, place: str | None, trusts_code: bool) -> None:
    import transformers
    from transformers.pipelines import get_supported_tasks

    known = get_supported_tasks()
    if task in known or (task and trusts_code):
        return
    if not task and place is not None and os.path.isdir(place):
        raise ModelLoadError(
            f"{place} does not say what task it is for: pass task, such as 'text-classification'.{architecture(place)}"
        )
    if not task:
        return
    if task in {each.value for each in PipelineTask} or task.startswith("translation_"):
        raise ModelLoadError(f"transformers {transformers.__version__} have no task {task!r}. {instead_of(task)}")
    raise ModelLoadError(f"There is no task {task!r}.{closest(task, known)} Tasks: {', '.join(known)}")


def _check_loaded(pipeline: Any, task: str, model: str, messages: list[str], trusts_code: bool) -> None:
    what, kind = model or f"The default model for {task}", type(pipeline.model).__name__
    for message in messages:
        if "is not supported for" in message and not trusts_code:
            raise ModelLoadError(f"{what} is a {kind}, which is not made for {task or pipeline.task}")
    if getattr(pipeline, "entailment_id", None) == -1:
        raise ModelLoadError(
            f"{what} is not made for {task or pipeline.task}, which needs a model for natural language inference: none "
            f"of its labels is entailment, they are {some(list(pipeline.model.config.id2label.values()))}"
        )
    check_trained(pipeline.model, what, task or pipeline.task, messages)
    tokenizer = pipeline.tokenizer
    if tokenizer is not None and len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise ModelLoadError(
            f"{what} comes without a tokenizer, or with one that knows no words; "
            "tokenizer.save_pretrained(folder) puts it beside the model"
        )
