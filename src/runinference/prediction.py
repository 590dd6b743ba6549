"""What comes out of inference: a prediction for each row that worked, a failure for each that did not."""

from __future__ import annotations

import traceback as tb
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, NamedTuple

Stage = Literal["read", "preprocess", "inference", "postprocess", "write"]
"""Where a row failed, in the order in which a row passes the stages."""


class PredictionResult(NamedTuple):
    """One row's prediction, beside the example that it was made from.

    Attributes:
        example: The example as the model received it, so after pre-processing.
        inference: What the model said about it.
        model_id: Which model said it: a path, a URL or a name; `None` where the handler does not tell.
    """

    example: Any
    inference: Any
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One row that was set aside, with the reason.

    Attributes:
        example: The row as it came in, before any pre-processing, so that it can be run again.
        key: The row's key where the input is keyed, else `None`.
        index: The row's position in the input, counted from 0. Of a line that could not be read as a row, its number
            in the file, counted from 1.
        stage: Where it failed.
        error_type: Qualified name of the exception's class, such as `ValueError`.
        message: The exception's message.
        traceback: The formatted traceback, without the frames of this package.
        attempts: How often the failing step was tried on this row alone.
        model_id: Which model was asked, where that is known.
        error: The exception itself; not compared, not printed. Given to `on_failure`, it has no traceback any more,
            because that would keep the model and the batch in memory.
    """

    example: Any
    key: Any
    index: int
    stage: Stage
    error_type: str
    message: str
    traceback: str
    attempts: int = 1
    model_id: str | None = None
    error: BaseException | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_exception(
        cls,
        error: BaseException,
        *,
        example: Any,
        index: int,
        stage: Stage,
        key: Any = None,
        attempts: int = 1,
        model_id: str | None = None,
    ) -> Failure:
        """Describes `error`, which the row `example` at position `index` caused in `stage`."""
        return cls(
            example=example,
            key=key,
            index=index,
            stage=stage,
            error_type=qualified_name(type(error)),
            message=_message(error),
            traceback=user_traceback(error),
            attempts=attempts,
            model_id=model_id,
            error=error,
        )

    def to_dict(self) -> dict[str, Any]:
        """The failure as a flat dict for a JSON line; `example` and `key` stay Python objects."""
        return {
            "index": self.index,
            "key": self.key,
            "stage": self.stage,
            "error_type": self.error_type,
            "message": self.message,
            "attempts": self.attempts,
            "model_id": self.model_id,
            "example": self.example,
            "traceback": self.traceback,
        }


def forget_frames(error: BaseException | None) -> None:
    """Takes the traceback from an exception and its causes, and with it all that their frames keep alive."""
    for link in _chain(error):
        link.__traceback__ = None


def qualified_name(cls: type) -> str:
    """`ValueError` for a builtin, `package.module.Class` for any other class."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def user_frames(traceback: TracebackType | None) -> list[tb.FrameSummary]:
    """The frames of a traceback that do not belong to this package, outermost first."""
    frames: list[tb.FrameSummary] = []
    while traceback is not None:
        if not _is_ours(traceback.tb_frame.f_globals):
            frames += tb.extract_tb(traceback, limit=1)
        traceback = traceback.tb_next
    return frames


def without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback from its first frame on that does not belong to this package; whole where all do."""
    link = traceback
    while link is not None and _is_ours(link.tb_frame.f_globals):
        link = link.tb_next
    return link or traceback


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` with its causes, as text, without the frames of this package."""
    parts = []
    for link in _chain(error):
        frames = user_frames(link.__traceback__)
        header = ["Traceback (most recent call last):\n"] if frames else []
        parts.append("".join(header + tb.format_list(frames) + tb.format_exception_only(link)))
    return "\nThe above exception led to:\n\n".join(reversed(parts))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what led to it, each once, though an exception may be its own cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        cause = error.__cause__
        error = error.__context__ if cause is None and not error.__suppress_context__ else cause


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"<the message of this {type(error).__name__} cannot be shown>"


def _is_ours(frame_globals: Mapping[str, Any]) -> bool:
    name = str(frame_globals.get("__name__", ""))
    package = __name__.partition(".")[0]
    return name == package or name.startswith(f"{package}.")
