"""What PyTorch wrote into a file, told without PyTorch."""

from __future__ import annotations

import zipfile
from typing import Literal

Kind = Literal["exported", "script", "weights"]


def kind_of_file(path: str) -> Kind | None:
    """What PyTorch wrote into a file, by its content; `None` for anything else."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = ["/" + name.partition("/")[2] for name in archive.namelist()]
    if "/archive_format" in names:
        return "exported"
    if any(name.startswith("/code/") for name in names):
        return "script"
    return "weights" if "/data.pkl" in names else None
