"""The examples do what their README says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "examples" / "photos"


def test_the_photos_of_the_example_are_told_apart_and_the_damaged_one_is_set_aside(tmp_path: Path) -> None:
    # As from the root of a repository, but with all that is written in another place.
    shutil.copytree(PHOTOS, tmp_path / "examples" / "photos", ignore=shutil.ignore_patterns("__pycache__"))
    for line in (PHOTOS / "README.md").read_text("utf-8").splitlines():
        command = line.removeprefix("$ ").split()
        if line.startswith(("$ python ", "$ runinference ")):
            start = [] if command[0] == "python" else ["-m", "runinference"]
            subprocess.run([sys.executable, *start, *command[1:]], cwd=tmp_path, env=_environment(), check=True)
    rows = [json.loads(line) for line in (tmp_path / "demo" / "labels.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 12
    assert [Path(row["path"]).stem.partition("-")[0] for row in rows] == [row["prediction"]["label"] for row in rows]
    (failure,) = (tmp_path / "demo" / "labels.jsonl.failures.jsonl").read_text("utf-8").splitlines()
    assert json.loads(failure)["key"].endswith("half.jpg")


def test_the_page_about_images_shows_the_handler_of_the_example() -> None:
    shown = (ROOT / "docs" / "images.md").read_text("utf-8")
    assert (PHOTOS / "handler.py").read_text("utf-8") in shown


def _environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
