"""Loads what transformers have saved, and says in one sentence why it cannot be loaded."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runinference.errors import ModelLoadError, closest
from runinference.models.files import local_model
from runinference.prediction import qualified_name

_logger = logging.getLogger(__name__)

_HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NOT_LOADED = re.compile(r"^(.+?)\s*\|\s*MISSING\b", re.MULTILINE)
_LAST_ERROR = re.compile(r"^[\w.]*(?:Error|Exception): .+$", re.MULTILINE)
_LONGEST_REASON = 300
_SHOWN = 4


def find_class(name: Any) -> Any:
    """The class of transformers of that name; a class itself as it is.

    Raises:
        ModelLoadError: There is none.
    """
    if not isinstance(name, str):
        return name
    import transformers

    found = getattr(transformers, name, None)
    if not callable(getattr(found, "from_pretrained", None)):
        raise ModelLoadError(f"transformers has no model class {name!r}.{closest(name, dir(transformers))}")
    return found


def load_pretrained(kind: Any, model: str, arguments: Mapping[str, Any]) -> Any:
    """A model or tokenizer.

    Args:
        kind: A class of transformers.
        model: A folder, a URL that fsspec knows, or the name of a model on the hub.
        arguments: Arguments for `from_pretrained`.

    Raises:
        ModelLoadError: It is not there, is damaged or is of another kind.
    """
    place = find_model(model)
    arguments = dict(arguments)
    if kind.__name__.startswith("Auto"):  # Where nothing is said about code, these ask on the console.
        arguments.setdefault("trust_remote_code", False)
    with collect_messages(quiet=os.path.isdir(place)) as messages:
        try:
            loaded = kind.from_pretrained(place, **arguments)
        except Exception as error:
            raise load_error(kind.__name__, model, place, error) from error
    check_trained(loaded, model, kind.__name__, messages)
    return loaded


def may_be_on_hub(model: str) -> bool:
    """Whether a text has the form of a name on the hub: `model` or `owner/model`."""
    return _HUB_NAME.fullmatch(model) is not None


def find_model(model: str) -> str:
    """A folder on this machine, or else the name of a model on the hub.

    Raises:
        ModelLoadError: It is neither.
    """
    if not os.path.exists(model) and may_be_on_hub(model):
        return model
    place = local_model(model)
    if not os.path.isdir(place):
        raise ModelLoadError(f"{model} is a file; what is needed is the folder that save_pretrained() wrote")
    if not any(os.path.exists(os.path.join(place, name)) for name in ("config.json", "adapter_config.json")):
        raise ModelLoadError(
            f"{model} holds no model of transformers: there is no config.json in it. "
            "model.save_pretrained(folder) and tokenizer.save_pretrained(folder) write what is needed"
        )
    return place


def check_trained(loaded: Any, what: str, purpose: str, messages: list[str]) -> None:
    """Checks that the part of a model that answers was trained, and not left out of the file.

    Raises:
        ModelLoadError: It would be random numbers.
    """
    missing = [name for message in messages for name in _NOT_LOADED.findall(_COLOUR.sub("", message))]
    base = getattr(loaded, "base_model", None)
    inside = f"{getattr(loaded, 'base_model_prefix', '')}."
    head = [] if base is loaded else [name for name in missing if not name.startswith(inside)]
    if head:
        raise ModelLoadError(
            f"{what} has no trained weights for {purpose}: {some(head)} would be random numbers. "
            f"Was it trained for another task?{architecture(what)}"
        )
    if missing:
        _logger.warning("%s lacks weights, which are random numbers now: %s", what, some(missing))


def load_error(purpose: str, model: str, place: str | None, error: Exception) -> ModelLoadError:
    """What to raise where `error` came of loading a model for a purpose."""
    if "trust_remote_code" in str(error):
        return ModelLoadError(
            f"{model} comes with code of its own, which was not run. If you have read it and trust it, pass "
            "trust_remote_code=True among the arguments for loading"
        )
    if place is None or os.path.isdir(place):
        what = model or f"The default model for {purpose}"
        return ModelLoadError(f"{what} cannot be loaded for {purpose}: {_reason(error)}.{architecture(model)}")
    kinds = {type(each).__name__ for each in _chain(error)}
    if not kinds & _OF_THE_HUB:
        return ModelLoadError(f"{model} cannot be loaded: {_reason(error)}")
    if "GatedRepoError" in kinds:
        reason = "its owner must allow it first: ask for access on its page there, then log in with: hf auth login"
    elif "RepositoryNotFoundError" in kinds:
        reason = "there is no such model, or it is private. Check the name, or log in with: hf auth login"
    else:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
        why = "HF_HUB_OFFLINE is set" if offline else "there is no connection"
        reason = f"{why}, and it was not fetched before. Check the name, or fetch it with: hf download {model}"
    return ModelLoadError(f"{model} is no folder here, and it cannot be fetched from huggingface.co: {reason}")


_OF_THE_HUB = frozenset(
    {
        *("ConnectError", "ConnectTimeout", "GatedRepoError", "HfHubHTTPError", "LocalEntryNotFoundError"),
        *("OfflineModeIsEnabled", "RepositoryNotFoundError"),
    }
)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: Exception) -> str:
    """The one line that matters of messages that may be pages long."""
    text = str(error).strip()
    nested = _LAST_ERROR.findall(text)
    line = nested[-1] if nested else f"{qualified_name(type(error))}: {text.partition(chr(10))[0]}"
    return line.strip().rstrip(".:")[:_LONGEST_REASON]


def architecture(model: str) -> str:
    """What a folder says that it holds, as a sentence."""
    try:
        with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
            names = json.load(file).get("architectures")
    except (OSError, ValueError, AttributeError):
        return ""
    return f" Its config.json says that it is a {' or '.join(names)}" if names else ""


def some(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:_SHOWN]) + ("…" if len(names) > _SHOWN else "")


_lock = threading.Lock()


@contextmanager
def collect_messages(quiet: bool) -> Iterator[list[str]]:
    """Collects what transformers log, in place of its lines in the output of a job; `quiet` draws no bars either."""
    from transformers.utils import logging as their_logging

    found: list[str] = []
    root = logging.getLogger("transformers")
    with _lock:
        before = root.handlers, root.propagate, root.level
        bars = their_logging.is_progress_bar_enabled()
        root.handlers, root.propagate = [_Collector(found)], False
        root.setLevel(min(root.level, logging.WARNING))
        if quiet:
            their_logging.disable_progress_bar()
        try:
            yield found
        finally:
            root.handlers, root.propagate, _ = before
            root.setLevel(before[2])
            if bars:
                their_logging.enable_progress_bar()


class _Collector(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(record.getMessage())
