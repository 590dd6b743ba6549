"""How far benchmarks are, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from runinference.packages import require

if TYPE_CHECKING:
    from runinference.benchmarks.run import Request, Watcher


@contextmanager
def watching(stream: TextIO, *, quiet: bool) -> Iterator[Callable[[Request], Watcher]]:
    """Gives what makes a watcher for each benchmark: a bar on a terminal, else a line for each step.

    Args:
        stream: Where to show it.
        quiet: Show nothing.
    """
    if quiet:
        yield lambda _: _Silent()
    elif stream.isatty():
        progress = require("rich.progress", "cli", "show progress")
        console = require("rich.console", "cli", "show progress").Console(file=stream)
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left", style="dim"),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=console, transient=True) as bar:
            yield lambda request: _Bar(request, bar)
    else:
        yield lambda request: _Lines(request, stream)


def title(request: Request) -> str:
    """What a benchmark is called while it runs."""
    return f"{request.benchmark.name}:{request.settings.model}"


class _Silent:
    def doing(self, what: str) -> None:
        pass

    def passed(self, engine: str, run_s: float) -> None:
        pass


class _Bar:
    """A bar over the passes, those to warm up included."""

    def __init__(self, request: Request, bar: Any) -> None:
        self._bar = bar
        self._title = title(request)
        self._task = bar.add_task(self._title, total=len(request.engines) * (request.repeat + request.warm_up))

    def doing(self, what: str) -> None:
        self._bar.update(self._task, description=f"{self._title}: {what}")

    def passed(self, engine: str, run_s: float) -> None:
        del engine, run_s
        self._bar.advance(self._task)


class _Lines:
    def __init__(self, request: Request, stream: TextIO) -> None:
        self._title = title(request)
        self._stream = stream

    def doing(self, what: str) -> None:
        print(f"{self._title}: {what} …", file=self._stream, flush=True)

    def passed(self, engine: str, run_s: float) -> None:
        print(f"{self._title}: {engine} took {run_s:.3g} s", file=self._stream, flush=True)
