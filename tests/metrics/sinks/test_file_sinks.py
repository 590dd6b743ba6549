"""Measurements in files: SQLite and JSON Lines."""

import json
import multiprocessing
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from sink_contract import SinkContract

from runinference import ConfigurationError
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.sinks import Rejected, Unavailable, open_sink

pytestmark = pytest.mark.core


class TestSqlite(SinkContract):
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "metrics of mine.db"

    @pytest.fixture
    def sink(self, path):
        return open_sink(f"sqlite:{path}")

    @pytest.fixture
    def stored(self, path):
        return lambda: query(path, "SELECT test_id, metric, value FROM metrics")

    @pytest.fixture
    def timestamps(self, path):
        return lambda: {when for (when,) in query(path, "SELECT timestamp FROM metrics")}

    def test_it_is_a_table_of_runs_and_one_of_metrics(self, sink, path):
        run = RunInfo(name="mine", versions={"torch": "2.13"}, options={"a": 1}, commit="abc", job_id="job")
        sink.write(Measurement(run, 5.0, {"a": 1.0}, {"why": "settled"}))
        assert query(path, "SELECT name, cores, versions, options, job_id FROM runs") == [
            ("mine", run.cores, '{"torch": "2.13"}', '{"a": 1}', "job")
        ]
        assert query(path, "SELECT test_id, timestamp, metric, value, job_id FROM metrics") == [
            (run.test_id, 5.0, "a", 1.0, "job")
        ]
        assert query(path, "SELECT metric, value FROM texts") == [("why", "settled")]

    def test_a_run_that_has_ended_takes_the_place_of_the_one_that_had_begun(self, sink, path):
        run = RunInfo(name="mine", state="running")
        sink.write(Measurement(run, 5.0, {}))
        assert query(path, "SELECT test_id, state FROM runs") == [(run.test_id, "running")]
        sink.write(Measurement(replace(run, state="done"), 6.0, {"a": 1.0}))
        assert query(path, "SELECT test_id, state FROM runs") == [(run.test_id, "done")]

    def test_that_a_run_began_may_arrive_after_its_end(self, sink, path):
        run = RunInfo(name="mine")
        sink.write(Measurement(run, 6.0, {"a": 1.0}))
        sink.write(Measurement(replace(run, state="running"), 5.0, {}))
        assert query(path, "SELECT test_id, state FROM runs") == [(run.test_id, "done")]

    def test_a_file_of_an_earlier_version_gets_the_columns_that_it_lacks(self, sink, path):
        sink.write(Measurement(RunInfo(name="later"), 5.0, {}))
        query(path, "ALTER TABLE runs DROP COLUMN state")
        query(path, "ALTER TABLE runs DROP COLUMN processor")
        sink.write(Measurement(RunInfo(name="new", processor="fast"), 6.0, {}))
        assert set(query(path, "SELECT name, processor, state FROM runs")) == {
            ("later", "", "done"),
            ("new", "fast", "done"),
        }

    def test_a_file_that_is_no_database_is_refused(self, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("not a database at all, but long enough to be looked at " * 30)
        with pytest.raises(Rejected, match="no database of metrics"):
            open_sink(f"sqlite:{path}").write(Measurement(RunInfo(name="x"), 0.0, {"a": 1.0}))

    def test_two_jobs_at_once_lose_nothing(self, path):
        context = multiprocessing.get_context("spawn")
        jobs = [context.Process(target=write_many, args=(f"sqlite:{path}", 200)) for _ in range(2)]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join(60)
        assert [job.exitcode for job in jobs] == [0, 0]
        assert query(path, "SELECT count(*), count(DISTINCT test_id) FROM metrics") == [(400, 400)]


class TestJsonLines(SinkContract):
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "metrics.jsonl"

    @pytest.fixture
    def sink(self, path):
        return open_sink(f"jsonl:{path}")

    @pytest.fixture
    def stored(self, path):
        return lambda: [(line["run"]["test_id"], *pair) for line in lines(path) for pair in line["values"].items()]

    @pytest.fixture
    def timestamps(self, path):
        return lambda: {line["timestamp"] for line in lines(path)}

    @pytest.mark.parametrize("left", ["{", '{"run": {"na', '{"run": {"name": "x", "test_id": "' + "0" * 200_000])
    def test_what_somebody_who_was_killed_has_written_of_a_line_is_taken_away(self, sink, path, left):
        sink.write(measurement(1.0))
        with path.open("a") as file:
            file.write(left)
        sink.write(measurement(2.0))
        assert [line["values"] for line in lines(path)] == [{"a": 1.0}, {"a": 2.0}]

    def test_a_last_line_of_somebody_else_stays(self, sink, path):
        path.write_text("my notes\nto be kept")
        sink.write(measurement(1.0))
        first, second, third = path.read_text().splitlines()
        assert (first, second, json.loads(third)["values"]) == ("my notes", "to be kept", {"a": 1.0})

    def test_two_jobs_at_once_write_whole_lines(self, path):
        context = multiprocessing.get_context("spawn")
        jobs = [context.Process(target=write_many, args=(f"jsonl:{path}", 300)) for _ in range(2)]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join(60)
        assert [job.exitcode for job in jobs] == [0, 0]
        assert len({line["run"]["test_id"] for line in lines(path)}) == len(lines(path)) == 600

    def test_a_file_that_cannot_be_written_is_tried_again_later(self, tmp_path):
        with pytest.raises(Unavailable, match="Is a directory"):
            open_sink(f"jsonl:{tmp_path}").write(Measurement(RunInfo(name="x"), 0.0, {"a": 1.0}))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sqlight:metrics.db", "Did you mean 'sqlite'.* influxdb:http://HOST:8086"),
        ("metrics.db", "cannot be published to 'metrics.db'"),
        ("sqlite:", "cannot be published to 'sqlite'"),
        ("sqlite:/no/such/folder/metrics.db", "there is no folder /no/such/folder"),
        ("jsonl:/no/such/folder/metrics.jsonl", "there is no folder"),
    ],
)
def test_an_address_that_cannot_work_is_refused(address, message):
    with pytest.raises(ConfigurationError, match=message):
        open_sink(address)


def measurement(value):
    return Measurement(RunInfo(name="x", commit=None), 0.0, {"a": value})


def query(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_many(address, count):
    sink = open_sink(address)
    for number in range(count):
        sink.write(Measurement(RunInfo(name="many"), float(number), {"a": 1.0}))
