"""`runinference run --publish`: metrics that go where their reader is."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

HANDLER = "sklearn:model.joblib"


@pytest.fixture(autouse=True)
def own_cache(folder, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(folder / "cache"))


def test_the_metrics_of_two_jobs_are_in_one_database(run, folder):
    for number in range(2):
        done = run("run", HANDLER, "data.parquet", f"{number}.parquet", "--key", "id", "--publish", "sqlite:metrics.db")
        assert done.returncode == 0, done.stderr
        assert "Published    sqlite:metrics.db" in done.stdout
    with closing(sqlite3.connect(folder / "metrics.db")) as database:
        rows = database.execute(
            "SELECT name, value FROM runs JOIN metrics USING (test_id) WHERE metric = 'num_inferences'"
        ).fetchall()
        (options,) = database.execute("SELECT options FROM runs LIMIT 1").fetchone()
    assert rows == [("model.joblib over data.parquet", 300.0)] * 2
    assert '"key": "id"' in options


def test_several_destinations_each_get_them_and_one_that_is_down_does_not_fail_the_job(run, folder):
    addresses = ["--publish", "jsonl:metrics.jsonl", "--publish", "influxdb:http://127.0.0.1:9?db=metrics"]
    done = run("run", HANDLER, "data.parquet", "out.parquet", "--key", "id", *addresses)
    assert done.returncode == 0, done.stderr
    assert "Published    jsonl:metrics.jsonl" in done.stdout
    assert "not yet to influxdb:http://127.0.0.1:9" in done.stdout
    assert "kept, and sent with the next run" in done.stdout
    states = [json.loads(line)["run"]["state"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert states == ["running", "done"]
    assert len(list((folder / "cache" / "unpublished").glob("*/*.json"))) == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("metrics.db", "cannot be published to 'metrics.db'"),
        ("sqlite:no/such/metrics.db", "there is no folder no/such"),
    ],
)
def test_an_address_that_cannot_work_is_refused_before_anything_is_read(run, folder, address, message):
    done = run("run", HANDLER, "data.parquet", "out.parquet", "--key", "id", "--publish", address)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (folder / "out.parquet").exists()


SLOW = """
import time
import runinference

class Slow(runinference.ModelHandler):
    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        {}
        return [0 for _ in batch]
"""


def states(folder):
    with closing(sqlite3.connect(folder / "metrics.db")) as database:
        return database.execute("SELECT state, count(value) FROM runs LEFT JOIN metrics USING (test_id)").fetchall()


def test_a_job_that_fails_is_published_as_failed_with_what_it_measured(run, folder):
    (folder / "slow.py").write_text(SLOW.format("raise RuntimeError('broken')"))
    done = run("run", "slow.py:Slow", "data.parquet", "out.parquet", "--publish", "sqlite:metrics.db")
    assert done.returncode == 1
    ((state, metrics),) = states(folder)
    assert state == "failed"
    assert metrics > 10


def test_a_job_that_is_killed_stays_in_the_database_as_running_and_without_metrics(folder):
    (folder / "slow.py").write_text(SLOW.format("open('ran', 'w').close(); time.sleep(60)"))
    command = ["run", "slow.py:Slow", "data.parquet", "out.parquet", "--publish", "sqlite:metrics.db", "--quiet"]
    job = subprocess.Popen([sys.executable, "-m", "runinference", *command], cwd=folder)
    deadline = time.monotonic() + 60
    while not ((folder / "ran").exists() and (folder / "metrics.db").exists() and states(folder) != [(None, 0)]):
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert states(folder) == [("running", 0)]
