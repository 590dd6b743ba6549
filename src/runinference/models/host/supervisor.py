"""The process that starts the copies of a model for other processes, counts its users, and ends with the last one."""

from __future__ import annotations

import logging
import os
import pickle
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial

from runinference.errors import ModelFaultError
from runinference.models.host.errors import RemoteError, describe
from runinference.models.host.place import Place, check_peer, listen
from runinference.models.host.setup import HostState, Setup
from runinference.models.host.slot import Slot
from runinference.models.host.wire import pack, receive, send, unpack

_logger = logging.getLogger(__name__)

_LINGER_S = 1.0  # So that users who come one after the other find the model loaded.
_PATIENCE_S = 5.0
_DEATHS_REMEMBERED = 100


class Host:
    """Serves the users of a model.

    Each user holds a connection as long as it lives, so that its end is noticed, whatever it dies of. The copies are
    processes of their own, which take their work from one socket: whichever is free gets the next request.

    Args:
        place: The files.
        lock: The lock of the place, which this process and the copies hold as long as they live.
        setup: What the copies need.
    """

    def __init__(self, place: Place, lock: int, setup: Setup) -> None:
        self._place = place
        self._lock = lock
        self._setup = setup
        self._work = listen(place.work)
        self._arrivals = listen(place.users)
        self._slots: list[Slot] = []
        self._users: set[socket.socket] = set()
        self._waiting: set[socket.socket] = set()
        self._deserted_since = time.monotonic()
        self._deaths: dict[int, str] = {}
        self._error: RemoteError | None = None
        self._stopped = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serves until there are no users any more, or something went wrong beyond repair."""
        try:
            self._watch_signals()
            self._selector.register(self._arrivals, selectors.EVENT_READ, self._welcome)
            for number in range(self._setup.copies):
                slot = Slot(number, self._setup, self._work, self._lock)
                self._start(slot)
                self._slots.append(slot)
            while not (self._error or self._stopped or self._patience() == 0):
                for key, _ in self._selector.select(self._patience()):
                    if not self._error:  # After which nobody is to hear anything else.
                        key.data()
        except Exception as error:
            self._error = describe(error)
            raise
        finally:
            self._end()

    def _patience(self) -> float | None:
        """How long to wait for a user; `None` while there is one."""
        return None if self._users else max(0.0, self._deserted_since + _LINGER_S - time.monotonic())

    def _watch_signals(self) -> None:
        self._signals, theirs = socket.socketpair()
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.detach())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        self._selector.register(self._signals, selectors.EVENT_READ, self._look_for_deaths)

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def _start(self, slot: Slot) -> None:
        slot.start()
        self._selector.register(slot.channel, selectors.EVENT_READ, partial(self._hear, slot, slot.channel))

    def _hear(self, slot: Slot, channel: socket.socket) -> None:
        """A copy has loaded its model, or could not, or is gone."""
        try:
            kind, value = unpack(receive(channel))
        except OSError:  # Its death is noticed by the signal.
            self._forget(channel)
            return
        if kind == "failed":
            self._error = value
            return
        slot.loaded = value
        if self._is_ready:
            for user in self._waiting:
                self._tell(user)
            self._waiting.clear()

    def _look_for_deaths(self) -> None:
        self._signals.recv(4096)
        for slot in self._slots:
            reason = slot.death()
            if reason is None:
                continue
            self._forget(slot.channel)
            self._deaths[slot.pid] = reason
            self._deaths = dict(list(self._deaths.items())[-_DEATHS_REMEMBERED:])
            name = f"the model {self._setup.identifier!r} of {self._setup.handler_name}"
            if slot.may_start_again():
                _logger.warning("Process %d, which held %s, died: %s. Starting another", slot.pid, name, reason)
                self._start(slot)
            else:
                self._error = describe(
                    ModelFaultError(
                        f"The process that holds {name} died {slot.deaths} times in a row; the last time {reason}"
                    )
                )

    def _welcome(self) -> None:
        user, _ = self._arrivals.accept()
        try:
            check_peer(user)
        except PermissionError:
            user.close()
            return
        user.settimeout(_PATIENCE_S)
        self._users.add(user)
        self._selector.register(user, selectors.EVENT_READ, partial(self._see_off, user))
        if self._is_ready:
            self._tell(user)
        else:
            self._waiting.add(user)

    def _tell(self, user: socket.socket) -> None:
        loaded = [slot.loaded for slot in self._slots if slot.loaded]
        pids = [slot.pid for slot in self._slots]
        state = HostState(max(load_s for load_s, _ in loaded), loaded[0][1], pids, self._deaths)
        with suppress(OSError):  # A user who is gone is noticed where it says so.
            send(user, pack(("ready", state)))

    def _see_off(self, user: socket.socket) -> None:
        """A user says nothing; if there is something to read, then its end."""
        self._forget(user)
        self._waiting.discard(user)
        self._users.discard(user)
        if not self._users:
            self._deserted_since = time.monotonic()

    def _forget(self, connection: socket.socket) -> None:
        with suppress(KeyError, ValueError):  # It was forgotten before.
            self._selector.unregister(connection)
        connection.close()

    @property
    def _is_ready(self) -> bool:
        return all(slot.loaded for slot in self._slots)

    def _end(self) -> None:
        """Who comes from here on finds nobody, and starts another host once the lock is free."""
        place = self._place
        is_ours = place.has_lock(self._lock)
        if is_ours:
            place.remove(place.users, place.work)
        for user in self._users:
            if self._error:
                with suppress(OSError):
                    send(user, pack(("failed", self._error)))
            user.close()
        self._arrivals.close()
        self._work.close()
        for slot in self._slots:
            slot.terminate()
        until = time.monotonic() + _PATIENCE_S
        for slot in self._slots:
            slot.end(until)
        if is_ours:
            place.remove(place.lock_file)


def main() -> None:
    """Runs a host: its place and its locked lock file come as arguments, what it is to hold from standard input."""
    folder, name, lock = sys.argv[1:]
    os.set_inheritable(int(lock), False)
    setup = pickle.load(sys.stdin.buffer)
    Host(Place(folder, name), int(lock), setup).run()
