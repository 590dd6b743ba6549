"""`runinference run` with several models, and with a model that is exchanged while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from .conftest import COLUMNS, Run, make_table

A, B = "sklearn:model.joblib", "sklearn:other.joblib"


@pytest.fixture
def other(folder: Path) -> LogisticRegression:
    table = make_table()
    trained = LogisticRegression().fit(table[COLUMNS].to_numpy(), (table["b"] > 0).astype(int))
    joblib.dump(trained, folder / "other.joblib")
    return trained


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_two_models_say_what_they_think_of_each_row(run: Run, folder: Path, model, other, suffix):
    done = run("run", A, "data.parquet", f"out.{suffix}", "--handler-b", B, "--key", "id", "--metrics", "m.json")
    assert done.returncode == 0, done.stderr
    out = pd.read_parquet("out.parquet") if suffix == "parquet" else pd.read_json("out.jsonl", lines=True)
    rows = make_table()[COLUMNS].to_numpy()
    assert [row["a"] for row in out["prediction"]] == model.predict(rows).tolist()
    assert [row["b"] for row in out["prediction"]] == other.predict(rows).tolist()
    metrics = json.loads((folder / "m.json").read_text())
    assert (metrics["a-num_inferences"], metrics["b-num_inferences"], metrics["num_inferences"]) == (300, 300, 600)
    assert "Models" in done.stdout


def test_two_models_fill_two_columns_of_a_csv_file(run: Run, folder: Path, model, other):
    done = run("run", A, "data.parquet", "out.csv", "--handler-b", B, "--key", "id", "-q")
    assert done.returncode == 0, done.stderr
    out = pd.read_csv("out.csv")
    rows = make_table()[COLUMNS].to_numpy()
    assert out["prediction.a"].tolist() == model.predict(rows).tolist()
    assert out["prediction.b"].tolist() == other.predict(rows).tolist()
    assert "prediction" not in out


def test_check_shows_what_both_models_say(run: Run, folder: Path, other):
    done = run("check", A, "data.parquet", "--handler-b", B, "--key", "id")
    assert done.returncode == 0, done.stderr
    assert "struct<a: int64, b: int64>" in done.stdout


def test_a_second_model_that_does_not_exist_is_named(run: Run, folder: Path):
    done = run("run", A, "data.parquet", "out.parquet", "--handler-b", "sklearn:othr.joblib", "--key", "id")
    assert done.returncode == 2
    assert "othr.joblib does not exist" in done.stderr


def test_a_python_file_says_which_key_has_which_model(run: Run, folder: Path, model, other):
    (folder / "models.py").write_text(
        "from runinference import KeyedModelHandler, KeyModelMapping, ModelFileType, SklearnModelHandlerNumpy\n"
        "handler = KeyedModelHandler([\n"
        "    KeyModelMapping(['north'], SklearnModelHandlerNumpy('model.joblib', ModelFileType.JOBLIB)),\n"
        "    KeyModelMapping(['south'], SklearnModelHandlerNumpy('other.joblib', ModelFileType.JOBLIB)),\n"
        "]).with_preprocess_fn(lambda pair: (pair[0], __import__('numpy').array(list(pair[1].values()))))\n"
    )
    table = make_table()
    table["region"] = np.where(np.arange(len(table)) % 2, "north", "south")
    table.loc[5, "region"] = "east"
    table.to_parquet(folder / "regions.parquet", index=False)
    columns = ",".join(COLUMNS)
    done = run("run", "models.py:handler", "regions.parquet", "out.parquet", "--key", "region", "--columns", columns)
    assert done.returncode == 0, done.stderr
    out = pd.read_parquet("out.parquet")
    rows = out[COLUMNS].to_numpy()
    expected = np.where(out["region"] == "north", model.predict(rows), other.predict(rows))
    assert out["prediction"].tolist() == expected.tolist()
    assert len(out) == len(table) - 1
    (failure,) = [json.loads(line) for line in (folder / "out.parquet.failures.jsonl").read_text().splitlines()]
    assert failure["key"] == "east"
    assert "no model for the key 'east'" in failure["message"]


def test_the_newest_version_is_used(run: Run, folder: Path, other):
    (folder / "versions").mkdir()
    os.rename("other.joblib", "versions/v2.joblib")
    done = run("run", A, "data.parquet", "out.parquet", "--key", "id", "--watch-model-pattern", "versions/*.joblib")
    assert done.returncode == 0, done.stderr
    assert (
        pd.read_parquet("out.parquet")["prediction"].tolist()
        == other.predict(make_table()[COLUMNS].to_numpy()).tolist()
    )


def test_a_version_that_appears_while_the_job_runs_takes_over(folder: Path, model, other):
    (folder / "versions").mkdir()
    (folder / "slow.py").write_text(
        "import time\n"
        "from runinference import ModelFileType, SklearnModelHandlerNumpy\n"
        "class Slow(SklearnModelHandlerNumpy):\n"
        "    def run_inference_on_block(self, block, model, inference_args=None):\n"
        "        print('batch', flush=True)\n"
        "        time.sleep(0.05)\n"
        "        return super().run_inference_on_block(block, model, inference_args)\n"
        "handler = Slow('model.joblib', ModelFileType.JOBLIB, max_batch_size=100)\n"
    )
    pd.concat([make_table()] * 40).to_parquet("long.parquet", index=False)
    command = [
        sys.executable,
        "-m",
        "runinference",
        "run",
        "slow.py:handler",
        "long.parquet",
        "out.parquet",
        "--key",
        "id",
    ]
    job = subprocess.Popen(
        [*command, "--watch-model-pattern", "versions/*.joblib", "--watch-interval", "0.05"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout is not None
    assert job.stdout.readline() == "batch\n"
    os.rename("other.joblib", "versions/v2.joblib")
    rest, _ = job.communicate(timeout=60)
    assert job.returncode == 0
    out = pd.read_parquet("out.parquet")
    rows = out[COLUMNS].to_numpy()
    before, after = model.predict(rows), other.predict(rows)
    changed = next(n for n in range(len(out)) if out["prediction"][n] != before[n])
    assert 0 < changed < len(out) - 1000
    assert (out["prediction"].to_numpy()[:changed] == before[:changed]).all()
    assert (out["prediction"].to_numpy()[changed:] == after[changed:]).all()
    assert "updates" in rest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--watch-model-pattern", "no/such/folder/*"], "no"),
        (["--watch-model-pattern", "versions", "--watch-interval", "0"], "0"),
        (["--watch-model-pattern", "versions", "--handler-b", A], "dict with a pattern for each"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_anything_is_read(run: Run, folder: Path, options, message):
    (folder / "versions").mkdir()
    done = run("run", A, "data.parquet", "out.parquet", "--key", "id", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (folder / "out.parquet").exists()
