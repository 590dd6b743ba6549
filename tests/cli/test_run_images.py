"""`runinference run` and `check` over a folder of photos."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from .conftest import Run

MODELS = '''
import numpy as np

from runinference import KeyedModelHandler, ModelHandler
from runinference.handlers.images import ImagePreprocessor, decode_image


class MeanColour(ModelHandler):
    """Decodes a photo itself and says its mean colour."""

    def load_model(self):
        return lambda image: np.asarray(image).reshape(-1, 3).mean(axis=0)

    def run_inference(self, batch, model, inference_args=None):
        return [model(decode_image(photo)) for photo in batch]


class Brightness(ModelHandler):
    """Takes arrays of shape (3, 32, 32)."""

    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        pixels = np.stack(batch)
        assert pixels.shape[1:] == (3, 32, 32)
        return pixels.mean(axis=(1, 2, 3))


def handler():
    prepare = ImagePreprocessor(size=32, resize=32, mean=(0, 0, 0), std=(1, 1, 1))
    return Brightness().with_preprocess_fn(prepare)


def keyed():
    return KeyedModelHandler(MeanColour())
'''
COUNT = 70


def colour(number: int) -> tuple[int, int, int]:
    return (3 * number, 255 - 3 * number, 7)


@pytest.fixture
def photos(folder: Path) -> Path:
    """Photos of one colour each, in two formats and a folder below."""
    (folder / "photos" / "more").mkdir(parents=True)
    for number in range(COUNT):
        place = "photos/more" if number % 2 else "photos"
        Image.new("RGB", (50, 40), colour(number)).save(
            folder / place / f"{number:03}.{('png', 'jpg')[number % 3 == 0]}"
        )
    (folder / "photos" / "README").write_text("Holidays")
    (folder / "models.py").write_text(MODELS)
    return folder / "photos"


def failures_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("handler", ["MeanColour", "keyed"])
def test_the_output_has_a_path_and_a_prediction_for_each_photo(run: Run, photos: Path, suffix: str, handler: str):
    done = run("run", f"models.py:{handler}", "photos/", f"out.{suffix}")
    assert done.returncode == 0, done.stderr
    assert f"{COUNT}/{COUNT} rows" in done.stderr
    path = photos.parent / f"out.{suffix}"
    out = pd.read_parquet(path) if suffix == "parquet" else pd.read_json(path, lines=True)
    assert list(out.columns) == ["path", "prediction"]
    files = sorted(os.path.join(place, name) for place, _, names in os.walk("photos") for name in names)
    assert out["path"].tolist() == [file for file in files if not file.endswith("README")]
    expected = [colour(int(Path(path).stem)) for path in out["path"]]
    np.testing.assert_allclose(np.stack(out["prediction"]), expected, atol=2)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_damaged_photos_are_set_aside_alone_with_their_path(run: Run, photos: Path, workers: str):
    whole = (photos / "more" / "001.png").read_bytes()
    (photos / "a-text.jpg").write_text("no photo " * 50_000)
    (photos / "b-cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "c-empty.png").touch()
    Image.new("RGB", (1, 1), colour(0)).save(photos / "d-tiny.png")
    done = run("run", "models.py:handler", "photos", "out.jsonl", "--workers", workers)
    assert done.returncode == 0, done.stderr
    assert "3 failed" in done.stderr
    out = pd.read_json("out.jsonl", lines=True)
    assert len(out) == COUNT + 1
    expected = [np.mean(colour(0 if "tiny" in path else int(Path(path).stem))) / 255 for path in out["path"]]
    np.testing.assert_allclose(out["prediction"], expected, atol=0.01)
    found = {failure["key"]: failure for failure in failures_of(Path("out.jsonl.failures.jsonl"))}
    assert {key: failure["stage"] for key, failure in found.items()} == {
        "photos/a-text.jpg": "preprocess",
        "photos/b-cut.png": "preprocess",
        "photos/c-empty.png": "read",
    }
    assert "begin with b'no photo no " in found["photos/a-text.jpg"]["message"]
    assert "(PNG, 50 × 40 pixels) is damaged or cut short" in found["photos/b-cut.png"]["message"]
    assert all(failure["example"] == {"path": key} for key, failure in found.items())
    assert Path("out.jsonl.failures.jsonl").stat().st_size < 10_000


def test_a_photo_that_the_handler_cannot_decode_fails_in_the_model_stage(run: Run, photos: Path):
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff" + b"\0" * 100)
    done = run("run", "models.py:MeanColour", "photos", "out.parquet", "--max-failures", "0")
    assert done.returncode == 3
    assert pq.read_schema("out.parquet").names == ["path", "prediction"]
    (failure,) = failures_of(Path("out.parquet.failures.jsonl"))
    assert (failure["stage"], failure["key"], failure["example"]) == (
        "inference",
        "photos/bad.jpg",
        {"path": "photos/bad.jpg"},
    )


def test_only_unreadable_photos_leave_an_output_with_its_columns(run: Run, photos: Path):
    Path("none").mkdir()
    Path("none/a.jpg").touch()
    done = run("run", "models.py:handler", "none", "out.parquet")
    assert done.returncode == 3
    assert "All 1 rows failed." in done.stderr
    assert pq.read_schema("out.parquet").names == ["path", "prediction"]


def test_check_shows_predictions_and_no_bytes(run: Run, photos: Path):
    done = run("check", "models.py:MeanColour", "photos")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if not line.startswith(" "))
    assert lines["Input"].startswith(f"{COUNT} images, ")
    assert lines["Input"].endswith(f" {COUNT} rows")
    assert lines["Columns"] == "path string, image binary"
    assert lines["Tried"] == f"{COUNT} rows, 0 failed"
    assert lines["Prediction"].startswith("list<item: double>, such as [")
    assert "\\x" not in done.stdout
    assert len(done.stdout) < 2000


def test_the_columns_and_the_key_can_be_said(run: Run, photos: Path):
    done = run("run", "models.py:MeanColour", "photos/more", "out.jsonl", "--columns", "image", "--key", "path", "-q")
    assert done.returncode == 0, done.stderr
    done = run("run", "models.py:MeanColour", "photos", "out.jsonl", "--key", "image")
    assert done.returncode == 2
    assert "leaves out the key column 'image'" in done.stderr


def test_photos_beside_a_table_are_a_mix(run: Run, photos: Path):
    (photos / "labels.csv").write_text("a\n1\n")
    done = run("run", "models.py:handler", "photos", "out.jsonl")
    assert done.returncode == 1
    assert "'photos' holds files of several formats: 1 csv (labels.csv), 70 images (" in done.stderr
    done = run("run", "models.py:handler", "photos/*.jpg", "out.jsonl", "-q")
    assert done.returncode == 0, done.stderr
