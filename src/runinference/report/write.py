"""Writes the page."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from runinference.errors import DataError
from runinference.report.summary import RunSummary


def write_report(path: str | os.PathLike[str], summary: RunSummary) -> None:
    """Writes a page about a run; one file, which loads nothing from elsewhere.

    It appears under its name only when it is complete.

    Args:
        path: A local file, as a rule `.html`.
        summary: What there is to say, as `Recording.summary` gives it.

    Raises:
        DataError: It cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    from runinference.report.page import page  # Not before there is something to write.

    content = page(summary).encode("utf-8", "backslashreplace")
    target = os.path.realpath(path)
    temporary = Path(f"{target}.tmp-{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise DataError(f"The report cannot be written to {os.fspath(path)}: {error.strerror}") from error
