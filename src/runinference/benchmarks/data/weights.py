"""The user's own model, in place of one that is made."""

from __future__ import annotations

from pathlib import Path

from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError


def own_weights(settings: Settings) -> str | None:
    """The path of the user's model; `None` where none is named.

    Raises:
        ConfigurationError: It is not there.
    """
    if settings.weights is None:
        return None
    path = Path(settings.weights).expanduser()
    if not path.exists():
        raise ConfigurationError(f"There are no weights at {str(path)!r}; name a file or folder that is there")
    return str(path)
