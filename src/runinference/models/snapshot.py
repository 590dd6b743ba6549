"""Private copies of model files, which nobody overwrites while a process serves from them."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

from runinference.cache import cache_folder
from runinference.errors import ModelLoadError
from runinference.models.files import open_model_file
from runinference.models.versions import content_hash as hash_of
from runinference.models.versions import model_files, plain_path

if sys.platform != "win32":
    import fcntl

_logger = logging.getLogger(__name__)
_BLOCK_BYTES = 1 << 20
_MOST_COPY_BYTES = 1 << 30

# For each use that this process makes of a folder its lock file, open; `None` where files cannot be locked.
_holds: dict[Path, list[int | None]] = {}
_holds_lock = threading.Lock()


def take_snapshot(path: str, content_hash: str) -> str:
    """A copy of a model that stays as it is whatever becomes of the original; `drop_snapshot` ends its use.

    Weights that are mapped into memory change when their file is overwritten, and the process is killed when it is
    truncated. The copy lies in `snapshots/<hash>/<name>` in the cache of the models, is complete or not there at all,
    and is shared by the processes of one user. Copies that nobody uses any more, because a process was killed, are
    removed at this opportunity.

    Args:
        path: A file or folder on this machine.
        content_hash: What is to be copied, as `versions.content_hash` has it.

    Returns:
        Where the copy is. `path` itself if it cannot be made, because the disk is full or the cache read-only.

    Raises:
        ModelLoadError: The content is another one, or it cannot be read.
    """
    path = plain_path(path)
    folder = cache_folder() / "snapshots" / content_hash
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o700)
        _remove_unused(folder)
        hold = _hold(folder)
    except OSError as error:
        return _go_without(path, error)
    with _holds_lock:
        _holds.setdefault(folder, []).append(hold)
    place = folder / os.path.basename(os.path.abspath(path))
    try:
        _provide(path, place, content_hash)
    except OSError as error:
        drop_snapshot(str(place))
        return _go_without(path, error)
    except BaseException:
        drop_snapshot(str(place))
        raise
    return str(place)


def drop_snapshot(path: str) -> None:
    """Ends one use of what `take_snapshot` returned; the last one, of any process, removes the copy.

    Any other path is left alone, also the one that `take_snapshot` gave back for want of a copy. On Windows, where
    nobody knows of the other processes, files that one of them has open stay where they are.
    """
    folder = Path(path).parent
    with _holds_lock:
        holds = _holds.get(folder)
        if not holds:
            return
        hold = holds.pop()
        if not holds:
            del _holds[folder]
    if hold is not None:
        os.close(hold)
        _remove(folder)
    elif sys.platform == "win32" and not holds:
        shutil.rmtree(folder, ignore_errors=True)


def _provide(path: str, place: Path, content_hash: str) -> None:
    """Makes sure that the copy is at `place`, and right."""
    with (
        open(place.parent / ".making", "wb") as turn,
        tempfile.TemporaryDirectory(prefix=".unfinished-", dir=place.parent, ignore_cleanup_errors=True) as unfinished,
    ):
        _wait_for(turn)
        if _is(place, content_hash):
            return
        copied = Path(unfinished, place.name)
        for name, file in model_files(path).items():
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(file, copied / name)
        if not _is(copied, content_hash):
            raise ModelLoadError(
                f"The content of {path} is not the expected one, {content_hash[:12]}…: it was changed before it could "
                "be copied. Put a new version beside the old one, or rename it into place"
            )
        try:
            os.replace(copied, place)
        except OSError:  # A folder is there that is damaged, or that another process made where there are no locks.
            if not _is(place, content_hash):
                os.replace(place, Path(unfinished, "damaged"))
                os.replace(copied, place)


def _is(path: Path, content_hash: str) -> bool:
    try:
        return hash_of(str(path)) == content_hash
    except ModelLoadError:
        return False


def _copy(source: str, target: Path) -> None:
    with open_model_file(source) as original, open(target, "wb") as copy:
        if not _copied_by_system(original, copy):
            original.seek(0)
            copy.seek(0)
            shutil.copyfileobj(original, copy, _BLOCK_BYTES)


def _copied_by_system(original: BinaryIO, copy: BinaryIO) -> bool:
    """Copies without reading, or shares the blocks, where the file systems can."""
    copied = 0
    if sys.platform == "linux" and hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):
            while count := os.copy_file_range(original.fileno(), copy.fileno(), _MOST_COPY_BYTES):
                copied += count
            return copied > 0  # Nothing is also what some file systems say that cannot.
    return False


def _wait_for(turn: BinaryIO) -> None:
    """Lets one process copy at a time; the next one finds the copy made."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            fcntl.lockf(turn, fcntl.LOCK_EX)  # A child does not inherit this kind of lock.


def _hold(folder: Path) -> int | None:
    """Makes the folder and locks it against removal; `None` where there are no locks."""
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # It was removed at this moment.
            return _lock(folder, shared=True)


def _lock(folder: Path, *, shared: bool) -> int | None:
    """Locks a folder, which ends when the descriptor is closed by this process and its children, or they die.

    Raises:
        FileNotFoundError: The folder was removed.
        BlockingIOError: It is not to be shared, but others have it.
    """
    if sys.platform == "win32":
        return None
    path = folder / ".lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(path)):
            return lock
        raise FileNotFoundError(path)
    except (BlockingIOError, FileNotFoundError):
        os.close(lock)
        raise
    except OSError:  # Not every file system has locks.
        os.close(lock)
        return None


def _remove_unused(keep: Path) -> None:
    for folder in keep.parent.iterdir():
        if folder != keep:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Removes a folder unless somebody uses it, or nobody can tell."""
    with contextlib.suppress(OSError):
        lock = _lock(folder, shared=False)
        if lock is None:
            return
        try:
            gone = tempfile.mkdtemp(prefix=".gone-", dir=folder.parent)
            # At once, so that nobody takes a folder that is half removed.
            os.rename(folder, os.path.join(gone, folder.name))
            shutil.rmtree(gone, ignore_errors=True)
        finally:
            os.close(lock)


def _go_without(path: str, error: OSError) -> str:
    _logger.warning(
        "The model %s could not be copied to %s: %s. It is read where it is: do not overwrite it while it is served, "
        "put new versions beside it",
        path,
        cache_folder() / "snapshots",
        error.strerror or error,
    )
    return path
