"""A folder in which hosts live for one test, after which none of their processes and files may be left."""

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import hosted_handlers
import pytest
from hosted_handlers import wait_until

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


class World:
    """What a test sees of the hosts that it starts.

    Their processes are told from all others by an environment variable, which they inherit.
    """

    def __init__(self, folder):
        self.folder = folder
        self.meeting_place = folder / "runinference"
        self._users = []

    def files(self):
        return sorted(os.listdir(self.meeting_place)) if self.meeting_place.exists() else []

    def processes(self, having=b""):
        """The processes of hosts and copies, whose command line has a certain text in it."""
        mark = f"XDG_RUNTIME_DIR={self.folder}".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                # The tracker is one that multiprocessing starts for this process.
                if mark in environment and having in command and b"resource_tracker" not in command:
                    found.append(int(pid))
        users = [user.pid for user in self._users]
        return [pid for pid in found if pid not in (os.getpid(), *users)]

    def hosts(self):
        return self.processes(b"from runinference.models.host.supervisor import")

    def user(self, handler, identifier="model", copies=1):
        user = User(handler, identifier, copies)
        self._users.append(user)
        return user

    def wait_until_nothing_is_left(self):
        wait_until(lambda: not self.processes() and not self.files())

    def close(self):
        for user in self._users:
            user.kill()
        for pid in self.hosts():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self.wait_until_nothing_is_left()


class User:
    """A process that uses a model."""

    def __init__(self, handler, identifier, copies):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=hosted_handlers.use, args=(theirs, handler, identifier, copies))
        self._process.start()
        theirs.close()

    @property
    def pid(self):
        return self._process.pid

    def ask(self, *batch):
        self._connection.send(batch)

    def answer(self):
        """The next thing that it says: what kind, and what."""
        assert self._connection.poll(60), "the user says nothing"
        return self._connection.recv()

    def close(self):
        self._connection.send(None)
        self._process.join(60)

    def kill(self):
        self._process.kill()
        self._process.join(60)


@contextmanager
def a_world(monkeypatch):
    # Not the folder that pytest makes: paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="ri-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    world = World(folder)
    try:
        yield world
        world.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
