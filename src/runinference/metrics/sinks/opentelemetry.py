"""Measurements for an OpenTelemetry collector, by OTLP over HTTP."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from runinference.errors import ConfigurationError
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.sinks.sink import Rejected, Unavailable
from runinference.metrics.table import METRICS, MetricSpec
from runinference.packages import require

_PATH = "/v1/metrics"
_PURPOSE = "publish metrics to an OpenTelemetry collector"
_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS")
_HEADER = re.compile(r"[\w.-]+[ \t]*=[ !#-+\--:<-\[\]-~]*", re.ASCII)
_STATISTICS = ("COUNT", "SUM", "MIN", "MAX", "MEAN", "P50", "P95", "P99")
_UNITS = {"s": "s", "ms": "ms", "µs": "us", "bytes": "By", "ratio": "1", "%": "%", "rows/s": "{row}/s", "text": ""}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\-/]")
_LONGEST_NAME = 255
# The collector does not take such a measurement, now or later; for all else, such as a wrong password, there is hope.
_REFUSALS = {400, 413, 415, 422}


class _Declared(NamedTuple):
    spec: MetricSpec
    unit: str


def _declared() -> Iterator[tuple[str, _Declared]]:
    """Each name that a snapshot has for its metrics."""
    for name, spec in METRICS.items():
        unit = _UNITS.get(spec.unit, f"{{{spec.unit}}}")
        if spec.kind == "distribution":
            for each in _STATISTICS:
                yield f"{name}_{each}", _Declared(spec, "1" if each == "COUNT" else unit)
        else:
            yield name, _Declared(spec, unit)


_DECLARED = dict(_declared())


class OpenTelemetrySink:
    """Sends each measurement to a collector as gauges.

    A metric is called `runinference.<metric>`. What such a name may not hold is replaced by `_`; the attribute `metric`
    has the name as it was. The metrics of one of several models share a name, and the attribute `model` tells them
    apart. The run is described by the resource. Headers, certificates and time-outs come from the environment variables
    that the exporters of OpenTelemetry read.

    Args:
        url: The base URL of the collector.
    """

    def __init__(self, url: str) -> None:
        requests = require("requests", "otel", _PURPOSE)
        exporter = require("opentelemetry.exporter.otlp.proto.http.metric_exporter", "otel", _PURPOSE)
        self.name = f"otel:{url}"
        self._sdk = require("opentelemetry.sdk.metrics.export", "otel", _PURPOSE)
        self._response = require("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2", "otel", _PURPOSE)
        self._accepted = requests.Response()
        self._accepted.status_code = 200
        self._session = requests.Session()
        self._send = self._session.request
        self._session.request = self._request
        endpoint = url if url.endswith(_PATH) else f"{url.rstrip('/')}{_PATH}"
        self._exporter = exporter.OTLPMetricExporter(endpoint, session=self._session)
        self._failure: Exception | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_address(cls, url: str) -> Self:
        """The sink for a collector.

        Raises:
            ConfigurationError: This is no URL of a collector.
            MissingDependencyError: A package is not installed.
        """
        _check_headers()
        if any(sign in url for sign in "@?#"):  # Not shown: it may hold a password.
            raise ConfigurationError(
                "otel: credentials do not belong in the address; put them into OTEL_EXPORTER_OTLP_HEADERS"
            )
        try:
            parts = urlsplit(url)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fine = False
        if not fine:
            raise ConfigurationError(f"otel: {url!r} is no URL of a collector, as in otel:http://HOST:4318")
        return cls(url)

    def write(self, measurement: Measurement) -> None:
        """Sends a measurement.

        Raises:
            Unavailable: The collector cannot be reached, or does not let this in now.
            Rejected: It does not take this measurement.
        """
        if not (measurement.values or measurement.texts):
            return
        data = self._encode(measurement)
        with self._lock:
            self._failure = None
            result = self._exporter.export(data)
            if self._failure is not None:
                raise self._failure
        if result is not self._sdk.MetricExportResult.SUCCESS:
            raise Rejected(f"{self.name}: this measurement cannot be sent")

    def close(self) -> None:
        """Lets go of connections."""
        self._session.close()

    def _request(self, *args: Any, **kwargs: Any) -> Any:
        """Takes the place of the session's: the exporter would repeat what failed, and log it; the publisher does."""
        try:
            response = self._send(*args, **{**kwargs, "allow_redirects": False})
        except Exception as error:
            self._failure = Unavailable(f"{self.name}: {_reason(error)}")
        else:
            self._failure = self._fault(response)
        return self._accepted

    def _fault(self, response: Any) -> Exception | None:
        status = f"{self.name}: {response.status_code} {response.reason}"
        if not 200 <= response.status_code < 300:
            return Rejected(status) if response.status_code in _REFUSALS else Unavailable(status)
        if response.headers.get("content-type") != "application/x-protobuf":
            return None
        partial = self._response.ExportMetricsServiceResponse.FromString(response.content).partial_success
        if partial.rejected_data_points:
            return Rejected(f"{self.name}: {partial.rejected_data_points} values refused: {partial.error_message}")
        return None

    def _encode(self, measurement: Measurement) -> Any:
        resources = require("opentelemetry.sdk.resources", "otel", _PURPOSE)
        scope = require("opentelemetry.sdk.util.instrumentation", "otel", _PURPOSE).InstrumentationScope("runinference")
        # What the environment says of the service counts more than our name for it, and less than what the run says.
        resource = resources.Resource({"service.name": "runinference"})
        resource = resource.merge(resources.OTELResourceDetector().detect())
        resource = resource.merge(resources.Resource(_describe(measurement.run)))
        metrics = list(self._metrics(measurement))
        return self._sdk.MetricsData(
            [self._sdk.ResourceMetrics(resource, [self._sdk.ScopeMetrics(scope, metrics, "")], "")]
        )

    def _metrics(self, measurement: Measurement) -> Iterator[Any]:
        """A gauge for each name, with a point for each model."""
        nanoseconds = round(measurement.timestamp * 1e9)
        points: dict[str, list[Any]] = {}
        declared: dict[str, _Declared] = {}
        values: list[tuple[str, float, dict[str, str]]] = [
            (name, float(value), {}) for name, value in measurement.values.items()
        ]
        texts = [(name, 1.0, {"text": text}) for name, text in measurement.texts.items()]
        for flat_name, value, text in [*values, *texts]:
            model, metric = _split(flat_name)
            name = f"runinference.{_NOT_IN_NAMES.sub('_', metric)}"[:_LONGEST_NAME]
            attributes = {"metric": flat_name, **({"model": model} if model is not None else {}), **text}
            points.setdefault(name, []).append(self._sdk.NumberDataPoint(attributes, nanoseconds, nanoseconds, value))
            if metric in _DECLARED:
                declared[name] = _DECLARED[metric]
        for name, data_points in points.items():
            known = declared.get(name)
            yield self._sdk.Metric(
                name=name,
                description=known.spec.help if known else "",
                unit=known.unit if known else "",
                data=self._sdk.Gauge(data_points),
            )


def _split(flat_name: str) -> tuple[str | None, str]:
    """The model, if it is the metric of one of several, and the metric."""
    model, dash, metric = flat_name.rpartition("-")
    return (model, metric) if dash and metric in _DECLARED else (None, flat_name)


def _check_headers() -> None:
    """Refuses headers that the exporter would leave out, for it would write them to the log."""
    for variable in _HEADERS:
        for number, header in enumerate(filter(None, map(str.strip, os.environ.get(variable, "").split(","))), 1):
            sent = unquote(header)
            if not (_HEADER.fullmatch(header) and sent.isascii() and sent.isprintable()):
                raise ConfigurationError(
                    f"{variable}: header {number} is not NAME=VALUE, with other characters than letters and digits "
                    "written as in a URL, such as %20 for a space"
                )


def _describe(run: RunInfo) -> Mapping[str, Any]:
    """The run as attributes, under the names of OpenTelemetry's conventions where there are some."""
    known = {
        "service.version": run.versions.get("runinference"),
        "service.instance.id": run.test_id,
        "host.name": run.host,
        "test_id": run.test_id,
        "run.name": run.name,
        "run.started": run.started,
        "run.engine": run.engine,
        "run.device": run.device,
        "run.cores": run.cores,
        "run.commit": run.commit,
        "run.job_id": run.job_id,
        "run.options": json.dumps(run.options),
        **{f"run.versions.{package}": version for package, version in run.versions.items()},
    }
    return {name: value for name, value in known.items() if value is not None}


def _reason(error: Exception) -> str:
    """What went wrong, without the URL that requests repeat."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
