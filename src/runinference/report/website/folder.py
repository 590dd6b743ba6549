"""The folder that a site is written to, in which nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final, Self

from runinference.errors import ConfigurationError, DataError

LIST: Final = ".runinference-site.json"
"""The file that lists all files of the site with their digests, by which a later one knows what it may replace."""


class SiteFolder:
    """A folder for a site. While it is open files are written to it; when it is closed, those of before are gone.

    Args:
        path: The folder; it is made where it is not there.

    Raises:
        ConfigurationError: It holds other things than an earlier site.
        DataError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, str] = {}
        try:
            self._before = self._list()
        except OSError as error:
            raise self._problem(error) from error

    def __enter__(self) -> Self:
        return self

    def write(self, name: str, content: str) -> None:
        """Writes a file; it appears under its name only when it is complete.

        Args:
            name: Its path in the folder.
            content: What is in it.

        Raises:
            ConfigurationError: There is such a file, and it belongs to no earlier site.
            DataError: It cannot be written.
        """
        data = content.encode("utf-8", "backslashreplace")
        if os.path.lexists(self._path / name) and not self._is_ours(name):
            raise ConfigurationError(
                f"{self._path / name} is there already, and is not what `runinference report` wrote. Move it away, or "
                "write to another folder"
            )
        self._written[name] = _digest(data)
        # Listed before it is there, so that a site that was broken off can be written again.
        listed = {each: [*digests] for each, digests in self._before.items()}
        for each, digest in self._written.items():
            listed.setdefault(each, []).append(digest)
        self._put(LIST, _listed(listed))
        self._put(name, data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            for name in sorted(set(self._before) - set(self._written)):
                if self._is_ours(name):
                    with suppress(OSError):
                        (self._path / name).unlink()
            self._put(LIST, _listed({name: [digest] for name, digest in self._written.items()}))

    def _is_ours(self, name: str) -> bool:
        """Whether a file is as an earlier site left it."""
        path = self._path / name
        try:
            return not path.is_symlink() and _digest(path.read_bytes()) in self._before.get(name, ())
        except OSError:
            return False

    def _list(self) -> Mapping[str, Sequence[str]]:
        """The files of the site that is there, with the digests that each may have."""
        if not os.path.lexists(self._path):
            return {}
        if not self._path.is_dir():
            raise ConfigurationError(f"{self._path} is a file; name a folder for the site")
        try:
            listed = json.loads((self._path / LIST).read_text("utf-8"))["files"]
            return {name: list(digests) for name, digests in listed.items() if self._inside(name)}
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            # What begins with a dot is not shown to people either: a folder of a version control system, as a rule.
            others = sorted(each.name for each in self._path.iterdir() if not each.name.startswith("."))
            if others:
                more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
                raise ConfigurationError(
                    f"{self._path} holds other things than a site of `runinference report`: "
                    f"{', '.join(others[:3])}{more}. Name an empty folder, or a new one"
                ) from None
            return {}

    def _inside(self, name: str) -> bool:
        """Whether a listed file lies in the folder itself, whoever wrote the list."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            return False
        return (self._path / path).parent.resolve().is_relative_to(self._path.resolve())

    def _put(self, name: str, data: bytes) -> None:
        target = self._path / name
        temporary = target.with_name(f"{target.name}.tmp-{secrets.token_hex(4)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            os.replace(temporary, target)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise self._problem(error) from error

    def _problem(self, error: OSError) -> DataError:
        return DataError(f"The site cannot be written to {self._path}: {error.strerror}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _listed(files: Mapping[str, Sequence[str]]) -> bytes:
    what = "the files of a site of `runinference report`"
    return json.dumps({"what": what, "files": files}, indent=1, sort_keys=True).encode()
