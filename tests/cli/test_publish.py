"""`runinference run --publish`: metrics that go where their reader is."""

import sqlite3
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
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
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
