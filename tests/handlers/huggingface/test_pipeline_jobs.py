"""`runinference run huggingface:TASK@MODEL` over a file of texts and a folder of photos."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from runinference import ConfigurationError, infer
from runinference.jobs.resolve import resolve_handler

from .models import reviews


def run(*arguments):
    command = [sys.executable, "-m", "runinference", "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_trained_model_finds_the_sentiment_of_reviews(model_folder, tmp_path):
    rows, labels = reviews(300, seed=1_000)
    rows[7], rows[19] = "", "good " * 60  # An empty one fails, a long one is cut off.
    labels[19] = 1
    (tmp_path / "reviews.txt").write_text("".join(f"{row}\n" for row in rows))
    handler = f"huggingface:text-classification@{model_folder('sentiment')}"
    done = run(handler, tmp_path / "reviews.txt", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert "transformers" not in done.stderr
    assert "Loading" not in done.stderr
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [each["text"] for each in found] == [row for row in rows if row]
    assert all(set(each["prediction"]) == {"label", "score"} for each in found)
    del labels[7]
    right = sum(
        each["prediction"]["label"] == ("bad", "good")[label] for each, label in zip(found, labels, strict=True)
    )
    assert right > 0.97 * len(found)
    (failure,) = (tmp_path / "out.jsonl.failures.jsonl").read_text().splitlines()
    assert "The text is empty" in failure


def test_photos_in_a_folder_are_labelled(model_folder, tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(12):
        pixels = random.integers(0, 256, (30 + number, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number:02}.png")
    (tmp_path / "photos" / "03.png").write_bytes(b"no image")
    handler = f"huggingface:image-classification@{model_folder('vit')}"
    done = run(handler, tmp_path / "photos", tmp_path / "out.parquet")
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 11
    assert "requires torchvision" not in done.stderr
    photos = [tmp_path / "photos" / f"{number:02}.png" for number in range(12) if number != 3]
    expected = [result.inference for result in infer(photos, resolve_handler(handler))]
    for found, other in zip(table["prediction"].to_pylist(), expected, strict=True):
        assert [each["label"] for each in found] == [each["label"] for each in other]
        assert [each["score"] for each in found] == pytest.approx([each["score"] for each in other], rel=1e-5)


def test_the_first_at_sign_parts_the_task_from_the_model(tmp_path):
    folder = tmp_path / "model@2"
    folder.mkdir()
    assert resolve_handler(f"huggingface:fill-mask@{folder}").get_model_id() == str(folder)
    assert resolve_handler("huggingface:fill-mask@owner/model").get_model_id() == "owner/model"


@pytest.mark.parametrize("text", ["fill-mask", "fill-mask@", "@owner/model"])
def test_a_task_and_a_model_must_be_named(text):
    with pytest.raises(ConfigurationError, match=r"name a task and a model.*huggingface:text-classification@"):
        resolve_handler(f"huggingface:{text}")


def test_a_folder_that_is_not_there_is_said_before_anything_is_read(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(ConfigurationError, match=r"does not exist. Did you mean .*model'"):
        resolve_handler(f"huggingface:fill-mask@{tmp_path / 'modle'}")
