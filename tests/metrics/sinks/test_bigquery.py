"""Measurements in BigQuery: its real client, and a server that speaks as much of its API."""

import json
import logging
import socket
import sys
from datetime import datetime

import pytest
from bigquery_server import BigQueryServer
from sink_contract import SinkContract

from runinference import ConfigurationError, MissingDependencyError
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.publisher import Publisher
from runinference.metrics.sinks import Rejected, Unavailable, bigquery, open_sink

pytest.importorskip("google.cloud.bigquery")

TABLE = ("project", "dataset", "table")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch, tmp_path):
    for variable in ("BIGQUERY_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def server():
    server = BigQueryServer([TABLE[:2]])
    yield server
    server.close()


@pytest.fixture
def address(server):
    return f"bigquery:project.dataset.table?endpoint={server.url}"


@pytest.fixture
def sink(address):
    sink = open_sink(address)
    yield sink
    sink.close()


def measurement(values, **run):
    return Measurement(RunInfo(**{"name": "run", "commit": None, **run}), 1_700_000_000.25, values)


class TestBigQuery(SinkContract):
    precision_s = 1e-6

    @pytest.fixture
    def stored(self, server):
        return lambda: [(row["test_id"], row["metric"], row["value"]) for row in server.rows.get(TABLE, [])]

    @pytest.fixture
    def timestamps(self, server):
        return lambda: {datetime.fromisoformat(row["timestamp"]).timestamp() for row in server.rows[TABLE]}

    def test_the_table_is_created_at_the_first_use(self, sink, server):
        assert server.requests == []
        sink.write(measurement({"a": 1.0}))
        sink.write(measurement({"a": 1.0}))
        assert [
            (field["name"], field["type"], field["mode"]) for field in server.tables[TABLE]["schema"]["fields"]
        ] == [
            ("test_id", "STRING", "REQUIRED"),
            ("timestamp", "TIMESTAMP", "REQUIRED"),
            ("metric", "STRING", "REQUIRED"),
            ("value", "FLOAT", "REQUIRED"),
            ("job_id", "STRING", "NULLABLE"),
        ]
        path = "/bigquery/v2/projects/project/datasets/dataset/tables"
        inserts = [("POST", f"{path}/table/insertAll")] * 2
        assert server.requests == [("GET", f"{path}/table"), ("POST", path), *inserts]

    def test_a_table_that_is_there_is_used(self, sink, address, server):
        sink.write(measurement({"a": 1.0}))
        open_sink(address).write(measurement({"a": 2.0}))
        assert [row["value"] for row in server.rows[TABLE]] == [1.0, 2.0]

    def test_a_row_holds_what_is_known_of_a_metric(self, sink, server):
        sink.write(measurement({"a": 1}, test_id="0" * 32, job_id="2026-11-21_job"))
        assert server.rows[TABLE] == [
            {
                "test_id": "0" * 32,
                "timestamp": "2023-11-14T22:13:20.250000+00:00",
                "metric": "a",
                "value": 1.0,
                "job_id": "2026-11-21_job",
            }
        ]

    def test_an_insert_has_at_most_500_rows(self, sink, server):
        sink.write(measurement({f"metric {number}": 1.0 for number in range(1001)}))
        assert server.batches == [500, 500, 1]

    def test_a_name_that_is_no_text_holds_nothing_up(self, sink, stored):
        sink.write(measurement({"model-\udcff": 1.0}))
        assert [value for *_, value in stored()] == [1.0]

    def test_a_long_name_is_no_problem(self, sink, stored):
        name = "long " * 100
        sink.write(measurement({name: 1.0}))
        assert [metric for _, metric, _ in stored()] == [name]

    def test_it_can_be_used_after_it_was_closed(self, sink, stored):
        sink.write(measurement({"a": 1.0}))
        sink.close()
        sink.write(measurement({"a": 2.0}))
        assert len(stored()) == 2


class TestRefusals:
    def test_it_is_said_which_rows_were_refused_and_why(self, sink, server):
        sink.write(measurement({"a": 1.0}))
        server.rows[TABLE].clear()
        with pytest.raises(Rejected) as error:
            sink.write(measurement({"a": 1.0, "b": 2.0, "c": 3.0}, job_id=7))
        problem = "Cannot convert value to STRING (job_id)"
        assert str(error.value) == (f"{sink.name} refused 3 of 3 rows: 'a': {problem}; 'b': {problem}; 'c': {problem}")
        assert server.rows[TABLE] == []

    def test_the_other_rows_are_stored(self, sink, server, monkeypatch):
        values = {f"metric {number:04}": float(number) for number in range(1000)}
        bad = {"metric 0003", "metric 0600", "metric 0700", "metric 0800"}
        check = server._errors
        monkeypatch.setattr(
            server, "_errors", lambda table, row: check(table, {**row, "value": None} if row["metric"] in bad else row)
        )
        problem = r"Missing required field: value\. \(value\)"
        with pytest.raises(Rejected, match=f"4 of 1000 rows: 'metric 0003': {problem}; 'metric 0600': .*; …$"):
            sink.write(measurement(values))
        assert {row["metric"] for row in server.rows[TABLE]} == values.keys() - bad

    def test_rows_of_a_table_with_other_columns_are_refused(self, sink, server):
        server.tables[TABLE] = {
            "tableReference": dict(zip(("projectId", "datasetId", "tableId"), TABLE, strict=True)),
            "schema": {"fields": [{"name": "metric", "type": "STRING", "mode": "REQUIRED"}]},
        }
        with pytest.raises(Rejected, match=r"'a': no such field: job_id\. \(job_id\), no such field: test_id"):
            sink.write(measurement({"a": 1.0}))

    def test_rows_that_are_refused_for_now_are_tried_again(self, sink, server):
        server.row_error = "backendError"
        with pytest.raises(Unavailable, match=r"refused 1 of 1 rows: 'a': try again"):
            sink.write(measurement({"a": 1.0}))

    def test_what_bigquery_does_not_understand_is_refused(self, sink, server):
        server.failures = [400]
        with pytest.raises(Rejected, match=r"refused the rows: 400 .* not now"):
            sink.write(measurement({"a": 1.0}))


class TestAvailability:
    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    @pytest.mark.parametrize("answered", [0, 1, 2])
    def test_a_failure_may_pass_at_every_step(self, sink, server, status, answered):
        server.failures = [404 if step == 0 else None for step in range(answered)] + [status]
        with pytest.raises(Unavailable, match=f"cannot be reached: {status} .* not now"):
            sink.write(measurement({"a": 1.0}))
        sink.write(measurement({"a": 1.0}))
        assert len(server.rows[TABLE]) == 1

    def test_a_publisher_brings_it_there_when_it_works_again(self, address, server, tmp_path, caplog):
        server.failures = [503, 503]
        publisher = Publisher([address], tmp_path)
        for value in range(5):
            publisher.publish(measurement({"a": float(value)}))
        (delivery,) = publisher.close(60)
        assert (delivery.written, delivery.kept, delivery.lost) == (5, 0, 0)
        assert [row["value"] for row in server.rows[TABLE]] == [0.0, 1.0, 2.0, 3.0, 4.0]
        (problem,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert "503" in problem

    def test_a_data_set_that_is_missing_can_be_created_later(self, sink, server):
        server.datasets.clear()
        with pytest.raises(Unavailable, match=r"there is no data set dataset in .* bq mk --dataset project:dataset"):
            sink.write(measurement({"a": 1.0}))
        server.datasets.add(TABLE[:2])
        sink.write(measurement({"a": 1.0}))
        assert len(server.rows[TABLE]) == 1

    def test_a_table_that_was_removed_is_made_again(self, sink, server):
        sink.write(measurement({"a": 1.0}))
        server.tables.clear()
        with pytest.raises(Unavailable, match=r"is not there: .*Not found: Table"):
            sink.write(measurement({"a": 2.0}))
        sink.write(measurement({"a": 2.0}))
        assert [row["value"] for row in server.rows[TABLE]] == [2.0]

    def test_a_server_that_is_absent_is_tried_again_later(self, sink, server):
        server.close()
        with pytest.raises(Unavailable, match=r"cannot be reached: .*refused"):
            sink.write(measurement({"a": 1.0}))

    def test_a_server_that_never_answers_is_given_up(self, monkeypatch):
        monkeypatch.setattr(bigquery, "_TIMEOUT_S", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            sink = open_sink(f"bigquery:project.dataset.table?endpoint=http://127.0.0.1:{silent.getsockname()[1]}")
            with pytest.raises(Unavailable, match=r"cannot be reached: .*timed out"):
                sink.write(measurement({"a": 1.0}))
            sink.close()


class TestCredentials:
    def test_without_any_it_says_how_to_give_them(self):
        with pytest.raises(Unavailable, match="Set GOOGLE_APPLICATION_CREDENTIALS to the key file"):
            open_sink("bigquery:project.dataset.table").write(measurement({"a": 1.0}))

    @pytest.mark.parametrize("content", [None, "{}", "no JSON", json.dumps({"type": "service_account"})])
    def test_a_key_file_that_is_none_is_reported(self, content, tmp_path, monkeypatch):
        path = tmp_path / "key.json"
        if content is not None:
            path.write_text(content)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        with pytest.raises(Unavailable, match=r"key\.json.*Set GOOGLE_APPLICATION_CREDENTIALS"):
            open_sink("bigquery:project.dataset.table").write(measurement({"a": 1.0}))

    @pytest.mark.parametrize("status", [401, 403])
    def test_those_that_are_not_enough_may_be_put_right_later(self, sink, server, status):
        server.failures = [status]
        with pytest.raises(Unavailable, match=r"needs credentials that work: .*GOOGLE_APPLICATION_CREDENTIALS"):
            sink.write(measurement({"a": 1.0}))

    def test_an_emulator_in_the_environment_needs_none(self, server, monkeypatch):
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        sink = open_sink("bigquery:project.dataset.table")
        sink.write(measurement({"a": 1.0}))
        assert len(server.rows[TABLE]) == 1
        assert sink.name == f"bigquery:project.dataset.table?endpoint={server.url}"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("dataset.table", "'dataset.table' is no PROJECT.DATASET.TABLE"),
        ("project.dataset.table.more", "is no PROJECT"),
        ("project..table", "is no PROJECT"),
        ("project.data-set.table", "is no PROJECT"),
        ("project.dataset.table?location=EU", "not of the form PROJECT"),
        ("project.dataset.table?", "not of the form PROJECT"),
        ("project.dataset.table?endpoint=", "not of the form PROJECT"),
        ("project.dataset.table?endpoint=localhost:9050", "an endpoint has the form http://HOST:PORT"),
        ("project.dataset.table?endpoint=http://user:s3cret@host", "an endpoint has the form http://HOST:PORT$"),
    ],
)
def test_an_address_that_cannot_work_is_refused(address, message):
    with pytest.raises(ConfigurationError, match=message):
        open_sink(f"bigquery:{address}")


@pytest.mark.parametrize("project", ["project-1", "example.com:project-1"])
def test_nothing_is_connected_to_before_it_is_needed(project):
    assert open_sink(f"bigquery:{project}.data_set.table").name == f"bigquery:{project}.data_set.table"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)
    with pytest.raises(MissingDependencyError, match=r'write metrics to BigQuery.* "runinference\[bigquery\]"'):
        open_sink("bigquery:project.dataset.table")
