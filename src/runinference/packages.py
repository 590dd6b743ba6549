"""Optional packages: imported when they are needed, with an error that says how to install them."""

from __future__ import annotations

import importlib
from typing import Any

from runinference.errors import MissingDependencyError


def require(package: str, extra: str, purpose: str) -> Any:
    """Imports `package` and returns it.

    Args:
        package: The module to import, such as `torch` or `skops.io`.
        extra: The extra of `runinference` that installs it.
        purpose: What it is needed for, as the end of "… is needed to".

    Raises:
        MissingDependencyError: It is not installed.
        ImportError: It is installed but cannot be imported.
    """
    top = package.partition(".")[0]
    try:
        importlib.import_module(top)
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        raise MissingDependencyError(top, extra, purpose) from None
