"""Where progress is shown: a terminal, any other stream, or a function."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable
from typing import Any, Final, TextIO

from runinference.errors import ConfigurationError
from runinference.progress.line import format_line
from runinference.progress.meter import ProgressMeter

_PLAIN_LINE_EVERY_S: Final = 30.0
_ASCII: Final = str.maketrans({"━": "=", "╸": "-", "─": ".", "·": "|", "…": "~"})


_logger = logging.getLogger(__name__)


def display(target: Any) -> Callable[[ProgressMeter], None]:
    """How to show a meter on `target`."""
    if hasattr(target, "write"):
        return _Terminal(target) if _is_terminal(target) else _PlainLines(target)
    if callable(target):
        return _Callback(target)
    raise ConfigurationError(f"Progress goes to a stream or a callable, not to {target!r}.")


class _Callback:
    def __init__(self, function: Callable[[dict[str, Any]], None]) -> None:
        self._function: Callable[[dict[str, Any]], None] | None = function

    def __call__(self, meter: ProgressMeter) -> None:
        if self._function is None:
            return
        try:
            self._function(meter.to_dict())
        except Exception:
            # Logged, not warned: a warning turned into an error would end the thread.
            _logger.warning("The progress callable raised; it is not called again.", exc_info=True)
            self._function = None


class _Stream:
    """A stream that may break at any moment, after which nothing more is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        try:
            "━╸─·…".encode(getattr(stream, "encoding", None) or "utf-8")
        except (LookupError, UnicodeError):
            self._ascii = True
        else:
            self._ascii = False

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text.translate(_ASCII) if self._ascii else text)
            self._stream.flush()
        except Exception:
            self._stream = None


class _PlainLines(_Stream):
    """A log file or a pipe: a full line now and then."""

    _written_at = 0.0

    def __call__(self, meter: ProgressMeter) -> None:
        if meter.finished or meter.elapsed_s - self._written_at >= _PLAIN_LINE_EVERY_S:
            self._written_at = meter.elapsed_s
            self._write(f"{format_line(meter)}\n")


class _Terminal(_Stream):
    """One line that is rewritten in place."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._colours = "NO_COLOR" not in os.environ

    def __call__(self, meter: ProgressMeter) -> None:
        # The last column stays free: some terminals wrap when it is written to.
        line = format_line(meter, self._columns() - 1)
        if self._colours:
            line = re.sub("[━╸]+", "\x1b[36m\\g<0>\x1b[0m", line)
            line = re.sub("─+", "\x1b[2m\\g<0>\x1b[0m", line)
        self._write(f"\r{line}\x1b[K" + ("\n" if meter.finished else ""))

    def _columns(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns if self._stream else 0
        except (OSError, ValueError, AttributeError):
            columns = 0
        return columns or shutil.get_terminal_size().columns


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except Exception:
        return False
