"""Opens ONNX models: options, execution providers, files."""

from __future__ import annotations

import logging
import mmap
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from runinference.errors import ConfigurationError, ModelLoadError, closest
from runinference.models.files import local_model
from runinference.packages import require
from runinference.prediction import qualified_name

_logger = logging.getLogger(__name__)
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# How an ONNX file names a file that holds a part of its weights: a text field `location`, and the length of its value.
_LOCATION = b"\n\x08location\x12"

_lock = threading.Lock()

SessionOptions = Mapping[str, Any] | Callable[[], Any] | Any
Providers = Sequence[str | tuple[str, Mapping[str, Any]]]

file_bytes: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""The bytes of the files of each session that was opened here."""


class OfThisProcess:
    """Holds an `onnxruntime.SessionOptions`, which cannot be pickled, and says what can."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        raise ConfigurationError(
            "A handler whose session_options is an onnxruntime.SessionOptions cannot be sent to another process. "
            'Pass a dict of its attributes, such as {"intra_op_num_threads": 2}, or a function that makes it'
        )


def check_session_options(value: SessionOptions) -> SessionOptions:
    """Session options as a handler keeps them.

    Raises:
        ConfigurationError: They are neither a dict, nor a function, nor an `onnxruntime.SessionOptions`.
    """
    if value is None or isinstance(value, Mapping):
        return value
    if any(kind.__name__ == "SessionOptions" for kind in type(value).__mro__):
        return OfThisProcess(value)
    if callable(value):
        return value
    raise ConfigurationError(
        f"session_options must be a dict of attributes of onnxruntime.SessionOptions, a function that makes one, "
        f"or one itself; got {value!r}"
    )


def check_providers(providers: Providers | None, provider_options: Sequence[Mapping[str, Any]] | None) -> None:
    """Checks the execution providers that a handler is given, as far as that goes without onnxruntime.

    Raises:
        ConfigurationError: They, or their options, cannot work.
    """
    if providers is None:
        if provider_options is not None:
            raise ConfigurationError("provider_options has no effect without providers, one entry for each")
        return
    if isinstance(providers, str) or not isinstance(providers, Sequence) or not providers:
        raise ConfigurationError(f"providers must be a list of names, such as [{_CPU!r}], got {providers!r}")
    for each in providers:
        named = isinstance(each, tuple) and len(each) == 2 and isinstance(each[1], Mapping)
        if not isinstance(each[0] if named else each, str):
            raise ConfigurationError(f"A provider must be a name, or a tuple of name and options, got {each!r}")
    names = _names(providers)
    if len(set(names)) < len(names):
        raise ConfigurationError(f"providers has a name twice: {', '.join(names)}")
    if provider_options is None:
        return
    if len(provider_options) != len(providers) or list(providers) != names:
        raise ConfigurationError(
            f"provider_options must have one dict for each of providers, which must be plain names; "
            f"got {len(provider_options)} for {list(providers)!r}"
        )


def open_session(
    uri: str,
    session_options: SessionOptions,
    providers: Providers | None,
    provider_options: Sequence[Mapping[str, Any]] | None,
    threads: int | None = None,
) -> Any:
    """Opens the model at `uri`, on exactly the execution providers that are asked for.

    Args:
        uri: Path or URL of the model or its folder.
        session_options: As a handler keeps them.
        providers: The execution providers; `None` for CUDA where it is there, and the CPU.
        provider_options: Options for each of them.
        threads: Threads for each operation on the CPU where the session options do not say; `None` for all cores.

    Raises:
        ModelLoadError: The file is missing or damaged or no ONNX model, or a provider is not available.
        ConfigurationError: The session options cannot work.
        MissingDependencyError: onnxruntime is not installed.
    """
    ort = require("onnxruntime", "onnx", "run ONNX models")
    path = _model_file(uri)
    options = _make_options(ort, session_options)
    available = ort.get_available_providers()
    chosen = providers or ([_CUDA, _CPU] if _CUDA in available else [_CPU])
    for name in _names(chosen):
        if name not in available:
            raise ModelLoadError(
                f"{uri}: the execution provider {name!r} is not available.{closest(name, available)} "
                f"onnxruntime {ort.__version__} offers {', '.join(available)}; others come with other packages, "
                "such as onnxruntime-gpu"
            )
    plain = [each if isinstance(each, str) else (each[0], dict(each[1])) for each in chosen]
    given = None if provider_options is None else [dict(each) for each in provider_options]
    try:
        # The fallback is that of onnxruntime to other providers, which says so only on standard output.
        with _threads_set(options, threads):
            session = ort.InferenceSession(path, options, providers=plain, provider_options=given, enable_fallback=0)
    except Exception as error:
        raise ModelLoadError(
            f"{uri} cannot be loaded as an ONNX model ({qualified_name(type(error))}: {error}). "
            "Is it complete, together with any files of weights beside it?"
        ) from error
    check_started(uri, _names(chosen), session.get_providers(), asked=providers is not None)
    file_bytes[session] = _size_of_files(Path(path))
    return session


def check_started(uri: str, chosen: Sequence[str], started: Sequence[str], *, asked: bool) -> None:
    """Checks that the providers of a session are those that were chosen, for onnxruntime leaves some out in silence.

    Raises:
        ModelLoadError: One that was asked for did not start.
    """
    failed = [name for name in chosen if name not in started]
    if not failed:
        return
    message = f"{uri}: the execution provider {failed[0]} did not start; the model runs on {', '.join(started)}"
    if asked:
        raise ModelLoadError(f"{message}. See what onnxruntime wrote to standard error, or leave it out of providers")
    _logger.warning("%s. See what onnxruntime wrote to standard error", message)


def _names(providers: Providers) -> list[str]:
    return [each if isinstance(each, str) else each[0] for each in providers]


def _model_file(uri: str) -> str:
    path = local_model(uri)
    if not os.path.isdir(path):
        return path
    models = sorted(str(file) for file in Path(path).glob("*.onnx"))
    if len(models) != 1:
        raise ModelLoadError(f"{uri} is a folder with {len(models)} files *.onnx; name one, or a folder with one")
    return models[0]


def _make_options(ort: Any, session_options: SessionOptions) -> Any:
    if isinstance(session_options, OfThisProcess):
        return session_options.value
    if session_options is not None and not isinstance(session_options, Mapping):
        made = session_options()
        if not isinstance(made, ort.SessionOptions):
            raise ConfigurationError(
                f"session_options must return an onnxruntime.SessionOptions, got {type(made).__name__}"
            )
        return made
    options = ort.SessionOptions()
    known = [name for name in dir(options) if name[0] != "_" and not callable(getattr(options, name))]
    for name, value in (session_options or {}).items():
        if name not in known:
            raise ConfigurationError(
                f"session_options: onnxruntime.SessionOptions has no attribute {name!r}.{closest(str(name), known)} "
                f"Attributes: {', '.join(known)}; for its methods, pass a function that makes one"
            )
        _set_option(options, name, value)
    return options


def _set_option(options: Any, name: str, value: Any) -> None:
    members = getattr(type(getattr(options, name)), "__members__", None)
    if members is not None and isinstance(value, str):
        if value not in members:
            raise ConfigurationError(
                f"session_options: {name} cannot be {value!r}.{closest(value, members)} Values: {', '.join(members)}"
            )
        value = members[value]
    try:
        setattr(options, name, value)
    except Exception as error:
        current = getattr(options, name)
        raise ConfigurationError(
            f"session_options: {name} cannot be {value!r}; it is {current!r} by default"
        ) from error


@contextmanager
def _threads_set(options: Any, threads: int | None) -> Iterator[None]:
    """Within it, `options` that leave the number of threads open ask for `threads`.

    An object of the user's is left as it was, for other sessions; so two sessions must not be opened with it at once.
    """
    if threads is None or options.intra_op_num_threads:
        yield
        return
    with _lock:
        options.intra_op_num_threads = threads
        try:
            yield
        finally:
            options.intra_op_num_threads = 0


def _size_of_files(path: Path) -> int:
    """The bytes of a model's file and of the files beside it that hold its weights."""
    beside: set[str] = set()
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_LOCATION)
        while at >= 0:
            start = at + len(_LOCATION) + 1
            # One byte holds the length of names below 128 bytes.
            beside.add(content[start : start + content[start - 1]].decode("utf-8", "replace"))
            at = content.find(_LOCATION, start)
    files = [path, *(path.parent / name for name in beside)]
    return sum(file.stat().st_size for file in files if file.is_file())
