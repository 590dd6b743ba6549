"""The process that holds one copy of a model and runs it for one request at a time."""

from __future__ import annotations

import fcntl
import gc
import inspect
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from runinference.errors import ModelLoadError, OutputCountError, RunInferenceError, is_out_of_memory
from runinference.models.host.errors import describe
from runinference.models.host.ledger import Ledger
from runinference.models.host.output import write_to_whoever_listens
from runinference.models.host.place import check_peer
from runinference.models.host.setup import Setup
from runinference.models.host.wire import PROCESS_ID, pack, receive, send, unpack
from runinference.models.lease import ModelLease
from runinference.models.size import count_array_bytes
from runinference.models.store import Loaded, ModelStore
from runinference.prediction import qualified_name


class ModelCopy:
    """A loaded model with the handler that runs it.

    Args:
        handler: Loads the model and runs it.
        ledger: Where to note what is done.
        stalled_s: How long to wait for a user that stops in the midst of sending or reading, in seconds.

    Attributes:
        load_s: How long loading took, in seconds.

    Raises:
        ModelLoadError: The model cannot be loaded.
    """

    def __init__(self, handler: Any, ledger: Ledger, stalled_s: float = 30.0) -> None:
        self._handler = handler
        self._stalled_s = stalled_s
        self._ledger = ledger
        self._call = _way_to_call(handler)
        loads: list[Loaded] = []
        self._lease = ModelLease(handler, ModelStore(), loads.append)
        self._model = self._lease.model()
        self.load_s = loads[0].load_s

    def num_bytes(self) -> int:
        """The bytes that the model holds."""
        count = getattr(self._handler, "get_model_bytes", None)
        counted: int | None = None if count is None else count(self._model)
        return count_array_bytes(self._model) if counted is None else counted

    def serve(self, listener: socket.socket) -> NoReturn:
        """Runs the model for whoever connects."""
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    check_peer(connection)
                    connection.settimeout(self._stalled_s)
                    connection.sendall(PROCESS_ID.pack(os.getpid()))
                    send(connection, self._answer(connection))
                except OSError:
                    continue  # Who asked is gone, has stopped, or may not ask.

    def _answer(self, connection: socket.socket) -> Sequence[Any]:
        try:
            request = receive(connection)
        except MemoryError as error:
            return pack(("failed", describe(error), False))
        try:
            return self._run(request)
        except _Ended:
            raise
        except BaseException as error:
            remote, lacks_memory = describe(error), is_out_of_memory(error)
        finally:
            self._ledger.end()
        if lacks_memory:
            _release_memory()
        return pack(("failed", remote, False))

    def _run(self, request: list[bytearray]) -> Sequence[Any]:
        name = type(self._handler).__name__
        try:
            batch, arguments = unpack(request)
        except TypeError as error:
            raise TypeError(
                f"The batch cannot be read in the process that holds the model of {name}: {error}"
            ) from error
        del request
        self._ledger.begin(len(batch) if hasattr(batch, "__len__") else 1)
        outputs = _as_list(self._call(batch, self._model, arguments), name)
        shortened = _without_examples(outputs, batch)
        try:
            return pack(("done", outputs if shortened is None else shortened, shortened is not None))
        except TypeError as error:
            raise TypeError(f"The predictions of {name} cannot be sent to another process: {error}") from error


def end_with(channel: socket.socket) -> None:
    """Ends this process and all that it started as soon as the other side of `channel` is gone."""
    if hasattr(fcntl, "F_SETSIG"):
        # The kernel does it, whatever this process may be busy with.
        fcntl.fcntl(channel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(channel, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(channel, fcntl.F_SETFL, fcntl.fcntl(channel, fcntl.F_GETFL) | os.O_ASYNC)
        try:
            channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        os.killpg(0, signal.SIGKILL)

    def wait() -> None:
        channel.recv(1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="waits-for-the-host", daemon=True).start()


def main() -> None:
    """Runs a copy: loads the model, tells the host, serves until the host ends this process."""
    signal.signal(signal.SIGTERM, _end)
    inherited = [int(number) for number in sys.argv[1:]]
    for number in inherited:
        os.set_inheritable(number, False)
    channel, listener = (socket.socket(fileno=number) for number in inherited[:2])
    write_to_whoever_listens()
    try:
        setup, number = unpack(receive(channel))
        end_with(channel)
        try:
            copy = _load(setup, number, Ledger(inherited[2]))
            loaded = copy.load_s, copy.num_bytes()
        except Exception as error:
            send(channel, pack(("failed", describe(error))))
            while True:
                signal.pause()  # Until the host, which ends now, ends this process.
        send(channel, pack(("loaded", loaded)))
        copy.serve(listener)
    except _Ended:
        return


def _load(setup: Setup, number: int, ledger: Ledger) -> ModelCopy:
    try:
        return ModelCopy(setup.load_handler(number), ledger)
    except (RunInferenceError, _Ended):
        raise
    except BaseException as error:
        raise ModelLoadError(
            f"{setup.handler_name} could not load its model: {qualified_name(type(error))}: {error}"
        ) from error


class _Ended(BaseException):
    """The host wants this process to end."""


def _end(*_: Any) -> None:
    raise _Ended


def _way_to_call(handler: Any) -> Callable[[Any, Any, Any], Any]:
    run = handler.run_inference
    parameters = inspect.signature(run)
    for arguments, names in (((1, 2, 3), {}), ((1, 2), {"inference_args": 3})):
        try:
            parameters.bind(*arguments, **names)
        except TypeError:
            continue
        return run if not names else lambda batch, model, given: run(batch, model, inference_args=given)
    return lambda batch, model, given: run(batch, model, *([given] if given else []))


def _as_list(outputs: Any, name: str) -> list[Any]:
    if outputs is None or isinstance(outputs, (Mapping, str, bytes)) or not isinstance(outputs, Iterable):
        raise OutputCountError(
            f"{name} returned {type(outputs).__name__} for a batch; "
            "it must return one prediction for each row, in their order"
        )
    return list(outputs)


def _without_examples(outputs: list[Any], batch: Any) -> list[Any] | None:
    """Results that are tuples with an `example`, without it: the other side has it; `None` if they are not such."""
    if not isinstance(batch, (list, tuple)) or len(outputs) != len(batch):
        return None
    for output, example in zip(outputs, batch, strict=True):
        if not hasattr(output, "_replace") or getattr(output, "example", outputs) is not example:
            return None
    return [output._replace(example=None) for output in outputs]


def _release_memory() -> None:
    """Gives back what PyTorch keeps for later, so that a smaller batch fits."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
