"""The user's own data, in place of data that is made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from runinference.errors import ConfigurationError, DataError


def own_images(place: str, most: int) -> list[str]:
    """The paths or URLs of at most `most` images.

    Args:
        place: A file, a folder or a glob, on this machine or behind any fsspec URL.
        most: How many at most, in the order of their paths.

    Raises:
        ConfigurationError: There are none.
    """
    return _files(place, "images")[:most]


def own_lines(place: str, most: int) -> list[str]:
    """At most `most` lines of text files, without those that are empty.

    Args:
        place: A file, a folder or a glob, on this machine or behind any fsspec URL; compressed or not.
        most: How many at most, from the first file on.

    Raises:
        ConfigurationError: There are none, or a file is not text in UTF-8.
        DataError: A file cannot be read.
    """
    files = _files(place, "text")
    lines = list(islice(_lines(files), most))
    if most and not lines:
        raise ConfigurationError(f"{place!r} has no line of text, only empty ones")
    return lines


def _lines(files: list[str]) -> Iterator[str]:
    from runinference.jobs.readers.lines import line_blocks

    for path in files:
        for block in line_blocks(path):
            try:
                text = block.decode()
            except UnicodeDecodeError as error:
                raise ConfigurationError(f"{path!r} is not text in UTF-8: {error}") from error
            yield from filter(None, map(str.strip, text.split("\n")))


def _files(place: str, kind: str) -> list[str]:
    from runinference.jobs.paths import expand_input, file_format

    try:
        files = list(expand_input(place))
    except DataError as error:
        raise ConfigurationError(str(error)) from error
    found = file_format(files[0])
    if found is None or found.name != kind:
        raise ConfigurationError(f"This benchmark reads {kind}; {files[0]!r} is of another kind")
    return files
