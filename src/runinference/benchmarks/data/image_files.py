"""Image files, on this machine or behind a URL."""

from __future__ import annotations

import os
from collections.abc import Sequence

from runinference.jobs.paths import is_url, open_filesystem


def image_source(path: str) -> str | bytes:
    """What an image is decoded from: a path as it is, of a URL the bytes behind it.

    Raises:
        OSError: It cannot be read.
    """
    if not is_url(path):
        return path
    filesystem, inner = open_filesystem(path)
    content: bytes = filesystem.cat_file(inner)
    return content


def bytes_of_files(paths: Sequence[str]) -> int | None:
    """The sizes of files in sum; `None` where a server does not tell.

    Raises:
        OSError: One is not there.
    """
    if not paths or not is_url(paths[0]):
        return sum(map(os.path.getsize, paths))
    filesystem, _ = open_filesystem(paths[0])  # A listing has files of one place only.
    sizes = filesystem.sizes([open_filesystem(path)[1] for path in paths])
    return None if None in sizes else sum(sizes)
