"""Opens model files, on this machine or behind any URL that fsspec knows."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.request import url2pathname

from runinference.cache import cache_folder
from runinference.errors import ModelLoadError
from runinference.packages import require


def open_model_file(uri: str) -> BinaryIO:
    """Opens `uri` for reading bytes.

    Raises:
        ModelLoadError: There is no such file, or it cannot be read.
        MissingDependencyError: It is a URL and fsspec is not installed.
    """
    try:
        if "://" not in uri:
            return open(uri, "rb")
        return cast(BinaryIO, require_fsspec(uri).open(uri, "rb").open())
    except FileNotFoundError:
        raise ModelLoadError(f"The model file {uri} does not exist.{nearest_name(uri)}") from None
    except IsADirectoryError:
        raise ModelLoadError(f"{uri} is a folder, not a model file") from None
    except OSError as error:
        raise ModelLoadError(f"The model file {uri} cannot be read: {error.strerror or error}") from error


def local_model(uri: str) -> str:
    """The path on this machine of a model file or folder, for libraries that read nothing else.

    What lies behind a URL is downloaded once, into `$RUNINFERENCE_CACHE` or else `~/.cache/runinference`, and again
    when it has changed there.

    Raises:
        ModelLoadError: There is no such model, or it cannot be read.
        MissingDependencyError: It is a URL and fsspec is not installed.
    """
    if uri.startswith("file://"):
        uri = url2pathname(uri.removeprefix("file://"))
    if "://" not in uri:
        if not os.path.exists(uri):
            raise ModelLoadError(f"The model {uri} does not exist.{nearest_name(uri)}")
        return uri
    fsspec = require_fsspec(uri)
    try:
        filesystem, path = fsspec.url_to_fs(uri)
        state = [filesystem.info(path)]
        if state[0].get("type") == "directory":
            state = [filesystem.info(name) for name in sorted(filesystem.find(path))]
        key = hashlib.sha256(f"{uri} {state}".encode()).hexdigest()[:32]
        place = cache_folder() / key / path.rstrip("/").rpartition("/")[2]
        if not place.exists():
            _download(filesystem, path, place, state[0].get("size"))
    except FileNotFoundError:
        raise ModelLoadError(f"The model {uri} does not exist") from None
    except ImportError as error:  # fsspec knows the protocol, but not without a further package.
        raise ModelLoadError(f"The model {uri} cannot be read: {error}") from error
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"The model {uri} cannot be read: {error}") from error
    return str(place)


def _download(filesystem: Any, path: str, place: Path, size: int | None) -> None:
    place.parent.parent.mkdir(parents=True, exist_ok=True)
    # Complete or not there at all, also when several processes do this at the same time.
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=place.parent.parent))
    try:
        filesystem.get(path, str(unfinished / place.name), recursive=True)
        found = (unfinished / place.name).stat().st_size
        if size and (unfinished / place.name).is_file() and found != size:
            raise OSError(f"{found:,} of {size:,} bytes arrived")
        if not place.parent.exists():
            os.rename(unfinished, place.parent)
    except OSError:
        if not place.exists():  # Else another process was faster.
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def require_fsspec(uri: str) -> Any:
    """The module fsspec.

    Raises:
        MissingDependencyError: It is not installed.
    """
    return require("fsspec", "cli", f"read the model from {uri}")


def nearest_name(uri: str) -> str:
    """` Did you mean x?` with the name beside `uri` that is most like it, or an empty string."""
    folder = Path(uri).parent
    names = os.listdir(folder) if "://" not in uri and folder.is_dir() else []
    matches = difflib.get_close_matches(Path(uri).name, names, n=1)
    return f" Did you mean {folder / matches[0]}?" if matches else ""
