"""Every exception that this package raises.

    RunInferenceError
    ├── ConfigurationError (ValueError)     the handler, an option or an argument cannot work
    ├── MissingDependencyError (ImportError) an optional package is absent; says what to install
    ├── ModelLoadError                      the model is missing, damaged or of another kind
    ├── InferenceError                      a row failed and no `on_failure` was given
    ├── ModelFaultError                     the model as a whole fails, not one of its rows
    │   └── OutputCountError                as many predictions as rows were expected
    ├── InferenceTimeoutError (TimeoutError) a batch took longer than `timeout_s`
    ├── ModelProcessDiedError (TransientError) the process that holds the model died during a call
    ├── RowError (ValueError)               a row cannot be run, whatever becomes of the others
    ├── DataError                           the input cannot be read or the output cannot be written
    └── EngineClosedError                   the engine was used after `close()`

`TransientError` is a mix-in: an exception that carries it may succeed when tried again.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runinference.prediction import Failure


class RunInferenceError(Exception):
    """Base of every exception that this package raises."""


class ConfigurationError(RunInferenceError, ValueError):
    """The handler, an option or an argument cannot work; raised before any row is read."""


class MissingDependencyError(RunInferenceError, ImportError):
    """An optional package is absent.

    Args:
        package: The package that could not be imported.
        extra: The extra of `runinference` that installs it.
        purpose: What it is needed for, as the end of "… is needed to".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{package} is needed to {purpose}. Install it: pip install "runinference[{extra}]"')
        self.package, self.extra, self.purpose = package, extra, purpose

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.package, self.extra, self.purpose)


class ModelLoadError(RunInferenceError, RuntimeError):
    """The model is missing, damaged or of another kind than the handler expects."""


class InferenceError(RunInferenceError):
    """A row failed and no `on_failure` was given; the original exception is the cause.

    Attributes:
        failure: Which row failed, where and why.
        batch: Which batch it was in, of those of one engine; `None` where it was in none.
    """

    batch: int | None = None

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.failure)


class ModelFaultError(RunInferenceError):
    """The model fails as a whole: every row would fail alike, so none is set aside."""


class OutputCountError(ModelFaultError):
    """A handler returned more or fewer predictions than it was given rows."""


class InferenceTimeoutError(RunInferenceError, TimeoutError):
    """A batch took longer than `timeout_s`."""


class RowError(RunInferenceError, ValueError):
    """A row cannot be run, whatever becomes of the others.

    A handler that raises this for a row is sure that the model is not at fault, however many rows fail so.
    """


class DataError(RunInferenceError):
    """The input cannot be read or the output cannot be written."""


class EngineClosedError(RunInferenceError):
    """The engine was used after `close()`."""


class TransientError(Exception):
    """Mix-in for exceptions of handlers: the same call may succeed when it is tried again."""


class ModelProcessDiedError(RunInferenceError, TransientError):
    """The process that held the model died during a call; another takes its place, so the call may be tried again."""


def is_transient(error: BaseException) -> bool:
    """Whether the call that raised `error` may succeed when tried again.

    True for `TransientError`, connection errors and time-outs of the outside world; false for a batch that exceeded
    `timeout_s` (it would again) and for anything that the data or the model determine.
    """
    if isinstance(error, InferenceTimeoutError):
        return False
    return isinstance(error, (TransientError, ConnectionError, TimeoutError, InterruptedError))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on the host or on a device, so that a smaller batch may fit."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    # PyTorch says the first of its devices and the second of the host.
    text = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in text or "can't allocate memory" in text


def closest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest known name, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""
