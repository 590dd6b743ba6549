"""Rows as the pipelines of transformers take them, how long they are and how many bytes they hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from runinference.errors import RowError
from runinference.handler import num_bytes
from runinference.handlers.huggingface.tasks import IMAGE_TASKS, TEXT_TASKS

_TEXT_AND_PAIR = {"text", "text_pair"}


def to_input(task: str, row: Any, arguments: Mapping[str, Any]) -> Any:
    """A row as the pipeline for `task` takes it.

    Args:
        task: The task.
        row: A text, an image of any kind, a chat, a dict of these.
        arguments: Those that the pipeline is called with.

    Raises:
        TypeError: It is something else than the task is for.
        ValueError: A text is empty, or an image cannot be decoded.
    """
    if task in IMAGE_TASKS:
        return _image(row)
    if task in TEXT_TASKS:
        return _text(task, row, arguments)
    if isinstance(row, Mapping):
        return {name: _decoded(value) for name, value in row.items()} if "image" in row else dict(row)
    return row


def row_length(row: Any) -> int:
    """A measure of how long a row is: characters of a text or of all texts in it, else the size of its first axis."""
    if isinstance(row, str):
        return len(row)
    if isinstance(row, Mapping):
        texts = [value for value in row.values() if isinstance(value, str)]
        return sum(map(len, texts)) if texts else max(map(row_length, row.values()), default=1)
    if isinstance(row, (list, tuple)):
        return sum(map(row_length, row)) if row and isinstance(row[0], (str, Mapping)) else max(len(row), 1)
    shape = getattr(row, "shape", None)
    return int(shape[0]) if shape else 1


def row_bytes(row: Any) -> int:
    """The bytes that a row holds; of an image its pixels."""
    if hasattr(row, "getbands"):
        depth = 4 if row.mode in ("I", "F") else 2 if row.mode.startswith("I;16") else 1
        return int(row.width * row.height * len(row.getbands()) * depth)
    if isinstance(row, Mapping):
        return sum(map(row_bytes, row.values()))
    return num_bytes(row)


def _text(task: str, row: Any, arguments: Mapping[str, Any]) -> Any:
    if task == "text-classification" and isinstance(row, Mapping):
        if "text" not in row or not row.keys() <= _TEXT_AND_PAIR:
            raise TypeError(f"A row must be a text, or a dict of text and text_pair, got one of {', '.join(row)}")
        return {name: _checked(value) for name, value in row.items()}
    if task == "text-generation" and not isinstance(row, str):
        return _chat(row)
    if task == "token-classification" and arguments.get("is_split_into_words"):
        if not isinstance(row, (list, tuple)) or not row:
            raise TypeError(f"With is_split_into_words a row must be a list of words, got {type(row).__name__}")
        return [_checked(word) for word in row]
    return _checked(row)


def _checked(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"A row must be a text, got {type(text).__name__}")
    if not text.strip():
        raise RowError("The text is empty")
    return text


def _chat(row: Any) -> list[Any]:
    messages = [row] if isinstance(row, Mapping) else row
    if not isinstance(messages, (list, tuple)) or not messages or not all(map(_is_message, messages)):
        raise TypeError(
            f"A row must be a text, or a chat: a list of dicts with role and content, got {type(row).__name__}"
        )
    return list(messages)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "role" in value and "content" in value


def _image(row: Any) -> Any:
    # What is on the web and what is written in base64 is read by transformers.
    if isinstance(row, str) and not os.path.isfile(row):
        return row
    from runinference.handlers.images import decode_image

    return decode_image(row)


def _decoded(value: Any) -> Any:
    return _image(value) if isinstance(value, (bytes, bytearray, memoryview)) else value
