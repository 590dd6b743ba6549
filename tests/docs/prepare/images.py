"""The photos and the model of docs/images.md, which are those of the example."""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "photos" / "prepare.py"

runpy.run_path(str(EXAMPLE), run_name="__main__")
