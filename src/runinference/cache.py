"""Where files are kept from one run to the next."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder of this user: `$RUNINFERENCE_CACHE`, or else `~/.cache/runinference`."""
    chosen = os.environ.get("RUNINFERENCE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "runinference"
