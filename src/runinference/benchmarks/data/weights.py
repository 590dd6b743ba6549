"""The user's own model, in place of one that is made."""

from __future__ import annotations

import functools
from pathlib import Path

from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError


def own_weights(settings: Settings) -> str | None:
    """The path or URL of the user's model; `None` where none is named.

    Raises:
        ConfigurationError: It is not there.
    """
    from runinference.jobs.paths import is_url, normal_path

    if settings.weights is None:
        return None
    place = normal_path(settings.weights)
    if is_url(place):
        kind_of_url(place)
    elif not Path(place).exists():
        raise ConfigurationError(f"There are no weights at {place!r}; name a file or folder that is there")
    return place


@functools.cache  # Each look is a request.
def kind_of_url(url: str) -> str | None:
    """`file` or `directory`; `None` where it cannot be told on this machine, which lacks the package of the protocol.

    Raises:
        ConfigurationError: There is nothing, or it cannot be reached.
    """
    from runinference.jobs.paths import open_filesystem

    try:
        filesystem, path = open_filesystem(url)
    except ConfigurationError as error:
        if isinstance(error.__cause__, ImportError):
            return None  # What loads the weights, perhaps on other machines, says so where it is missing too.
        raise
    try:
        return str(filesystem.info(path)["type"])
    except FileNotFoundError:
        raise ConfigurationError(f"There are no weights at {url!r}; name a file that is there") from None
    except Exception as error:  # Each protocol has its own.
        raise ConfigurationError(f"The weights at {url!r} cannot be reached: {error}") from error
