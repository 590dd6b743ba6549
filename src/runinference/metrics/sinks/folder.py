"""Whether a file can be where a user wants it."""

from __future__ import annotations

import os

from runinference.errors import ConfigurationError


def check_folder(scheme: str, path: str) -> None:
    """Checks that the folder of a file is there.

    Raises:
        ConfigurationError: It is not.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise ConfigurationError(f"{scheme}:{path}: there is no folder {folder}")
