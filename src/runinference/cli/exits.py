"""How a command ends: exit codes, and errors that show what the reader can do something about."""

from __future__ import annotations

import functools
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from runinference.errors import ConfigurationError, RunInferenceError
from runinference.prediction import user_frames

FAILED, WRONG_USAGE, TOO_MANY_FAILURES, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143


def exits_well(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turns exceptions of a command into a message and an exit code.

    An error of this package is its message. An error in the user's code shows the user's lines. Anything else is our
    own fault, shows the whole traceback and says so.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            with _terminated_like_interrupted():
                return command(*args, **kwargs)
        except click.exceptions.Exit:
            raise
        except click.ClickException:
            raise
        except KeyboardInterrupt:
            _end("Interrupted; no output was written.", INTERRUPTED)
        except ConfigurationError as error:
            _end(f"Error: {error}", WRONG_USAGE)
        except RunInferenceError as error:
            lines = _users_lines(error.__cause__)
            _end(f"{lines}Error: {error}", FAILED)
        except Exception as error:
            lines = _users_lines(error)
            if lines:
                _end(f"{lines}Error: {type(error).__name__}: {error}", FAILED)
            traceback.print_exc()
            _end("Error: This is a bug of runinference. Please report it with the lines above.", FAILED)

    return wrapped


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)


def _users_lines(error: BaseException | None) -> str:
    """The lines of the user's own code that `error` came through; nothing of installed packages."""
    if error is None:
        return ""
    installed = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib"))
    frames = [
        frame
        for frame in user_frames(error.__traceback__)
        # Compiled packages name source files that are not there.
        if Path(frame.filename).is_file() and not str(Path(frame.filename).resolve()).startswith(installed)
    ]
    return "".join(["Traceback (your code):\n", *traceback.format_list(frames)]) if frames else ""


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Lets SIGTERM end the command through its `finally` blocks, so that nothing half-written stays behind."""

    def end(*_signal: object) -> NoReturn:
        sys.exit(TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # Only the main thread may; elsewhere somebody else answers for signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
