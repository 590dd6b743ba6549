"""Measurements for a collector of OpenTelemetry: a server that reads OTLP takes its place."""

import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sink_contract import SinkContract

from runinference import ConfigurationError, MissingDependencyError
from runinference.metrics import Metrics
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.sinks import Rejected, Unavailable, open_sink

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)


class Collector:
    """Keeps what is sent; `answers` says what to answer first: a status, or a status with a body."""

    def __init__(self):
        self.requests = []
        self.answers = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = collector.answers.pop(0) if collector.answers else (200, b"")
                collector.requests.append((self.path, self.headers, ExportMetricsServiceRequest.FromString(body)))
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:9/login")
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def metrics(self):
        """Each metric with the attributes of its resource."""
        for _, _, request in self.requests:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    yield from ((plain(resource.resource.attributes), metric) for metric in scope.metrics)

    def points(self):
        """Values of numbers by what tells one point from another, as a data base behind a collector keeps them."""
        return {
            (resource["test_id"], plain(point.attributes)["metric"], point.time_unix_nano): point.as_double
            for resource, metric in self.metrics()
            for point in metric.gauge.data_points
            if "text" not in plain(point.attributes)
        }


def plain(attributes):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@pytest.fixture
def collector():
    with Collector() as server:
        yield server


@pytest.fixture
def sink(collector):
    sink = open_sink(f"otel:{collector.url}")
    yield sink
    sink.close()


def measurement(**values):
    return Measurement(RunInfo(name="x"), 1.5, values or {"a": 1.0})


class TestOpenTelemetry(SinkContract):
    @pytest.fixture
    def stored(self, collector):
        return lambda: [(test_id, metric, value) for (test_id, metric, _), value in collector.points().items()]

    @pytest.fixture
    def timestamps(self, collector):
        return lambda: {nanoseconds / 1e9 for _, _, nanoseconds in collector.points()}


def test_the_run_is_the_resource(sink, collector):
    run = RunInfo(name="mine", host="here", versions={"runinference": "1.2", "torch": "2.13"}, options={"a": 1})
    sink.write(Measurement(run, 1.5, {"a": 1.0}))
    ((resource, _),) = collector.metrics()
    expected = {
        "service.name": "runinference",
        "service.version": "1.2",
        "service.instance.id": run.test_id,
        "host.name": "here",
        "test_id": run.test_id,
        "run.name": "mine",
        "run.started": run.started,
        "run.engine": "embedded",
        "run.device": "cpu",
        "run.cores": run.cores,
        "run.options": '{"a": 1}',
        "run.versions.runinference": "1.2",
        "run.versions.torch": "2.13",
    }
    assert {name: value for name, value in resource.items() if name != "run.commit"} == expected


def test_the_environment_names_the_service(collector, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod,host.name=elsewhere")
    sink = open_sink(f"otel:{collector.url}")
    sink.write(Measurement(RunInfo(name="x", host="here"), 1.5, {"a": 1.0}))
    sink.close()
    ((resource, _),) = collector.metrics()
    assert resource["service.name"] == "nightly"
    assert resource["deployment.environment"] == "prod"
    assert resource["host.name"] == "here"


def test_a_metric_has_its_unit_and_help_and_tells_models_apart_by_an_attribute(sink, collector):
    metrics = Metrics()
    metrics.part("bert").observe("inference_batch_latency_micro_secs", 12.0)
    sink.write(Measurement.of(RunInfo(name="x"), metrics.snapshot(), 1.5))
    found = {metric.name: metric for _, metric in collector.metrics()}
    mean = found["runinference.inference_batch_latency_micro_secs_MEAN"]
    assert (mean.unit, mean.description[:17]) == ("us", "Time that a batch")
    assert [(plain(point.attributes), point.as_double) for point in mean.gauge.data_points] == [
        ({"metric": "inference_batch_latency_micro_secs_MEAN"}, 12.0),
        ({"metric": "bert-inference_batch_latency_micro_secs_MEAN", "model": "bert"}, 12.0),
    ]
    assert found["runinference.inference_batch_latency_micro_secs_COUNT"].unit == "1"
    assert found["runinference.num_inferences"].unit == "{rows}"


def test_names_that_are_not_allowed_are_replaced_and_long_ones_cut(sink, collector):
    sink.write(measurement(**{"ü b": 1.0, "c" * 300: 2.0}))
    assert [metric.name for _, metric in collector.metrics()] == ["runinference.__b", "runinference." + "c" * 242]


def test_words_are_attributes(sink, collector):
    sink.write(Measurement(RunInfo(name="x"), 1.5, {}, {"batch_size_reason": "settled"}))
    ((_, metric),) = collector.metrics()
    assert metric.name == "runinference.batch_size_reason"
    (point,) = metric.gauge.data_points
    assert plain(point.attributes) == {"metric": "batch_size_reason", "text": "settled"}
    assert point.as_double == 1.0


@pytest.mark.parametrize("suffix", ["", "/", "/v1/metrics"])
def test_the_address_is_that_of_the_collector_or_of_its_metrics(collector, suffix):
    sink = open_sink(f"otel:{collector.url}{suffix}")
    sink.write(measurement())
    sink.close()
    assert [path for path, *_ in collector.requests] == ["/v1/metrics"]


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "runinference\[otel\]"'):
        open_sink("otel:http://localhost:4318")


def test_a_server_that_is_not_there_is_unavailable():
    with socket.socket() as taken:  # Bound, but not listening: nobody else can take the port.
        taken.bind(("127.0.0.1", 0))
        sink = open_sink(f"otel:http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable, match="Connection refused"):
            sink.write(measurement())
        sink.close()


@pytest.mark.parametrize("status", [302, 401, 403, 404, 429, 500, 503])
def test_what_may_pass_is_tried_once_and_left_to_the_publisher(sink, collector, caplog, status):
    collector.answers.append((status, b""))
    with pytest.raises(Unavailable, match=f"otel:{collector.url}: {status}"):
        sink.write(measurement())
    assert len(collector.requests) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    sink.write(measurement())
    assert len(collector.requests) == 2


@pytest.mark.parametrize("status", [400, 413])
def test_what_the_collector_will_never_take_is_rejected(sink, collector, status):
    collector.answers.append((status, b""))
    with pytest.raises(Rejected, match=str(status)):
        sink.write(measurement())


def test_values_that_the_collector_refused_are_told(sink, collector):
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = 3
    answer.partial_success.error_message = "too old"
    collector.answers.append((200, answer.SerializeToString()))
    with pytest.raises(Rejected, match="3 values refused: too old"):
        sink.write(measurement())


def test_headers_of_the_environment_are_sent_and_are_in_no_log(collector, monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret,x-tenant=me")
    caplog.set_level(logging.DEBUG)
    sink = open_sink(f"otel:{collector.url}")
    collector.answers.append((401, b""))
    with pytest.raises(Unavailable) as caught:
        sink.write(measurement())
    sink.close()
    ((_, headers, _),) = collector.requests
    assert (headers["authorization"], headers["x-tenant"]) == ("Bearer s3cret", "me")
    assert "s3cret" not in caplog.text + str(caught.value) + sink.name


@pytest.mark.parametrize(
    "header", ["Bearer s3cret", "authorization=s3cret%0Aabc", "authorization=s3cret;b", "a=s3cretß"]
)
def test_headers_that_cannot_be_sent_are_refused_and_in_no_log(monkeypatch, caplog, header):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-tenant=me, {header}")
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_HEADERS: header 2 is not NAME=VALUE") as caught:
        open_sink("otel:http://localhost:4318")
    assert "s3cret" not in caplog.text + str(caught.value)


@pytest.mark.parametrize("url", ["localhost:4318", "grpc://localhost:4317", "http://", "http://h:port", "http://[::"])
def test_an_address_that_is_no_url_is_refused(url):
    with pytest.raises(ConfigurationError, match="as in otel:http://HOST:4318"):
        open_sink(f"otel:{url}")


@pytest.mark.parametrize("url", ["http://me:s3cret@host:4318", "http://host:4318?key=s3cret"])
def test_credentials_in_an_address_are_refused_and_not_shown(url):
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_HEADERS") as caught:
        open_sink(f"otel:{url}")
    assert "s3cret" not in str(caught.value)
