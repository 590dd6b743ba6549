"""The processes of a benchmark, as their parent sees them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runinference.benchmarks.contestant import Contestant, Trouble
from runinference.errors import ConfigurationError, RunInferenceError

_LINES = 12


class BenchmarkError(RunInferenceError):
    """A benchmark could not be run to its end, or what it gave cannot be believed."""


class ContestantProcess:
    """A process that answers what it is asked.

    Args:
        target: What it does.
        contestant: What it is given.
        timeout_s: Longest time for an answer; `None` for any time.
    """

    def __init__(
        self, target: Callable[[Contestant, Connection], None], contestant: Contestant, timeout_s: float | None = None
    ) -> None:
        self._contestant = contestant
        self._timeout_s = timeout_s
        # A process that shares nothing with this one: frameworks do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(contestant, theirs), daemon=False)
        self._process.start()
        theirs.close()

    def ask(self) -> Any:
        """Asks for the next thing and waits for it.

        Raises:
            BenchmarkError: It failed, died, or took too long.
            ConfigurationError: What is asked for cannot work.
        """
        with suppress(BrokenPipeError):  # It has gone, and said why before.
            self._connection.send(True)
        return self.wait()

    def wait(self) -> Any:
        """Waits for what it says of itself.

        Raises:
            BenchmarkError: It failed, died, or took too long.
            ConfigurationError: What is asked for cannot work.
        """
        engine = self._contestant.engine
        try:
            if self._timeout_s is not None and not self._connection.poll(self._timeout_s):
                raise BenchmarkError(f"{engine}: there was no answer within {self._timeout_s:g} s")
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            raise BenchmarkError(
                f"{engine}: the process ended with exit code {self._process.exitcode}{self._last_words()}"
            ) from None
        if isinstance(answer, Trouble):
            if answer.wrong_usage:
                raise ConfigurationError(answer.message)
            raise BenchmarkError(f"{engine}: {answer.message}\n{answer.trace}".rstrip())
        return answer

    def _last_words(self) -> str:
        try:
            lines = Path(self._contestant.log).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return ". Its last words:\n" + "\n".join(lines[-_LINES:]) if lines else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join(5 if error is None else 0.5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
