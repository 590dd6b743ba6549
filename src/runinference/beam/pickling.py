"""Whether what a pipeline sends to its workers can be sent."""

from __future__ import annotations

from typing import Any

from apache_beam.internal import pickler

from runinference.errors import ConfigurationError

_DEEPEST = 4


def check_can_be_pickled(what: str, value: Any) -> None:
    """Checks that `value` can be sent to workers.

    Raises:
        ConfigurationError: It cannot; the message names the attribute that is to blame.
    """
    error = _error(value)
    if error is None:
        return
    path, blamed, error = _innermost(value, error)
    part = f": its attribute {path} is {_a(blamed)}" if path else ""
    raise ConfigurationError(
        f"{what} cannot be sent to the workers{part} ({type(error).__name__}: {str(error).splitlines()[0]}). "
        "Make such things in load_model(), which runs on the worker"
    ) from error


def _error(value: Any) -> Exception | None:
    try:
        pickler.dumps(value, enable_trace=False)
    except Exception as error:
        return error
    return None


def _innermost(value: Any, error: Exception) -> tuple[str, Any, Exception]:
    """The deepest attribute that cannot be pickled."""
    path = ""
    for _ in range(_DEEPEST):
        for name, part in getattr(value, "__dict__", {}).items():
            found = _error(part)
            if found is not None:
                path, value, error = f"{path}.{name}" if path else name, part, found
                break
        else:
            break
    return path, value, error


def _a(value: Any) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "").replace("_thread.", "")
