"""One copy of a model, or some, for all processes of a machine: in processes of their own, which the others call."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import closing, suppress
from types import TracebackType
from typing import Any, Self

from runinference.errors import (
    ConfigurationError,
    EngineClosedError,
    InferenceTimeoutError,
    ModelProcessDiedError,
    RunInferenceError,
)
from runinference.models.host.errors import restore
from runinference.models.host.lease import Lease, acquire
from runinference.models.host.place import Place, connect
from runinference.models.host.setup import Setup
from runinference.models.host.wire import PROCESS_ID, pack, receive, receive_bytes, send, unpack
from runinference.prediction import qualified_name

__all__ = ["HostedModel", "hosted_model"]

_PROTOCOL = "1"
_LONGEST_INQUIRY_S = 2.0
_MOST_ATTEMPTS = 5
_POLL_S = 0.01


def hosted_model(handler: Any, identifier: str, copies: int = 1) -> HostedModel:
    """The model of `handler`, held by other processes for all processes of this user on this machine.

    The first process that asks has the model loaded; the others find it. It is let go of when the last user is gone,
    whatever it died of. Handlers of another class, or with another `get_model_id()`, have another model even if they
    use the same identifier.

    ```python
    with hosted_model(handler, "sentiment", copies=2) as model:
        predictions = model.run_inference(batch)
    ```

    Args:
        handler: Loads the model and runs it. It is pickled, as are the batches and the predictions.
        identifier: What all processes call the model.
        copies: How many copies there are, each in a process of its own; they run side by side.

    Raises:
        ConfigurationError: The handler cannot be pickled, the model is there with another number of copies, or
            processes cannot meet on this machine.
        ModelLoadError: The model cannot be loaded.
        ModelFaultError: The processes that were to hold it died.
    """
    if sys.platform == "win32":
        raise ConfigurationError("Processes cannot share a model on Windows; leave out large_model and model_copies")
    if not isinstance(identifier, str) or not identifier:
        raise ConfigurationError(f"A model that processes share needs an identifier, got {identifier!r}")
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise ConfigurationError(f"copies must be a whole number of at least 1, got {copies!r}")
    setup = Setup.of(handler, identifier, copies)
    model_id = getattr(handler, "get_model_id", lambda: None)()
    kind = qualified_name(type(handler))
    place = Place.of(_PROTOCOL, identifier, kind, repr(model_id), sys.prefix, sys.version)
    model = HostedModel(setup, place)
    if model.copies != copies:
        model.close()
        raise ConfigurationError(
            f"The model {identifier!r} is already there with {model.copies} copies, but {copies} were asked for; "
            "all its users must ask for the same number, or use another identifier"
        )
    return model


class HostedModel:
    """A model that is held by other processes; made by `hosted_model`.

    It may be used by many threads, each of which waits for its own call. In a child that was forked it works as well,
    and counts as another user. It is let go of by `close`, or when nobody refers to it any more.

    Attributes:
        load_s: How long loading took, in seconds.
        num_bytes: The bytes that one copy holds.
        copies: How many copies there are.

    Args:
        setup: What a host needs to know.
        place: Where it is found.
    """

    def __init__(self, setup: Setup, place: Place) -> None:
        self._setup = setup
        self._place = place
        self._closed = False
        self._lease: Lease | None = None
        self._start_in_this_process()
        state = self._lease_now().state
        self.load_s, self.num_bytes, self.copies = state.load_s, state.num_bytes, len(state.pids)

    @property
    def pids(self) -> list[int]:
        """The processes that hold the copies now."""
        self._lease_now()
        with closing(acquire(self._place, self._setup)) as lease:
            return lease.state.pids

    def run_inference(
        self, batch: Any, inference_args: dict[str, Any] | None = None, timeout_s: float | None = None
    ) -> list[Any]:
        """Runs the model on a batch, in whichever copy is free first.

        Args:
            batch: The examples.
            inference_args: Extra arguments for the model.
            timeout_s: Longest time for the model, in seconds, not counting the wait for a free copy. The process of a
                copy that takes longer is ended, and another started.

        Returns:
            What the handler returned, as a list. In results with an `example`, that is the one of `batch` itself.

        Raises:
            TypeError: The batch or the predictions cannot be pickled.
            InferenceTimeoutError: The model took longer than `timeout_s`.
            ModelProcessDiedError: The process of the copy died. Another takes its place, so this may be tried again.
            ModelFaultError: Processes died again and again.
            EngineClosedError: The model was closed.
            Exception: What the handler raised.
        """
        try:
            request = pack((batch, inference_args))
        except TypeError as error:
            raise TypeError(
                f"The batch cannot be sent to the process that holds the model of {self._setup.handler_name}: {error}"
            ) from error
        with self._connect() as connection:
            kind, value, lacks_examples = self._ask(connection, request, timeout_s, _rows(batch))
        if kind == "failed":
            raise restore(value, "the process that holds the model")
        if lacks_examples:
            return [output._replace(example=example) for output, example in zip(value, batch, strict=True)]
        outputs: list[Any] = value
        return outputs

    def close(self) -> None:
        """Ends the use of the model."""
        self._closed = True
        with self._lock_of_this_process():
            lease, self._lease = self._lease, None
        if lease is not None:
            lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, connection: socket.socket, request: list[Any], timeout_s: float | None, rows: str) -> Any:
        pid = None
        try:
            with suppress(BrokenPipeError):  # It may have said why before it stopped to listen.
                send(connection, request)
            (pid,) = PROCESS_ID.unpack(receive_bytes(connection, PROCESS_ID.size))
            if timeout_s is not None:
                _wait(connection, pid, timeout_s)
            answer = receive(connection)
        except ConnectionError as error:
            raise self._loss(pid, rows) from error
        try:
            return unpack(answer)
        except TypeError as error:
            raise TypeError(
                f"The predictions of {self._setup.handler_name} cannot be read in this process: {error}"
            ) from error

    def _connect(self) -> socket.socket:
        for _ in range(_MOST_ATTEMPTS):
            lease = self._lease_now()
            connection = connect(self._place.work)
            if connection is not None:
                return connection
            # The host has ended just now, or its files were removed, so that nobody will find it any more.
            with self._lock_of_this_process():
                if self._lease is lease:
                    self._lease = None
            lease.close()
        raise ModelProcessDiedError(f"Nobody listens at {self._place.work}, whenever a host has been found or started")

    def _loss(self, pid: int | None, rows: str) -> BaseException:
        """What to raise when a connection has ended before the answer came."""
        model = f"held the model {self._setup.identifier!r}"
        process = f"The process that {model}" if pid is None else f"Process {pid}, which {model},"
        when = f"before it answered for a batch of {rows}"
        lease = self._lease
        until = time.monotonic() + _LONGEST_INQUIRY_S
        while lease is not None and lease.is_alive() and pid is not None and time.monotonic() < until:
            reason = self._cause_of_death(pid)
            if reason is not None:
                return ModelProcessDiedError(f"{process} died {when}: {reason}. Another one takes its place")
            time.sleep(_POLL_S)
        reason_of_host = None if lease is None or lease.is_alive() else lease.reason()
        return reason_of_host or ModelProcessDiedError(f"{process} was lost {when}. Another one takes its place")

    def _cause_of_death(self, pid: int) -> str | None:
        """What the host knows of the death of one of its copies; `None` if nothing, perhaps not yet."""
        connection = connect(self._place.users)
        if connection is not None:
            connection.settimeout(_LONGEST_INQUIRY_S)
            with suppress(OSError, RunInferenceError), closing(Lease(connection)) as lease:
                return lease.state.deaths.get(pid)
        return None

    def _lease_now(self) -> Lease:
        with self._lock_of_this_process():
            if self._closed:
                raise EngineClosedError(f"The model {self._setup.identifier!r} was used after close()")
            lease = self._lease
            if lease is None or not lease.is_alive():
                self._lease = acquire(self._place, self._setup)
                if lease is not None:
                    lease.close()
                lease = self._lease
            return lease

    def _lock_of_this_process(self) -> threading.Lock:
        if os.getpid() != self._pid:
            self._start_in_this_process()
        return self._lock

    def _start_in_this_process(self) -> None:
        self._lock = threading.Lock()
        self._lease = None
        self._pid = os.getpid()


def _wait(connection: socket.socket, pid: int, timeout_s: float) -> None:
    connection.settimeout(timeout_s)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        raise InferenceTimeoutError(
            f"The model took longer than timeout_s={timeout_s:g} s; its process {pid} was ended"
        ) from None
    connection.settimeout(None)


def _rows(batch: Any) -> str:
    return f"{len(batch):,} rows" if hasattr(batch, "__len__") else type(batch).__name__
