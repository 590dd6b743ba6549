"""Measurements in InfluxDB: a real 1.x, and the requests that a 2.x gets."""

import logging
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from influxdb_server import PROGRAM, InfluxDBServer, free_port
from sink_contract import SinkContract

from runinference import ConfigurationError, MissingDependencyError
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.publisher import Publisher
from runinference.metrics.sinks import Rejected, Unavailable, influxdb, open_sink

pytest.importorskip("influxdb_client")

needs_server = pytest.mark.skipif(PROGRAM is None, reason="influxd is not installed (Debian's package influxdb)")
PASSWORD = "s3cret: wörd@/"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    for variable in ("INFLUXDB_USER", "INFLUXDB_USER_PASSWORD", "INFLUXDB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = InfluxDBServer(tmp_path_factory.mktemp("influxdb"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory):
    server = InfluxDBServer(tmp_path_factory.mktemp("influxdb"), admin="of the tests")
    server.query(f"CREATE USER \"wr,iter\" WITH PASSWORD '{PASSWORD}'")
    yield server
    server.stop()


@pytest.fixture
def db(server):
    return server.create_database()


@pytest.fixture
def address(server, db):
    return f"influxdb:{server.url}?db={quote(db)}"


def measurement(values, **run):
    return Measurement(RunInfo(**{"name": "run", "commit": None, **run}), 1_700_000_000.25, values)


@needs_server
class TestInfluxDB1(SinkContract):
    precision_s = 1e-6

    @pytest.fixture
    def sink(self, address):
        sink = open_sink(address)
        yield sink
        sink.close()

    @pytest.fixture
    def stored(self, server, db):
        return lambda: [
            (row["test_id"], row["metric"], row["value"]) for row in server.query("SELECT * FROM runinference", db)
        ]

    @pytest.fixture
    def timestamps(self, server, db):
        return lambda: {row["time"] / 1e9 for row in server.query("SELECT * FROM runinference", db)}

    def test_the_run_is_in_the_tags(self, sink, server, db):
        sink.write(measurement({"a": 1.5}, engine="beam", host="a host", device="cuda:0", job_id="2026-11-21_job"))
        (row,) = server.query("SELECT * FROM runinference", db)
        assert row.items() >= {
            ("time", 1_700_000_000_250_000_000),
            ("metric", "a"),
            ("value", 1.5),
            ("name", "run"),
            ("engine", "beam"),
            ("host", "a host"),
            ("device", "cuda:0"),
            ("job_id", "2026-11-21_job"),
        }
        fields = server.query("SHOW FIELD KEYS FROM runinference", db)
        assert fields == [{"fieldKey": "value", "fieldType": "float"}]

    def test_whole_numbers_are_floats_too(self, sink, stored):
        sink.write(measurement({"a": 1}))
        sink.write(measurement({"a": 1.5}))
        assert sorted(value for *_, value in stored()) == [1.0, 1.5]

    def test_more_points_than_fit_into_a_request_are_stored(self, sink, server, db):
        values = {f"metric {number}": float(number) for number in range(12_001)}
        sink.write(measurement(values))
        assert server.query("SELECT count(value), sum(value) FROM runinference", db) == [
            {"time": 0, "count": 12_001, "sum": sum(values.values())}
        ]

    def test_a_name_that_is_no_text_holds_nothing_up(self, sink, stored):
        sink.write(measurement({"model-\udcff": 1.0}))
        assert [value for *_, value in stored()] == [1.0]

    def test_the_table_may_have_another_name(self, address, server, db):
        open_sink(f"{address}&measurement=my%20runs%2C%20nightly").write(measurement({"a": 1.0}))
        assert [row["value"] for row in server.query('SELECT * FROM "my runs, nightly"', db)] == [1.0]

    def test_a_field_of_another_type_is_refused(self, sink, server, db):
        server.write('runinference value="text" 1700000000000000000', db)
        with pytest.raises(Rejected, match=r"HTTP 400: .*field type conflict"):
            sink.write(measurement({"a": 1.0}))

    def test_a_database_that_is_missing_can_be_created_later(self, server):
        name = "not there yet"
        sink = open_sink(f"influxdb:{server.url}?db={quote(name)}")
        with pytest.raises(Unavailable, match="Create it: influx -execute 'CREATE DATABASE \"not there yet\"'"):
            sink.write(measurement({"a": 1.0}))
        server.query(f'CREATE DATABASE "{name}"')
        sink.write(measurement({"a": 1.0}))
        assert len(server.query("SELECT * FROM runinference", name)) == 1

    def test_nothing_is_lost_while_the_server_is_stopped(self, server, address, stored, tmp_path, caplog):
        publisher = Publisher([address], tmp_path)
        publisher.publish(measurement({"a": 0.0}))
        wait_until(lambda: not list(tmp_path.rglob("*.json")))
        server.stop()
        try:
            for value in range(1, 5):
                publisher.publish(measurement({"a": float(value)}))
            wait_until(lambda: problems(caplog))
        finally:
            server.start()
        (delivery,) = publisher.close(60)
        assert (delivery.written, delivery.kept, delivery.lost) == (5, 0, 0)
        assert sorted(value for *_, value in stored()) == [0.0, 1.0, 2.0, 3.0, 4.0]
        (problem,) = problems(caplog)
        assert "cannot be reached" in problem

    def test_a_database_may_have_an_odd_name(self, server):
        name = 'a&b=c "d" %20'
        escaped = name.replace('"', '\\"')
        server.query(f'CREATE DATABASE "{escaped}"')
        open_sink(f"influxdb:{server.url}?db={quote(name)}").write(measurement({"a": 1.0}))
        assert len(server.query("SELECT * FROM runinference", name)) == 1


@needs_server
class TestAuthentication:
    @pytest.fixture
    def server(self, guarded_server):
        return guarded_server

    @pytest.fixture
    def db(self, server):
        name = server.create_database()
        server.query(f'GRANT ALL ON "{name}" TO "wr,iter"')
        return name

    @pytest.fixture
    def credentials(self, monkeypatch):
        def give(password, user="wr,iter"):
            monkeypatch.setenv("INFLUXDB_USER", user)
            monkeypatch.setenv("INFLUXDB_USER_PASSWORD", password)

        return give

    def test_the_right_password_from_the_environment_works(self, address, credentials, server, db, caplog):
        credentials(PASSWORD)
        with caplog.at_level(logging.DEBUG):
            sink = open_sink(address)
            sink.write(measurement({"a": 1.0}))
        assert len(server.query("SELECT * FROM runinference", db)) == 1
        assert_secret(PASSWORD, sink.name, caplog.text)

    def test_a_wrong_password_may_be_put_right_later(self, address, credentials, caplog, tmp_path):
        credentials("not " + PASSWORD)
        with caplog.at_level(logging.DEBUG):
            publisher = Publisher([address], tmp_path)
            publisher.publish(measurement({"a": 1.0}))
            (delivery,) = publisher.close(0.2)
        assert (delivery.written, delivery.kept, delivery.lost) == (0, 1, 0)
        assert "401" in delivery.problem
        assert "Set INFLUXDB_USER and INFLUXDB_USER_PASSWORD" in delivery.problem
        assert_secret(PASSWORD, delivery.destination, delivery.problem, caplog.text)

        credentials(PASSWORD)
        (delivery,) = Publisher([address], tmp_path).close(60)
        assert (delivery.written, delivery.kept, delivery.lost) == (1, 0, 0)

    def test_without_credentials_it_says_which_are_missing(self, address):
        with pytest.raises(Unavailable, match="Set INFLUXDB_USER and INFLUXDB_USER_PASSWORD"):
            open_sink(address).write(measurement({"a": 1.0}))

    def test_a_user_who_may_not_write_there_is_told(self, server, credentials):
        credentials(PASSWORD)
        other = server.create_database()
        with pytest.raises(Unavailable, match=r"HTTP 403: .*not authorized to write"):
            open_sink(f"influxdb:{server.url}?db={quote(other)}").write(measurement({"a": 1.0}))


class TestInfluxDB2:
    """Of 2.x there is only what its documentation says of the request."""

    @pytest.fixture
    def web(self):
        web = Web()
        yield web
        web.close()

    @pytest.fixture
    def address(self, web):
        return f"influxdb:{web.url}?org=my%20org&bucket=my%2Fbucket"

    def test_it_posts_to_the_write_api_of_2x(self, web, address, monkeypatch, caplog):
        monkeypatch.setenv("INFLUXDB_TOKEN", "t0ken==\n")
        run = RunInfo(name="run", host="host", job_id="job")
        with caplog.at_level(logging.DEBUG):
            sink = open_sink(address)
            sink.write(Measurement(run, 1_700_000_000.25, {"a": 1, "b c": 0.5}))
        ((method, url, headers, body),) = web.requests
        assert (method, urlsplit(url).path) == ("POST", "/api/v2/write")
        assert parse_qs(urlsplit(url).query) == {"org": ["my org"], "bucket": ["my/bucket"], "precision": ["ns"]}
        assert headers["Authorization"] == "Token t0ken=="
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        before = "runinference,device=cpu,engine=embedded,host=host,job_id=job,metric="
        after = f",name=run,test_id={run.test_id} value="
        assert body.decode().splitlines() == [
            f"{before}a{after}1 1700000000250000000",
            f"{before}b\\ c{after}0.5 1700000000250000000",
        ]
        assert_secret("t0ken", sink.name, caplog.text)

    @pytest.mark.parametrize(
        ("status", "error", "message"),
        [
            (400, Rejected, "refused points: HTTP 400: the reason"),
            (401, Unavailable, "refused the credentials .* Set INFLUXDB_TOKEN"),
            (404, Unavailable, "Create it: influx bucket create --org 'my org' --name 'my/bucket'"),
            (413, Rejected, "refused points: HTTP 413"),
            (422, Rejected, "refused points: HTTP 422"),
            (429, Unavailable, "does not work now: HTTP 429: the reason"),
            (500, Unavailable, "does not work now: HTTP 500: the reason"),
            (503, Unavailable, "does not work now: HTTP 503: the reason"),
            (307, Unavailable, "does not work now: HTTP 307"),
        ],
    )
    def test_what_may_pass_is_told_from_what_will_not(self, web, address, status, error, message):
        web.status = status
        with pytest.raises(error, match=message):
            open_sink(address).write(measurement({"a": 1.0}))
        assert len(web.requests) == 1

    def test_a_proxy_may_put_it_under_a_path(self, web):
        open_sink(f"influxdb:{web.url}/influx/?org=o&bucket=b").write(measurement({"a": 1.0}))
        ((_, url, headers, _),) = web.requests
        assert urlsplit(url).path == "/influx/api/v2/write"
        assert "Authorization" not in headers

    def test_a_token_that_cannot_be_sent_is_not_shown(self, address, monkeypatch):
        monkeypatch.setenv("INFLUXDB_TOKEN", "t0k\nen")
        with pytest.raises(ConfigurationError, match="INFLUXDB_TOKEN holds characters") as error:
            open_sink(address)
        assert "t0k" not in str(error.value)


@pytest.mark.parametrize("place", ["db=x", "org=o&bucket=b"])
def test_a_server_that_is_absent_is_tried_again_later(place):
    with pytest.raises(Unavailable, match=r"cannot be reached: .*refused"):
        open_sink(f"influxdb:http://127.0.0.1:{free_port()}?{place}").write(measurement({"a": 1.0}))


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(influxdb, "_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = open_sink(f"influxdb:http://127.0.0.1:{silent.getsockname()[1]}?db=x")
        with pytest.raises(Unavailable, match=r"cannot be reached: .*timed out"):
            sink.write(measurement({"a": 1.0}))
        sink.close()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("localhost:8086?db=x", "not of the form http://HOST:8086"),
        ("http://:8086?db=x", "not of the form"),
        ("http://host:port?db=x", "not of the form"),
        ("http://host:8086", "either a db, or an org and a bucket are needed"),
        ("http://host:8086?db=", "either a db, or an org and a bucket"),
        ("http://host:8086?org=o", "either a db, or an org and a bucket"),
        ("http://host:8086?db=x&org=o&bucket=b", "either a db, or an org and a bucket"),
        ("http://host:8086?database=x", "has no database, but http"),
        ("http://host:8086?db=x&measurement=%23a", "'#a' cannot be the name of a measurement"),
    ],
)
def test_an_address_that_cannot_work_is_refused(address, message):
    with pytest.raises(ConfigurationError, match=message):
        open_sink(f"influxdb:{address}")


@pytest.mark.parametrize(
    "address",
    [
        "http://user:s3cret@host:8086?db=x",
        "http://user:s3/cret@host:8086?db=x",
        "http://user:s3?cret@host:8086?db=x",
        "http://s3cret@host:8086?org=o&bucket=b",
        "http://host:8086?db=x&u=user&p=s3cret",
        "http://host:8086?org=o&bucket=b&token=s3cret",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_shown(address):
    with pytest.raises(ConfigurationError, match=r"INFLUXDB_USER|environment") as error:
        open_sink(f"influxdb:{address}")
    assert "s3" not in str(error.value)
    assert "cret" not in str(error.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "influxdb_client", None)
    with pytest.raises(MissingDependencyError, match=r'influxdb_client is needed .* "runinference\[influxdb\]"'):
        open_sink("influxdb:http://host?db=x")


class Web:
    """Keeps the requests that it gets, and answers with `status`."""

    def __init__(self):
        self.requests = []
        self.status = 204
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.requests.append((self.command, self.path, self.headers, body))
                text = b"" if web.status == 204 else b"the reason"
                self.send_response(web.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def problems(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def assert_secret(secret, *texts):
    assert not [text for text in texts if secret in text or quote(secret) in text]


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)
