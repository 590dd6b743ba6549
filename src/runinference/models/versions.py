"""What tells one version of a model from another: its content, and cheap signs that this may have changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.request import url2pathname

from runinference.errors import ModelLoadError
from runinference.models.files import nearest_name, open_model_file, require_fsspec

_BLOCK_BYTES = 1 << 20
# Parts of the names that file systems give to what changes with the content. Times of access and signed links, which
# change without it, must not be among them.
_TELLING = (
    *("size", "etag", "modif", "mtime", "updat", "creat", "generation", "version"),
    *("md5", "sha", "crc", "digest", "checksum", "blob", "ino"),
)


class Signature(NamedTuple):
    """What can be seen of a model without reading it; another one means that the content may be another.

    Attributes:
        num_bytes: Bytes of all its files; `None` where nobody can tell.
        modified_ns: When a file of it was last modified, in nanoseconds since 1970; 0 where nobody can tell.
        changed_ns: When a file of it was last touched in any way, also by `cp -p` or `chmod`. Same unit.
        marks: Name, size, time and identity of each file.
    """

    num_bytes: int | None
    modified_ns: int
    changed_ns: int
    marks: tuple[Any, ...]


def content_hash(path: str) -> str:
    """SHA-256 of the content of a model, in hexadecimal digits.

    Args:
        path: A file, or a folder with the names and contents of all files in it, on this machine or behind a URL.
            The same content has the same hash in either place.

    Raises:
        ModelLoadError: There is no such model, or it cannot be read.
        MissingDependencyError: It is a URL and fsspec is not installed.
    """
    files = model_files(path)
    if set(files) == {""}:
        return _hash_file(files[""])
    whole = hashlib.sha256()
    for name, file in files.items():
        # Neither part of a line can contain a zero byte, so that no two folders give the same lines.
        whole.update(f"{name}\0{_hash_file(file)}\0".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def model_files(path: str) -> dict[str, str]:
    """The files of a model, sorted: where each lies, by its name within the folder with `/`; a file alone is `""`.

    Raises:
        ModelLoadError: There is no such model, it is an empty folder, or it cannot be listed.
        MissingDependencyError: It is a URL and fsspec is not installed.
    """
    path = plain_path(path)
    try:
        files = {name: file for name, (file, _) in (_list_url(path) if "://" in path else _list(path, _refuse)).items()}
    except OSError as error:
        raise ModelLoadError(f"The model {path} cannot be read: {error}") from error
    if not files:
        empty = os.path.isdir(path)
        raise ModelLoadError(f"The model {path} is an empty folder" if empty else _missing(path))
    return files


def signature_of(path: str, *, refresh: bool = True) -> Signature | None:
    """The signature of the model at `path`, or `None` if nothing is there yet: no file, or none with a byte in it.

    Args:
        path: A file or folder, on this machine or behind a URL.
        refresh: Forget what fsspec remembers of an earlier look.

    Raises:
        ModelLoadError: The URL cannot be looked at.
        MissingDependencyError: It is a URL and fsspec is not installed.
    """
    path = plain_path(path)
    if "://" in path:
        return _sign_url(path, refresh)
    states = {name: state for name, (_, state) in _list(path, None).items()}
    num_bytes = sum(state.st_size for state in states.values())
    if not num_bytes:
        return None
    return Signature(
        num_bytes,
        max(state.st_mtime_ns for state in states.values()),
        max(max(state.st_mtime_ns, state.st_ctime_ns) for state in states.values()),
        tuple((name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in states.items()),
    )


def plain_path(path: str) -> str:
    """`path`, where `file://` becomes a path of this machine."""
    return url2pathname(path.removeprefix("file://")) if path.startswith("file://") else path


def filesystem_of(url: str) -> tuple[Any, str]:
    """The fsspec file system of `url`, and the place within it.

    Raises:
        ModelLoadError: The protocol is unknown, or its package is not installed.
        MissingDependencyError: fsspec is not installed.
    """
    fsspec = require_fsspec(url)
    try:
        filesystem, place = fsspec.url_to_fs(url)
    except (ImportError, OSError, ValueError) as error:
        raise ModelLoadError(f"The model {url} cannot be read: {error}") from error
    return filesystem, str(place)


def _hash_file(path: str) -> str:
    content = hashlib.sha256()
    with open_model_file(path) as file:
        try:
            while block := file.read(_BLOCK_BYTES):
                content.update(block)
        except OSError as error:
            raise ModelLoadError(f"The model file {path} cannot be read: {error}") from error
    return content.hexdigest()


def _list(path: str, onerror: Callable[[OSError], None] | None) -> dict[str, tuple[str, os.stat_result]]:
    """The files of a model on this machine, as `model_files` has them, and their states."""
    if os.path.isfile(path):
        paths = [path]
    else:
        paths = []
        seen = set()
        for parent, folders, names in os.walk(path, followlinks=True, onerror=onerror):
            seen.add(os.path.realpath(parent))
            folders[:] = [name for name in folders if os.path.realpath(os.path.join(parent, name)) not in seen]
            paths += [os.path.join(parent, name) for name in names]
    found = {}
    for file in paths:
        try:
            state = os.stat(file)
        except OSError as error:
            if onerror is not None:
                onerror(error)
            continue
        if stat.S_ISREG(state.st_mode):  # Pipes and sockets would be read for ever.
            found["" if file == path else os.path.relpath(file, path).replace(os.sep, "/")] = (file, state)
    return dict(sorted(found.items()))


def _refuse(error: OSError) -> None:
    # What has gone, also before the link to it, is no part of the model.
    if not isinstance(error, FileNotFoundError):
        raise error


def _list_url(url: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
    filesystem, place = filesystem_of(url)
    try:
        info = filesystem.info(place)
        if info.get("type") != "directory":
            return {"": (url, info)}
        files = filesystem.find(place, detail=True)
    except FileNotFoundError:
        return {}
    start = len(place.rstrip("/")) + 1
    # Some stores have an empty object for the folder itself.
    names = [name for name in sorted(files) if name[start:] and not name.endswith("/")]
    return {name[start:]: (filesystem.unstrip_protocol(name), files[name]) for name in names}


def _sign_url(url: str, refresh: bool) -> Signature | None:
    if refresh:
        filesystem_of(url)[0].invalidate_cache()
    try:
        infos = {name: info for name, (_, info) in _list_url(url).items()}
    except OSError as error:
        raise ModelLoadError(f"The model {url} cannot be looked at: {error}") from error
    sizes: list[int | None] = [info.get("size") for info in infos.values()]
    if not any(size is None or size > 0 for size in sizes):
        return None
    num_bytes = sum(size for size in sizes if size is not None) if None not in sizes else None
    marks = tuple(
        (name, *((key, str(info[key])) for key in sorted(info) if any(part in key.lower() for part in _TELLING)))
        for name, info in infos.items()
    )
    modified_ns = max(_modified_ns(info) for info in infos.values())
    return Signature(num_bytes, modified_ns, modified_ns, marks)


def _modified_ns(info: Mapping[str, Any]) -> int:
    for part in ("modif", "mtime", "updat", "creat"):
        for key, value in info.items():
            if part in key.lower() and (seconds := _seconds(value)) is not None:
                return int(seconds * 1e9)
    return 0


def _seconds(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            try:
                value = parsedate_to_datetime(value)
            except ValueError:
                return None
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, (int, float)) else None


def _missing(path: str) -> str:
    return f"The model {path} does not exist.{nearest_name(path)}"
