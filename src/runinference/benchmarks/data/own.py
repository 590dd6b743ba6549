"""The user's own data, in place of data that is made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from runinference.errors import ConfigurationError, DataError


def own_images(place: str, most: int) -> list[str]:
    """The paths of at most `most` images.

    Args:
        place: A file, a folder or a glob.
        most: How many at most, in the order of their paths.

    Raises:
        ConfigurationError: There are none.
    """
    return _files(place, "images")[:most]


def own_lines(place: str, most: int) -> list[str]:
    """At most `most` lines of text files, without those that are empty.

    Args:
        place: A file, a folder or a glob.
        most: How many at most, from the first file on.

    Raises:
        ConfigurationError: There are none, or a file is not text in UTF-8.
    """
    files = _files(place, "text")
    lines = list(islice(_lines(files), most))
    if most and not lines:
        raise ConfigurationError(f"{place!r} has no line of text, only empty ones")
    return lines


def _lines(files: list[str]) -> Iterator[str]:
    for path in files:
        try:
            with open(path, encoding="utf-8") as file:
                yield from filter(None, map(str.strip, file))
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path!r} is not text in UTF-8: {error}") from error


def _files(place: str, kind: str) -> list[str]:
    from runinference.jobs.paths import expand_input, file_format, is_url

    if is_url(place):
        raise ConfigurationError(f"{place!r} is a URL; a benchmark reads files of this machine only, so copy it first")
    try:
        files = list(expand_input(place))
    except DataError as error:
        raise ConfigurationError(str(error)) from error
    found = file_format(files[0])
    if found is None or found.name != kind or found.compression:
        raise ConfigurationError(f"This benchmark reads {kind}, uncompressed; {files[0]!r} is of another kind")
    return files
