"""Opens model files, on this machine or behind any URL that fsspec knows."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import BinaryIO, cast

from runinference.errors import MissingDependencyError, ModelLoadError


def open_model_file(uri: str) -> BinaryIO:
    """Opens `uri` for reading bytes.

    Raises:
        ModelLoadError: There is no such file, or it cannot be read.
        MissingDependencyError: It is a URL and fsspec is not installed.
    """
    try:
        if "://" not in uri:
            return open(uri, "rb")
        try:
            import fsspec
        except ImportError:
            raise MissingDependencyError("fsspec", "cli", f"read the model from {uri}") from None
        return cast(BinaryIO, fsspec.open(uri, "rb").open())
    except FileNotFoundError:
        raise ModelLoadError(f"The model file {uri} does not exist.{_nearest(uri)}") from None
    except IsADirectoryError:
        raise ModelLoadError(f"{uri} is a folder, not a model file") from None
    except OSError as error:
        raise ModelLoadError(f"The model file {uri} cannot be read: {error.strerror or error}") from error


def _nearest(uri: str) -> str:
    folder = Path(uri).parent
    names = os.listdir(folder) if "://" not in uri and folder.is_dir() else []
    matches = difflib.get_close_matches(Path(uri).name, names, n=1)
    return f" Did you mean {folder / matches[0]}?" if matches else ""
