"""A place for one copy of a model, as the host sees it: the process that is there now, and how often one has died."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress

from runinference.models.host.ledger import Ledger
from runinference.models.host.setup import Setup, python
from runinference.models.host.wire import send

_MOST_RESTARTS = 3


class Slot:
    """Starts the process of a copy, and starts it again when it has died.

    Attributes:
        channel: The connection to the process, over which it tells that its model is loaded.
        loaded: Load time in seconds and bytes of the model; `None` as long as it was never loaded.

    Args:
        number: Which copy it is.
        setup: What the copy needs.
        listener: Where the copy takes its work.
        lock: The lock of the host, which the copy holds too as long as it lives.
    """

    def __init__(self, number: int, setup: Setup, listener: socket.socket, lock: int) -> None:
        self._number = number
        self._setup = setup
        self._shared = listener.fileno(), lock
        self._deaths = 0
        self._fewest_rows = 0
        self.loaded: tuple[float, int] | None = None

    @property
    def pid(self) -> int:
        """The process that is there, or was last."""
        return self._process.pid

    def start(self) -> None:
        """Starts a process."""
        # Outlives the process, whatever it dies of.
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115
        self.channel, theirs = socket.socketpair()
        inherited = (theirs.fileno(), self._shared[0], self._notes.fileno(), self._shared[1])
        with theirs:
            self._process = subprocess.Popen(
                python("runinference.models.host.copy", *inherited),
                stdin=subprocess.DEVNULL,
                env=self._setup.environment(),
                pass_fds=inherited,
                start_new_session=True,
            )
        with suppress(ConnectionError):  # It has died already, which is noticed where all deaths are.
            send(self.channel, [pickle.dumps((self._setup, self._number))])

    def death(self) -> str | None:
        """What the process has died of; `None` while it lives. What it started dies with it."""
        code = self._process.poll()
        if code is None:
            return None
        self._kill_group()
        if code >= 0:
            return f"it ended with exit code {code}"
        if code == -signal.SIGKILL:
            return "it was killed by SIGKILL, as the system does when memory runs out"
        names = {number.value: number.name for number in signal.Signals}
        return f"it was killed by {names.get(-code, f'signal {-code}')}"

    def may_start_again(self) -> bool:
        """Whether there is hope for another process after a death; to be asked once for each.

        There is none after several deaths in a row. A call that succeeded ends the row, and so does a death in a call
        of fewer rows than in any before: who made it is looking for the row that does this.
        """
        with self._notes as notes:
            served, rows = Ledger(notes.fileno()).read()
        if served:
            self._deaths = self._fewest_rows = 0
        if rows and (not self._fewest_rows or rows < self._fewest_rows):
            self._deaths, self._fewest_rows = 0, rows
        self._deaths += 1
        return self._deaths <= _MOST_RESTARTS

    @property
    def deaths(self) -> int:
        """How many deaths there were in a row."""
        return self._deaths

    def terminate(self) -> None:
        """Asks the process to end."""
        self._process.terminate()

    def end(self, until: float) -> None:
        """Waits for the process to end until that time of `time.monotonic`, and ends it then."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, until - time.monotonic()))
        self._kill_group()
        self._process.wait()
        self.channel.close()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
