"""Values between processes of one machine: pickled, with large arrays beside the pickle instead of copied into it."""

from __future__ import annotations

import copyreg
import importlib
import io
import itertools
import pickle
import socket
import struct
from collections import ChainMap, deque
from collections.abc import Sequence
from typing import Any

from runinference.models.host.tensors import tensor_reducers

# Below this size a copy costs less than another piece of memory on both sides.
_LARGE = 64 * 1024
_HEAD = struct.Struct("<QI")
_MOST_PARTS = 1024  # That one call of the system takes.

PROCESS_ID = struct.Struct("<I")
"""With what a copy answers first, before it has read the request."""


def pack(value: Any) -> list[bytes | memoryview]:
    """`value` as a pickle and, after it, the memory of the large arrays in it, which is not copied.

    Raises:
        TypeError: It cannot be pickled.
        MemoryError: There is no memory for the pickle.
    """
    return _dump(value, beside=True)


def unpack(parts: Sequence[Any]) -> Any:
    """The value that was packed; its large arrays use the memory of `parts`.

    Raises:
        TypeError: What it is made of is not there in this process.
        MemoryError: There is no memory for it.
    """
    try:
        return pickle.loads(parts[0], buffers=parts[1:])
    except MemoryError:
        raise
    except Exception as error:
        raise TypeError(_reason(error)) from error


def freeze(value: Any) -> bytes:
    """`value` as a pickle alone.

    Raises:
        TypeError: It cannot be pickled.
        MemoryError: There is no memory for the pickle.
    """
    return bytes(_dump(value, beside=False)[0])


def send(connection: socket.socket, parts: Sequence[Any]) -> None:
    """Sends the parts of one value.

    Raises:
        ConnectionError: The other side is gone.
    """
    lengths = [len(part) for part in parts]
    head = _HEAD.pack(lengths[0], len(lengths) - 1) + struct.pack(f"<{len(lengths) - 1}Q", *lengths[1:])
    unsent = deque(memoryview(part) for part in (head, *parts) if len(part))
    while unsent:
        sent = connection.sendmsg(itertools.islice(unsent, _MOST_PARTS))
        while unsent and sent >= len(unsent[0]):
            sent -= len(unsent.popleft())
        if sent:
            unsent[0] = unsent[0][sent:]


def receive(connection: socket.socket) -> list[bytearray]:
    """The parts of one value, as the other side sent them.

    Raises:
        ConnectionError: The other side is gone.
    """
    length, others = _HEAD.unpack(receive_bytes(connection, _HEAD.size))
    lengths = struct.unpack(f"<{others}Q", receive_bytes(connection, 8 * others))
    return [receive_bytes(connection, length) for length in (length, *lengths)]


def receive_bytes(connection: socket.socket, length: int) -> bytearray:
    """The next `length` bytes.

    Raises:
        ConnectionError: The other side is gone.
    """
    data = bytearray(length)
    free = memoryview(data)
    while free:
        received = connection.recv_into(free, 0, socket.MSG_WAITALL)
        if not received:
            raise ConnectionResetError(f"The connection ended {len(free):,} bytes before the end of a message")
        free = free[received:]
    return data


def cloudpickle() -> Any:
    """The package that can pickle classes and functions of `__main__`; `None` where it is not installed."""
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        return None


def _dump(value: Any, beside: bool) -> list[bytes | memoryview]:
    problem: Exception | None = None
    try:
        pickled, *large = _dump_with(pickle.Pickler, value, beside)
        # What is defined there is pickled by name, which means something else in another process.
        if b"__main__" not in pickled:
            return [pickled, *large]
    except MemoryError:
        raise
    except Exception as error:
        problem = error
    package = cloudpickle()
    if package is None:
        if problem is None:
            return [pickled, *large]
        raise TypeError(_reason(problem)) from problem
    try:
        return [*_dump_with(package.Pickler, value, beside)]
    except MemoryError:
        raise
    except Exception as error:
        raise TypeError(_reason(problem or error)) from error


def _dump_with(make_pickler: Any, value: Any, beside: bool) -> tuple[bytes, *tuple[memoryview, ...]]:
    large: list[memoryview] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LARGE:
            return True
        large.append(raw)
        return False

    file = io.BytesIO()
    pickler = make_pickler(file, 5, buffer_callback=stays_inside if beside else None)
    if reducers := tensor_reducers():
        pickler.dispatch_table = ChainMap(reducers, getattr(pickler, "dispatch_table", copyreg.dispatch_table))
    pickler.dump(value)
    return file.getvalue(), *large


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
