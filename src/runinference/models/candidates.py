"""Where versions of a model may be: what a pattern stands for, and what a version pointer names."""

from __future__ import annotations

import glob
import os
import posixpath
import re

from runinference.errors import ConfigurationError, closest
from runinference.models.files import open_model_file, require_fsspec
from runinference.models.versions import Signature, filesystem_of, plain_path

_MOST_POINTER_BYTES = 4096
_UNFINISHED = (".tmp", ".part", ".crdownload", "~")


def check_pattern(pattern: str | os.PathLike[str]) -> str:
    """`pattern` as text, where `~` and `file://` have become paths of this machine.

    Raises:
        ConfigurationError: It is empty, the folder that it begins with does not exist, or nobody knows the protocol of
            the URL.
        MissingDependencyError: It is a URL and fsspec is not installed.
    """
    if not isinstance(pattern, (str, os.PathLike)) or not os.fspath(pattern).strip():
        raise ConfigurationError(
            f"The models to watch must be named by a file, a folder, a glob or a URL, not by {pattern!r}"
        )
    text = plain_path(os.fspath(pattern))
    if "://" in text:
        _check_url(text)
        return text
    text = os.path.expanduser(text)
    if not os.path.exists(text):
        _check_folder(text)
    return text


def find_candidates(pattern: str, served: str | None = None) -> list[str]:
    """The paths or URLs that `pattern` stands for: the matches of a glob, the entries of a folder, or itself.

    Names that begin with `.` or `_`, or that say that a file is not finished yet, are left out; `**` finds files only.

    Args:
        pattern: A glob, a folder, or a file that need not exist; on this machine or behind a URL.
        served: If that is the folder `pattern`, it stands for itself.

    Raises:
        OSError: It cannot be listed; a library behind fsspec may raise its own errors as well.
        ModelLoadError: The protocol of the URL is unknown.
    """
    if "://" in pattern:
        return _find_behind_url(pattern, served)
    if os.path.isdir(pattern):
        if served is not None and "://" not in served and os.path.realpath(served) == os.path.realpath(pattern):
            return [pattern]
        return [os.path.join(pattern, name) for name in os.listdir(pattern) if not _passed_over(name)]
    if os.path.exists(pattern) or not glob.has_magic(pattern):
        return [pattern]
    matches = glob.glob(pattern, recursive=True)
    if "**" in pattern:
        matches = [match for match in matches if os.path.isfile(match)]
    folder = os.path.dirname(_fixed_part(pattern)) or os.curdir
    return [match for match in matches if not _passed_over(os.path.relpath(match, folder).replace(os.sep, "/"))]


def read_pointer(path: str, signature: Signature) -> str | None:
    """What the file at `path` names if it is a version pointer: a path or URL, whether or not anything is there.

    Args:
        path: A file or folder.
        signature: Its signature.

    Returns:
        `None` if it is a folder, larger than 4 KiB, or anything but one line of text.

    Raises:
        ModelLoadError: It cannot be read.
    """
    if signature.marks[0][0] != "" or signature.num_bytes is None or signature.num_bytes > _MOST_POINTER_BYTES:
        return None
    with open_model_file(path) as file:
        content = file.read(_MOST_POINTER_BYTES + 1)
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        return None
    if len(lines) != 1 or not lines[0].isprintable():
        return None
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", lines[0]):
        return plain_path(lines[0])
    if "://" not in path:
        return os.path.normpath(os.path.join(os.path.dirname(path), lines[0]))
    filesystem, place = filesystem_of(path)
    protocol, mark, rest = place.rpartition("://")
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(rest), lines[0]))
    return str(filesystem.unstrip_protocol(protocol + mark + beside))


def _check_folder(pattern: str) -> None:
    """Raises if the folder that `pattern` begins with does not exist."""
    missing = ""
    parent = os.path.normpath(os.path.dirname(_fixed_part(pattern)) or os.curdir)
    while not os.path.exists(parent):
        missing, parent = parent, os.path.dirname(parent) or os.curdir
    if missing:
        beside = os.listdir(parent) if os.path.isdir(parent) else []
        hint = closest(os.path.basename(missing), beside)
        raise ConfigurationError(f"Models cannot be watched at {pattern!r}: there is no {missing!r}.{hint}")


def _check_url(url: str) -> None:
    fsspec = require_fsspec(url)
    protocol = url.partition("://")[0]
    if "::" in protocol:
        raise ConfigurationError(f"Models cannot be watched at {url!r}: a URL within a URL is not supported")
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError:
        hint = closest(protocol, fsspec.available_protocols())
        raise ConfigurationError(f"Models cannot be watched at {url!r}: no protocol {protocol!r}.{hint}") from None
    except ImportError as error:
        raise ConfigurationError(f"Models cannot be watched at {url!r}: {error}") from error


def _find_behind_url(url: str, served: str | None) -> list[str]:
    filesystem, place = filesystem_of(url)
    filesystem.invalidate_cache()
    # A question mark begins the parameters of a web address.
    magic = "*[" if url.startswith(("http://", "https://")) else "*?["
    try:
        if any(sign in place for sign in magic):
            matches = filesystem.glob(place, detail=True)
            names = [name for name in matches if "**" not in place or matches[name].get("type") != "directory"]
            start = _fixed_part(place).rfind("/") + 1
        elif filesystem.info(place).get("type") != "directory" or (
            served is not None and "://" in served and filesystem_of(served) == (filesystem, place)
        ):
            return [url]
        else:
            names = [name.rstrip("/") for name in filesystem.ls(place, detail=False)]
            start = len(place.rstrip("/")) + 1
    except FileNotFoundError:
        return []
    return [filesystem.unstrip_protocol(name) for name in names if not _passed_over(name[start:])]


def _passed_over(name: str) -> bool:
    return any(
        not part or part.startswith((".", "_")) or part.lower().endswith(_UNFINISHED) for part in name.split("/")
    )


def _fixed_part(pattern: str) -> str:
    return pattern[: next((place for place, sign in enumerate(pattern) if sign in "*?["), len(pattern))]
