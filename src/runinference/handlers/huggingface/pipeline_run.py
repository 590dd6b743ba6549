"""Runs a loaded pipeline of transformers on batches of rows."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from runinference.handlers.huggingface.pipeline_arguments import check_arguments, complete
from runinference.handlers.huggingface.pipeline_prepare import can_pad, generation_of, own_memory
from runinference.handlers.huggingface.pipeline_rows import to_input
from runinference.handlers.huggingface.tasks import BATCHED_TASKS, TEXT_TASKS, task_name


class Runner:
    """Everything that is kept between the batches of one pipeline, but not the pipeline itself.

    Args:
        pipeline: The pipeline.
        too_long: What to do with texts that are too long: `truncate` or `set_aside`.
    """

    def __init__(self, pipeline: Any, too_long: str) -> None:
        self._task = task_name(pipeline.task)
        self._too_long = too_long
        self._batches = self._task in BATCHED_TASKS and (self._task not in TEXT_TASKS or can_pad(pipeline))
        self._checked: Mapping[str, Any] = {}
        # A tokenizer may not be used by two threads at once.
        self._lock = threading.Lock()

    def run(self, pipeline: Any, rows: Sequence[Any], inference_args: Mapping[str, Any]) -> list[Any]:
        """One prediction for each row.

        Raises:
            ModelFaultError: The pipeline does not take one of the `inference_args`.
            Exception: A row is not what the task is for, or the pipeline raised.
        """
        with self._lock:
            self._check(pipeline, inference_args)
            arguments = complete(pipeline, self._task, inference_args, self._too_long)
            inputs = [to_input(self._task, row, arguments) for row in rows]
            size = arguments.pop("batch_size", self._batch_size(pipeline, len(rows), arguments))
            pipeline.call_count = 0  # After ten calls it would advise to use a dataset.
            try:
                predictions = self._call(pipeline, inputs, size, arguments)
            except RuntimeError as error:
                if size == 1 or "Sizes of tensors must match" not in str(error):
                    raise
                # Some models take images in their own sizes, which do not stack.
                predictions = self._call(pipeline, inputs, 1, arguments)
        return [own_memory(prediction) for prediction in predictions]

    def _call(self, pipeline: Any, inputs: list[Any], size: int, arguments: Mapping[str, Any]) -> list[Any]:
        # For a list with one entry this task returns what is for the entry, and no list.
        batch = (each for each in inputs) if self._task == "fill-mask" else inputs
        return list(pipeline(batch, batch_size=size, **arguments))

    def _batch_size(self, pipeline: Any, rows: int, arguments: Mapping[str, Any]) -> int:
        if not self._batches or (self._task == "text-generation" and _shows_padding(pipeline, arguments)):
            return 1
        return rows

    def _check(self, pipeline: Any, inference_args: Mapping[str, Any]) -> None:
        known = self._checked
        if known.keys() == inference_args.keys() and all(known[name] is inference_args[name] for name in known):
            return
        check_arguments(pipeline, inference_args)
        self._checked = inference_args


def _shows_padding(pipeline: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether the padding that a text has in a batch would be seen in what is written, or counted as part of it."""
    generation = generation_of(pipeline, arguments)
    by_total = generation.get("max_length") is not None and generation.get("max_new_tokens") is None
    return bool(
        by_total
        or generation.get("min_length")
        or arguments.get("return_tensors")
        or arguments.get("skip_special_tokens") is False
    )
