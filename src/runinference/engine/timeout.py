"""A time limit for calls that cannot be interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from runinference.errors import InferenceTimeoutError

_Task = tuple[Callable[[], Any], "Future[Any]"]


class TimeLimit:
    """Runs calls one at a time in a thread of its own and gives up on one that takes too long.

    Python cannot stop a call from outside. A call that exceeds its time is left behind in its thread, which ends when
    the call does, and the next call gets a new thread.

    Args:
        seconds: Longest time for a call.
        on_timeout: Called when a call is left behind, to let go of what it may still be using.
    """

    def __init__(self, seconds: float, on_timeout: Callable[[], Any]) -> None:
        self._seconds = seconds
        self._on_timeout = on_timeout
        self._tasks: SimpleQueue[_Task | None] | None = None

    def run(self, call: Callable[[], Any]) -> Any:
        """What `call` returns.

        Raises:
            InferenceTimeoutError: It took too long.
        """
        if self._tasks is None:
            self._tasks = SimpleQueue()
            threading.Thread(target=_work, args=(self._tasks,), name="runinference-timed", daemon=True).start()
        answer: Future[Any] = Future()
        self._tasks.put((call, answer))
        try:
            return answer.result(self._seconds)
        except TimeoutError:
            if answer.done():  # The call itself raised a TimeoutError.
                raise
            self.close()
            self._on_timeout()
            raise InferenceTimeoutError(f"The model took longer than timeout_s={self._seconds:g} s") from None

    def close(self) -> None:
        """Ends the thread once its call returns."""
        if self._tasks is not None:
            self._tasks.put(None)
            self._tasks = None


def _work(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        call, answer = task
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)
        del call, answer, task
