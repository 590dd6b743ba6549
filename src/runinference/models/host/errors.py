"""Exceptions that are raised in one process and again in another, as they were."""

from __future__ import annotations

import builtins
import pickle
from contextlib import suppress
from typing import Any, NamedTuple

from runinference import errors
from runinference.models.host.wire import freeze
from runinference.prediction import qualified_name, user_traceback


class RemoteError(NamedTuple):
    """An exception on its way to another process.

    Attributes:
        kinds: The names of its class and of those that it derives from.
        text: Its message.
        traceback: Where it was raised, as text; empty if it was not.
        frozen: The exception as a pickle, and what it can be made of again if that does not work.
    """

    kinds: list[str]
    text: str
    traceback: str
    frozen: list[bytes]


def describe(error: BaseException) -> RemoteError:
    """What another process needs to know of `error`."""
    frozen = []
    for value in (error, (type(error), error.args, vars(error))):
        try:
            frozen.append(freeze(value))
        except Exception:  # It holds something that cannot be pickled; its class and text must do.
            continue
    traceback = "" if error.__traceback__ is None else user_traceback(error)
    return RemoteError([qualified_name(kind) for kind in type(error).__mro__], _text(error), traceback, frozen)


def restore(remote: RemoteError, origin: str) -> BaseException:
    """The exception that was described, with its traceback in the other process as a note.

    Its class is the same if that can be imported here; else it is the nearest one that Python or this package has.

    Args:
        remote: The description.
        origin: Where it was raised, for the note.
    """
    error = next(filter(lambda error: _is_same(error, remote), map(_thaw, remote.frozen)), None) or _nearest(remote)
    if remote.traceback:
        error.add_note(f"Raised in {origin}:\n{remote.traceback}")
    return error


def _thaw(frozen: bytes) -> BaseException | None:
    try:
        value = pickle.loads(frozen)
        if isinstance(value, BaseException):
            return value
        kind, args, attributes = value
        # Not by calling the class: what it takes is not what its message was made of.
        error: BaseException = kind.__new__(kind, *args)
        error.args = args
        vars(error).update(attributes)
        return error
    except Exception:
        return None


def _is_same(error: BaseException | None, remote: RemoteError) -> bool:
    return error is not None and qualified_name(type(error)) == remote.kinds[0] and _text(error) == remote.text


def _nearest(remote: RemoteError) -> BaseException:
    text = remote.text if remote.kinds[0] in vars(builtins) else f"{remote.kinds[0]}: {remote.text}"
    # Whether to try again counts for more than any other class.
    transient = qualified_name(errors.TransientError)
    for name in sorted(remote.kinds, key=lambda name: name != transient):
        module, _, plain = name.rpartition(".")
        kind = _KNOWN.get(module, {}).get(plain, object)
        with suppress(TypeError):  # It takes something else than a text.
            error = kind(text)
            if isinstance(error, BaseException):
                return error
    return errors.RunInferenceError(text)


_KNOWN: dict[str, dict[str, Any]] = {"": vars(builtins), errors.__name__: vars(errors)}


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"<the message of this {type(error).__name__} cannot be shown>"
