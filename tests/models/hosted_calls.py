"""What the `Calls` handler is told to do in the process that holds the model."""

import ctypes
import os
import signal
import threading
from pathlib import Path

from hosted_handlers import wait_until


class OddError(Exception):
    """Its message is not what it is made of."""

    def __init__(self, number, *, unit):
        super().__init__(f"{number} {unit}")
        self.number = number


class LockedError(ConnectionError):
    """Cannot be pickled."""

    def __init__(self):
        super().__init__("locked")
        self.guard = threading.Lock()


def fail(error):
    raise error


def fail_oddly():
    raise OddError(3, unit="apples")


def fail_locked():
    raise LockedError


def fail_late(count):
    yield from range(count)
    raise ValueError("too late")


def take(mapping):
    seen = dict(mapping)
    mapping.clear()
    return [seen]


def give(value):
    return value


def give_lock():
    return [threading.Lock()]


def give_generator(count):
    return (number for number in range(count))


def pid():
    return [os.getpid()]


def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_if_with(bad, *rows):
    if bad in rows:
        os.kill(os.getpid(), signal.SIGKILL)
    return [bad, *rows]


def segfault():
    ctypes.string_at(0)


def leave(code):
    os._exit(code)


def hold_gil(started):
    Path(started).touch()
    ctypes.PyDLL(None).sleep(1000)


def wait_for(started, path):
    """Says that it runs, and answers when a file is there."""
    Path(started).touch()
    wait_until(Path(path).exists)
    return [os.getpid()]


def sums(*arrays):
    return [array * 2 for array in arrays]
