"""Where the processes of a machine that share a model find each other: a folder that only their user can enter."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from runinference.errors import ConfigurationError
from runinference.models.host.forks import closed_in_children

_LONGEST_PATH = 100  # Of a socket, on the systems that allow least.
_QUEUE = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one host.

    Attributes:
        folder: The folder of this user.
        name: What the files are called, without their endings.
    """

    folder: str
    name: str

    @classmethod
    def of(cls, *identity: str) -> Place:
        """The place for a model that is told from others by these texts, which may hold anything.

        Raises:
            ConfigurationError: The folder cannot be used, or others can look into it.
        """
        place = cls(_private_folder(), hashlib.sha256("\0".join(identity).encode()).hexdigest()[:20])
        if len(os.fsencode(place.users)) > _LONGEST_PATH:
            raise ConfigurationError(
                f"The socket {place.users} would have a path of {len(os.fsencode(place.users))} bytes, but the system "
                f"allows about {_LONGEST_PATH}; set XDG_RUNTIME_DIR or TMPDIR to a shorter folder"
            )
        return place

    @property
    def users(self) -> str:
        """The socket on which the host counts its users."""
        return os.path.join(self.folder, f"{self.name}.users")

    @property
    def work(self) -> str:
        """The socket on which the copies of the model take their work."""
        return os.path.join(self.folder, f"{self.name}.work")

    @property
    def lock_file(self) -> str:
        """The file that is locked as long as any process of a host lives."""
        return os.path.join(self.folder, f"{self.name}.lock")

    def take_lock(self) -> BinaryIO | None:
        """The locked lock file, whose lock every process holds that inherits it; `None` if a host has it, or had."""
        import fcntl

        # Of what was opened in the moment before it was removed, nobody else will ever see the lock.
        file = closed_in_children(open(self.lock_file, "ab", opener=_private))  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.has_lock(file.fileno()):
                return file
        except BlockingIOError:
            pass
        file.close()
        return None

    def has_lock(self, lock: int) -> bool:
        """Whether an open lock file is the one of this place, and not of one that was removed."""
        try:
            return os.path.samestat(os.fstat(lock), os.stat(self.lock_file))
        except FileNotFoundError:
            return False

    def remove(self, *paths: str) -> None:
        """Removes files, as far as they are there."""
        for path in paths:
            with suppress(FileNotFoundError):
                os.unlink(path)


def listen(path: str) -> socket.socket:
    """A new socket at `path`, in place of what may be there."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(_QUEUE)
    return listener


def connect(path: str) -> socket.socket | None:
    """A connection to the socket at `path`; `None` if nobody listens there.

    Raises:
        PermissionError: Another user listens there.
    """
    connection = closed_in_children(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        connection.connect(path)
        check_peer(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def check_peer(connection: socket.socket) -> None:
    """Makes sure, where the system tells, that the process on the other side is one of this user.

    Raises:
        PermissionError: It is not.
    """
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid = struct.unpack("3i", credentials)[1]
        if uid != os.geteuid():
            raise PermissionError(f"The process on the other side belongs to user {uid}, not to user {os.geteuid()}")


def _private_folder() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isdir(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        folder = os.path.join(runtime, "runinference")
    else:
        folder = os.path.join(tempfile.gettempdir(), f"runinference-{os.geteuid()}")
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        problem = "is a link" if stat.S_ISLNK(found.st_mode) else "is not a folder"
    elif found.st_uid != os.geteuid():
        problem = f"belongs to user {found.st_uid}, not to user {os.geteuid()}"
    elif found.st_mode & 0o077:
        problem = f"is open to others (mode {stat.S_IMODE(found.st_mode):o}, expected 700)"
    else:
        return folder
    raise ConfigurationError(
        f"{folder}, where processes meet to share a model, {problem}. "
        "Remove it, or set XDG_RUNTIME_DIR to a folder of your own"
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
