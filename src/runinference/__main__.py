"""`python -m runinference` is the command `runinference`."""

from __future__ import annotations

from runinference.cli import main

main()
