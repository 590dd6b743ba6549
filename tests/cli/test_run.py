"""`runinference run` as a user meets it: a process, files, an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from .conftest import COLUMNS, ROWS, Run, make_table

HANDLER = "sklearn:model.joblib"


def test_columns_are_kept_and_predictions_added(run, folder, model):
    done = run("run", HANDLER, "data.parquet", "out.parquet", "--key", "id")
    assert done.returncode == 0, done.stderr
    out, table = pd.read_parquet(folder / "out.parquet"), make_table()
    pd.testing.assert_frame_equal(out.drop(columns="prediction"), table)
    assert out["prediction"].tolist() == model.predict(table[COLUMNS].to_numpy()).tolist()
    assert "rows predicted" in done.stdout
    assert "Predictions  out.parquet  (300 rows)" in done.stdout
    assert not (folder / "out.parquet.failures.jsonl").exists()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_input_format_goes_to_every_output_format(run, folder, model, suffix):
    table = make_table()
    table.to_csv(folder / "in.csv", index=False)
    table.to_json(folder / "in.jsonl", orient="records", lines=True, double_precision=15)
    table.to_parquet(folder / "in.parquet")
    expected = model.predict(table[COLUMNS].to_numpy()).tolist()
    for source in ("csv", "jsonl", "parquet"):
        assert run("run", HANDLER, f"in.{source}", f"{source}.{suffix}", "--key", "id", "-q").returncode == 0
        path = folder / f"{source}.{suffix}"
        out = (
            pd.read_csv(path)
            if suffix == "csv"
            else pd.read_json(path, lines=True)
            if suffix == "jsonl"
            else pd.read_parquet(path)
        )
        assert out["prediction"].tolist() == expected
        assert out["id"].tolist() == table["id"].tolist()


def test_a_broken_row_is_set_aside_with_its_key_and_reason(run, folder):
    table = make_table()
    table.loc[17, "b"] = np.nan
    table.to_parquet(folder / "data.parquet", index=False)
    done = run("run", HANDLER, "data.parquet", "out.parquet", "--key", "id", "--failures", "bad.jsonl")
    assert done.returncode == 0
    (failure,) = map(json.loads, (folder / "bad.jsonl").read_text().splitlines())
    assert (failure["index"], failure["key"], failure["stage"]) == (17, "row-17", "inference")
    assert failure["error_type"] == "ValueError"
    assert failure["example"]["id"] == "row-17"
    out = pd.read_parquet(folder / "out.parquet")
    assert out["id"].tolist() == [key for key in table["id"] if key != "row-17"]
    assert "1 × inference: ValueError: Input X contains NaN." in done.stdout


def test_text_in_a_numeric_column_costs_only_its_row(run, folder):
    table = make_table().astype({"b": object})
    table.loc[5, "b"] = "oops"
    table.to_csv(folder / "data.csv", index=False)
    done = run("run", HANDLER, "data.csv", "out.jsonl", "--key", "id")
    assert done.returncode == 0, done.stderr
    assert len((folder / "out.jsonl").read_text().splitlines()) == ROWS - 1
    (failure,) = map(json.loads, (folder / "out.jsonl.failures.jsonl").read_text().splitlines())
    assert "oops" in failure["message"]


@pytest.mark.parametrize(
    ("allowed", "code", "message"),
    [
        ("1", 3, "2 of 300 rows failed; 1 may."),
        ("2", 0, ""),
        ("0.5%", 3, "2 of 300 rows failed; 0.5 % may."),
        ("1%", 0, ""),
    ],
)
def test_more_failures_than_allowed_is_exit_code_3_with_the_output_complete(run, folder, allowed, code, message):
    table = make_table()
    table.loc[[3, 200], "a"] = np.nan
    table.to_parquet(folder / "data.parquet", index=False)
    done = run("run", HANDLER, "data.parquet", "out.parquet", "--key", "id", "--max-failures", allowed)
    assert done.returncode == code
    assert message in done.stderr
    assert len(pd.read_parquet(folder / "out.parquet")) == ROWS - 2


def test_all_rows_failing_is_exit_code_3_without_being_asked(run, folder):
    (folder / "h.py").write_text(
        "from runinference import ModelHandler\n"
        "class H(ModelHandler):\n"
        "    def load_model(self): return 1\n"
        "    def run_inference(self, batch, model, inference_args=None): return batch\n"
        "def broken():\n"
        "    return H().with_preprocess_fn(lambda row: row['missing'])\n"
    )
    done = run("run", "h.py:broken", "data.parquet", "out.parquet")
    assert done.returncode == 3
    assert "All 300 rows failed." in done.stderr
    assert "300 × preprocess: KeyError" in done.stdout


def test_limit_metrics_columns_and_batch_size(run, folder):
    done = run(
        *("run", HANDLER, "data.parquet", "out.csv", "--columns", "a, b,c", "--limit", "100"),
        *("--max-batch-size", "7", "--metrics", "m.json", "--workers", "0"),
    )
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(folder / "out.csv")) == 100
    metrics = json.loads((folder / "m.json").read_text())
    assert metrics["num_inferences"] == 100
    assert metrics["batch_size_MAX"] == 7
    assert metrics["model_byte_size_COUNT"] == 1


def test_what_held_the_run_up_is_said_once_and_is_in_the_metrics(run, folder):
    publish = ("--metrics", "m.json", "--publish", "jsonl:published.jsonl")
    done = run("run", HANDLER, "data.parquet", "out.parquet", "--key", "id", *publish)
    assert done.returncode == 0, done.stderr
    said = json.loads((folder / "m.json").read_text())["bottleneck"]
    assert [line for line in done.stdout.splitlines() if "bottleneck" in line.lower()] == [f"Bottleneck   {said}"]
    (*_, last) = (folder / "published.jsonl").read_text().splitlines()
    assert json.loads(last)["texts"]["bottleneck"] == said


def test_a_run_without_rows_says_that_the_model_was_never_run(run, folder):
    make_table().iloc[:0].to_csv(folder / "empty.csv", index=False)
    done = run("run", HANDLER, "empty.csv", "out.parquet", "--key", "id")
    assert "Bottleneck   The model was never run." in done.stdout


def test_quiet_prints_nothing(run):
    done = run("run", HANDLER, "data.parquet", "out.parquet", "--key", "id", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_progress_goes_to_standard_error_as_lines(run):
    done = run("run", HANDLER, "data.parquet", "out.parquet", "--key", "id")
    assert "300/300 rows" in done.stderr
    assert "\r" not in done.stderr


def test_a_table_without_rows_gives_one_without_rows(run, folder):
    make_table().iloc[:0].to_csv(folder / "empty.csv", index=False)
    done = run("run", HANDLER, "empty.csv", "out.parquet", "--key", "id")
    assert done.returncode == 0, done.stderr
    assert pq.read_schema(folder / "out.parquet").names == ["id", *COLUMNS, "prediction"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("sklearn:model.joblb", "data.parquet", "out.parquet"), 2, "Did you mean 'model.joblib'?"),
        (("sklern:model.joblib", "data.parquet", "out.parquet"), 2, "Did you mean 'sklearn'?"),
        (
            ("nothing", "data.parquet", "out.parquet"),
            2,
            "does not name a handler. Write SCHEME:MODEL such as sklearn:model",
        ),
        (("h.py:x", "data.parquet", "out.parquet"), 2, "h.py does not exist"),
        ((HANDLER, "date.parquet", "out.parquet"), 2, "Did you mean 'data.parquet'?"),
        ((HANDLER, "data.parquet", "out.xlsx"), 2, "cannot tell the format of the output"),
        ((HANDLER, "data.parquet", "data.parquet"), 2, "is also an input"),
        ((HANDLER, "data.parquet", "out.parquet", "--columns", "a,bb"), 2, "no column 'bb'. Did you mean 'b'?"),
        ((HANDLER, "data.parquet", "out.parquet", "--max-failures", "many"), 2, "neither a number of rows"),
        ((HANDLER, "data.parquet", "out.parquet", "--colums", "a"), 2, "Did you mean '--columns'?"),
        ((HANDLER, "data.parquet", "out.parquet"), 1, "trained with 3 features but is given 4 columns: id, a, b, c"),
        ((HANDLER, "data.parquet", "no/such/out.parquet"), 1, "neither the folder"),
    ],
)
def test_wrong_usage_says_what_to_do_without_a_traceback(run, folder, arguments, code, message):
    done = run("run", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "out.parquet").exists()


def test_a_corrupt_file_and_a_model_of_another_kind_are_named(run, folder):
    whole = (folder / "data.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    done = run("run", HANDLER, "cut.parquet", "out.parquet")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "cut.parquet" in done.stderr
    (folder / "model.joblib").write_text("not a model")
    done = run("run", HANDLER, "data.parquet", "out.parquet")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "model.joblib cannot be read as a joblib file" in done.stderr


def test_the_users_own_error_shows_the_users_own_line(run, folder):
    (folder / "mine.py").write_text(
        "from runinference import ModelHandler\n"
        "class Mine(ModelHandler):\n"
        "    def load_model(self):\n"
        "        raise OSError('no weights here')\n"
        "    def run_inference(self, batch, model, inference_args=None):\n"
        "        return batch\n"
    )
    done = run("run", "mine.py:Mine", "data.parquet", "out.parquet")
    assert done.returncode == 1
    assert "line 4, in load_model" in done.stderr
    assert "Mine could not load its model: OSError: no weights here" in done.stderr
    assert "engine" not in done.stderr


def test_a_handler_without_load_model_is_named(run, folder):
    (folder / "half.py").write_text(
        "from runinference import ModelHandler\n"
        "class Half(ModelHandler):\n"
        "    def run_inference(self, batch, model, inference_args=None):\n"
        "        return batch\n"
    )
    done = run("run", "half.py:Half", "data.parquet", "out.parquet")
    assert done.returncode == 2
    assert "it lacks load_model()" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing_half_written(folder: Path, number: int, code: int):
    (folder / "slow.py").write_text(
        "import time\n"
        "from runinference import ModelHandler\n"
        "class Slow(ModelHandler):\n"
        "    def load_model(self):\n"
        "        open('loaded', 'w').close()\n"
        "    def run_inference(self, batch, model, inference_args=None):\n"
        "        time.sleep(0.2)\n"
        "        return [1] * len(batch)\n"
    )
    command = [sys.executable, "-m", "runinference", "run", "slow.py:Slow", "data.parquet", "out.parquet"]
    process = subprocess.Popen([*command, "--max-batch-size", "1"], cwd=folder, stderr=subprocess.PIPE)
    while not (folder / "loaded").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert sorted(path.name for path in folder.iterdir() if "out" in path.name) == []


def test_the_output_of_an_earlier_run_stays_when_this_one_fails(run: Run, folder: Path):
    (folder / "out.parquet").write_text("earlier")
    (folder / "model.joblib").write_text("not a model")
    assert run("run", HANDLER, "data.parquet", "out.parquet").returncode == 1
    assert (folder / "out.parquet").read_text() == "earlier"
    assert not [name for name in os.listdir(folder) if "tmp" in name]
