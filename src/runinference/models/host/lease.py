"""A user's hold on a host: finds it or starts it, and notices its end."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import threading
import time
import weakref
from contextlib import suppress
from typing import BinaryIO

from runinference.errors import ModelLoadError, ModelProcessDiedError
from runinference.models.host.errors import RemoteError, restore
from runinference.models.host.place import Place, connect
from runinference.models.host.setup import HostState, Setup, python
from runinference.models.host.wire import receive, unpack

_MOST_STARTS = 5
_POLL_S = 0.01
_LONGEST_WAIT_S = 120.0


class Lease:
    """A connection that tells a host that it has a user, and the user when the host ends.

    Attributes:
        state: The model, as it was when the lease began.

    Args:
        connection: A new connection to the host.

    Raises:
        ModelLoadError: The model cannot be loaded.
        ModelFaultError: The processes that were to hold it died.
        ConnectionError: The host ended before the model was loaded.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reading = threading.Lock()
        self._error: RemoteError | None = None
        try:
            kind, value = unpack(receive(connection))
            if kind == "failed":
                raise restore(value, "the process that was to hold the model")
        except BaseException:
            connection.close()
            raise
        self.state: HostState = value
        # A model that is dropped, as the store of an engine does it, is not used any more.
        self._end = weakref.finalize(self, connection.close)

    def is_alive(self) -> bool:
        """Whether the host is there."""
        try:
            self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            pass
        with self._reading, suppress(OSError):  # Its last words, or nothing.
            if self._error is None:
                _, self._error = unpack(receive(self._connection))
        return False

    def reason(self) -> BaseException | None:
        """Why the host has ended; `None` if it lives or could not tell."""
        return None if self._error is None else restore(self._error, "the process that held the model")

    def close(self) -> None:
        """Ends the use."""
        self._end()


def acquire(place: Place, setup: Setup) -> Lease:
    """A lease on the host at `place`, which is started if there is none; returns when its model is loaded.

    Raises:
        ModelLoadError: The model cannot be loaded, or the host cannot be started.
        ModelFaultError: The processes that were to hold it died.
        ModelProcessDiedError: Hosts end again and again, or what holds the lock does not answer.
    """
    process: subprocess.Popen[bytes] | None = None
    starts, since = 0, time.monotonic()
    while True:
        connection = connect(place.users)
        if connection is not None:
            with suppress(ConnectionError):  # It was just ending; the next one is ours or that of somebody else.
                return Lease(connection)
            since = time.monotonic()
            continue
        if process is not None and (process.returncode or 0) > 0:
            raise ModelLoadError(
                f"The process that was to load the model of {setup.handler_name} ended with exit code "
                f"{process.returncode}; what it wrote to standard error says why"
            )
        lock = place.take_lock()
        if lock is not None:
            starts += 1
            if starts > _MOST_STARTS:
                raise ModelProcessDiedError(
                    f"The host of the model {setup.identifier!r} ended {_MOST_STARTS} times before the model was loaded"
                )
            with lock:
                process = _start_host(place, setup, lock)
            since = time.monotonic()
        elif time.monotonic() - since > _LONGEST_WAIT_S:
            raise ModelProcessDiedError(
                f"The host of the model {setup.identifier!r} has not answered for {_LONGEST_WAIT_S:g} s, but some "
                f"process still holds {place.lock_file}; find it with fuser or lsof, and end it"
            )
        time.sleep(_POLL_S)


def _start_host(place: Place, setup: Setup, lock: BinaryIO) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        python("runinference.models.host.supervisor", place.folder, place.name, lock.fileno()),
        stdin=subprocess.PIPE,
        stdout=_standard_error(),
        stderr=_standard_error(),
        pass_fds=[lock.fileno()],
        start_new_session=True,  # Neither Ctrl-C nor the end of this process is the end of the other users.
    )
    # Collects what the system keeps of a process that has ended.
    threading.Thread(target=process.wait, name="waits-for-a-model-host", daemon=True).start()
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as stdin:
        pickle.dump(setup, stdin)
    return process


def _standard_error() -> int:
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2
