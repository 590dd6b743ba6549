"""A real InfluxDB answers every query of the dashboard with what the sink has written."""

import json
import re
from pathlib import Path

import pytest
from influxdb_server import PROGRAM, InfluxDBServer

from runinference.metrics import METRICS, Metrics
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.sinks import open_sink

pytest.importorskip("influxdb_client")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="influxd is not installed (Debian's package influxdb)")

DASHBOARD = Path(__file__).resolve().parents[3] / "dashboards" / "grafana-influxdb.json"
CHOSEN = {"host": "(here|there)", "run": ".*", "timeFilter": "time > 0", "__interval": "1m"}


@pytest.fixture
def server(tmp_path, monkeypatch):
    for variable in ("INFLUXDB_USER", "INFLUXDB_USER_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    server = InfluxDBServer(tmp_path)
    yield server
    server.stop()


def test_every_query_of_the_dashboard_is_answered(server):
    server.query("CREATE DATABASE metrics")
    metrics = Metrics()
    metrics.record({"padded_tokens": 4}, {name: 1 for name, spec in METRICS.items() if spec.kind == "distribution"})
    metrics.set("throughput_rows_per_sec", 100.0)
    sink = open_sink(f"influxdb:{server.url}?db=metrics")
    sink.write(Measurement.of(RunInfo(name="nightly", host="here"), metrics.snapshot(), 1_700_000_000.0))
    sink.close()
    unanswered = [query for query in queries() if not server.query(query, db="metrics")]
    assert unanswered == []


def queries():
    board = json.loads(DASHBOARD.read_text("utf-8"))
    asked = [target["query"] for panel in board["panels"] for target in panel["targets"]]
    asked += [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    for query in asked:
        yield re.sub(r"\$(\w+)", lambda variable: CHOSEN[variable[1]], query)
