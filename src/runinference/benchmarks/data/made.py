"""Files that are made once and kept."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from runinference.cache import cache_folder


def made_once(name: str, write: Callable[[Path], object]) -> Path:
    """The file or folder of that name among the data of benchmarks; `write` writes it where it is not there yet.

    Args:
        name: It must tell everything that the content depends on: how many, from which seed, of which version.
        write: Writes to the path that it is given. It appears under its name only when it is whole.
    """
    path = cache_folder() / "benchmarks" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of each thread its own: those of a worker make the same at the same time.
        unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.unfinished")
        try:
            write(unfinished)
            _keep(unfinished, path)
        finally:
            if unfinished.is_dir():
                shutil.rmtree(unfinished, ignore_errors=True)
            else:
                unfinished.unlink(missing_ok=True)
    return path


def _keep(unfinished: Path, path: Path) -> None:
    try:
        unfinished.rename(path)
    except OSError:
        if not path.exists():  # Else another one was faster.
            raise
