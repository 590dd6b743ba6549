"""The command line: one module for each command."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command `runinference`."""
    try:
        from runinference.cli.app import app
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit('click is needed for the command line. Install it: pip install "runinference[cli]"')
    app(prog_name="runinference")
