"""From INPUT, as a user types it, to a sorted list of files of one format."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from runinference.errors import ConfigurationError, DataError, MissingDependencyError, closest

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".jpg": "images",
    ".jpeg": "images",
    ".png": "images",
    ".webp": "images",
    ".gif": "images",
    ".bmp": "images",
    ".tif": "images",
    ".tiff": "images",
}
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|[A-Za-z0-9+.-]+::")


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What a file's name says about its content.

    Attributes:
        name: `parquet`, `csv`, `jsonl`, `text` or `images`.
        suffix: The suffix that said so, such as `.tsv`.
        compression: `gzip`, `bz2`, `zstd`, or `None` for a file that is not compressed as a whole.
    """

    name: str
    suffix: str
    compression: str | None = None


def expand_input(source: str | os.PathLike[str]) -> tuple[str, ...]:
    """The files that `source` stands for, sorted by path.

    Args:
        source: A file, a folder (searched at every depth) or a glob; on this machine or behind any fsspec URL. Within
            a folder or a glob, hidden files, files that begin with `_` and unfinished `.tmp` files are passed over.

    Returns:
        At least one path or URL; all have the same format.

    Raises:
        DataError: Nothing there can be read, or the formats are mixed.
        ConfigurationError: The suffix is unknown, or the URL's protocol is.
    """
    place = normal_path(source)
    found = _remote(place) if is_url(place) else _local(place)
    if found is None:
        if file_format(place) is None:
            raise ConfigurationError(f"cannot tell the format of {place!r} by its suffix. {known_suffixes()}")
        return (place,)
    return _of_one_format(place, found)


def file_format(path: str) -> FileFormat | None:
    """The format that the suffix of `path` names, or `None` if it names none."""
    stem, suffix = os.path.splitext(_last_part(path).lower())
    compression = COMPRESSIONS.get(suffix)
    if compression:
        suffix = os.path.splitext(stem)[1]
    name = FORMATS.get(suffix)
    if name is None or (compression and name in ("parquet", "images")):
        return None
    return FileFormat(name, suffix, compression)


def known_suffixes() -> str:
    """A sentence that lists the suffixes that can be read."""
    return f"Known suffixes: {', '.join(FORMATS)}; text formats also with {', '.join(COMPRESSIONS)}."


def is_url(path: str) -> bool:
    """Whether `path` lies behind a protocol, so that fsspec must open it."""
    return _URL.match(path) is not None


def normal_path(source: str | os.PathLike[str]) -> str:
    """`source` as text: `~` and `file://` become plain paths, any other URL stays as it is."""
    text = os.fspath(source)
    if not text:
        raise ConfigurationError("the path is empty; name a file, a folder, a glob or a URL")
    if text.startswith("file://"):
        return url2pathname(text.removeprefix("file://"))
    return text if is_url(text) else os.path.expanduser(text)


def open_filesystem(url: str, **options: Any) -> tuple[Any, str]:
    """The fsspec file system of `url`, and the path within it.

    Args:
        url: Any URL that fsspec knows.
        options: Passed on to fsspec.

    Raises:
        MissingDependencyError: fsspec is not installed.
        ConfigurationError: The protocol is unknown, or its package is not installed.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingDependencyError("fsspec", "cli", "read and write tables behind URLs") from error
    protocol = re.split("://|::", url, maxsplit=1)[0]
    try:
        fsspec.get_filesystem_class(protocol)  # Which knows those that the user registered too.
    except ValueError:
        hint = closest(protocol, fsspec.available_protocols())
        raise ConfigurationError(f"cannot open {url!r}: no protocol {protocol!r}.{hint}") from None
    except ImportError as error:
        raise ConfigurationError(f"cannot open {url!r}: {error}") from error
    try:
        filesystem, path = fsspec.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"cannot open {url!r}: {error}") from error
    return filesystem, str(path)


def _local(place: str) -> list[str] | None:
    """The files below a folder or matched by a glob; `None` for a file."""
    if os.path.isfile(place):
        return None
    if os.path.isdir(place):
        return _walk(place)
    if os.path.exists(place):
        raise DataError(f"{place!r} is neither a file nor a folder")
    if not glob.has_magic(place):
        raise ConfigurationError(_missing_text(place))
    shown = _last_part(place)[0] in "._"
    files: list[str] = []
    for match in glob.glob(place, recursive=True):
        if os.path.isdir(match):
            # `**` names every folder on the way besides what is in them.
            files += [] if "**" in place else _walk(match)
        elif shown or not _passed_over(match):
            files.append(match)
    return _matched(place, files)


def _walk(folder: str) -> list[str]:
    """Every file below `folder` that is not passed over; linked folders are followed once."""

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot list {error.filename!r}: {error.strerror}") from error

    files: list[str] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        seen.add(os.path.realpath(parent))
        kept = [name for name in folders if not _passed_over(name)]
        folders[:] = [name for name in kept if os.path.realpath(os.path.join(parent, name)) not in seen]
        files += [os.path.join(parent, name) for name in names if not _passed_over(name)]
    return files


def _remote(url: str) -> list[str] | None:
    """The files behind a folder's or a glob's URL; `None` for a file."""
    filesystem, path = open_filesystem(url)
    magic = "*[" if url.startswith(("http://", "https://")) else "*?["
    try:
        if filesystem.isfile(path):
            return None
        if filesystem.isdir(path):
            start = len(path.rstrip("/"))
            below = [name for name in filesystem.find(path) if not any(map(_passed_over, name[start:].split("/")))]
            return [filesystem.unstrip_protocol(name) for name in below]
        if any(sign in path for sign in magic):
            matches = [name for name in filesystem.glob(path) if filesystem.isfile(name)]
            kept = [name for name in matches if not _passed_over(name)]
            return _matched(url, [filesystem.unstrip_protocol(name) for name in kept])
        beside = filesystem.ls(path.rpartition("/")[0], detail=False)
    except FileNotFoundError:
        beside = []
    except OSError as error:
        raise DataError(f"cannot look at {url!r}: {error}") from error
    hint = closest(_last_part(path), [_last_part(name) for name in beside])
    raise ConfigurationError(f"{url!r} does not exist.{hint}")


def _of_one_format(place: str, files: Iterable[str]) -> tuple[str, ...]:
    by_format: dict[str, list[str]] = {}
    others: set[str] = set()
    for path in files:
        found = file_format(path)
        if found is None:
            others.add(os.path.splitext(_last_part(path))[1] or "none")
        else:
            by_format.setdefault(found.name, []).append(path)
    if not by_format:
        what = f"suffixes found: {', '.join(sorted(others))}" if others else "it is empty"
        raise DataError(f"no file in {place!r} can be read: {what}. {known_suffixes()}")
    if len(by_format) > 1:
        counts = ", ".join(
            f"{len(paths)} {name} ({_last_part(min(paths))})" for name, paths in sorted(by_format.items())
        )
        raise DataError(f"{place!r} holds files of several formats: {counts}. Pick one with a glob, such as '*.csv'")
    return tuple(sorted(set(by_format.popitem()[1])))


def _matched(pattern: str, files: list[str]) -> list[str]:
    if not files:
        raise ConfigurationError(f"no file matches {pattern!r}")
    return files


def _passed_over(path: str) -> bool:
    name = _last_part(path)
    return name.startswith((".", "_")) or re.search(r"\.tmp(-\w+)?$", name) is not None


def _missing_text(path: str) -> str:
    """Says which part of `path` is the first that does not exist, and what is there instead."""
    missing = os.path.normpath(path)
    while (parent := os.path.dirname(missing) or os.curdir) != missing and not os.path.exists(parent):
        missing = parent
    beside = os.listdir(parent) if os.path.isdir(parent) else []
    what = "" if missing == os.path.normpath(path) else f": there is no {missing!r}"
    return f"{path!r} does not exist{what}.{closest(os.path.basename(missing), beside)}"


def _last_part(path: str) -> str:
    if path.startswith(("http://", "https://")):
        path = urlsplit(path).path
    return path.rstrip("/").rpartition("/")[2] if os.sep == "/" or is_url(path) else os.path.basename(path)
