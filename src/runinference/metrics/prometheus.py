"""Metrics for Prometheus, which fetches them while a job runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from socketserver import ThreadingMixIn
from typing import Any, NamedTuple, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from runinference.errors import ConfigurationError
from runinference.metrics.recorder import Metrics
from runinference.metrics.snapshot import MetricsSnapshot
from runinference.metrics.table import METRICS, MetricSpec
from runinference.packages import require

_LABELS = ("handler", "model")
_QUANTILES = (0.5, 0.95, 0.99)
_BASE_UNITS = {
    "s": ("seconds", 1.0),
    "ms": ("seconds", 1e-3),
    "µs": ("seconds", 1e-6),
    "bytes": ("bytes", 1.0),
    "ratio": ("ratio", 1.0),
    "%": ("ratio", 0.01),
}
_UNIT_IN_NAME = re.compile(r"_(micro_secs|milli_secs|secs|bytes|ratio|percent)$|_byte(?=_size$)")
_POLL_S = 0.05  # How long closing takes at most.
_RENAMED = {"msec_per_batch": "batch_duration"}


class ExportedName(NamedTuple):
    """What Prometheus calls a metric.

    Attributes:
        name: Its name, without the `_total` of counters and the `_info` of texts.
        unit: The base unit, with which the name ends; empty where things are counted.
        factor: What values are multiplied by to be in that unit.
    """

    name: str
    unit: str
    factor: float


def exported_name(spec: MetricSpec) -> ExportedName:
    """The name and unit of a metric as Prometheus asks for them: in base units, with the unit at the end.

    Example:
        >>> exported_name(METRICS["load_model_latency_milli_secs"])
        ExportedName(name='runinference_load_model_latency_seconds', unit='seconds', factor=0.001)
    """
    unit, factor = _BASE_UNITS.get(spec.unit, ("", 1.0))
    name = _RENAMED.get(spec.name, _UNIT_IN_NAME.sub("", spec.name)) if unit else spec.name
    return ExportedName("_".join(filter(None, ["runinference", name, unit])), unit, factor)


class MetricsServer:
    """Answers `GET /metrics` from a thread of its own; a context manager.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, server: WSGIServer) -> None:
        self.port = server.server_port
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=[_POLL_S], name="runinference-prometheus", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stops answering; may be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve_metrics(metrics: Metrics, port: int, address: str = "127.0.0.1") -> MetricsServer:
    """Lets Prometheus fetch metrics at `http://ADDRESS:PORT/metrics` until the server is closed.

    Args:
        metrics: What is recorded to while the server runs.
        port: Where to listen; 0 takes a free port.
        address: Who may fetch them: this machine only by default; `0.0.0.0` lets all others too.

    Raises:
        ConfigurationError: The port is in use, or cannot be listened at.
        MissingDependencyError: prometheus-client is not installed.

    Example:
        >>> metrics = Metrics()
        >>> with serve_metrics(metrics, port=0) as server:
        ...     metrics.count("num_inferences", 2)  # Meanwhile served at server.port.
    """
    client = require("prometheus_client", "prometheus", "serve metrics to Prometheus")
    families = require("prometheus_client.core", "prometheus", "serve metrics to Prometheus")
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"A port is a number from 0 to 65535, not {port}")
    registry = client.CollectorRegistry()
    registry.register(_Collector(metrics, families))
    try:
        return MetricsServer(make_server(address, port, client.make_wsgi_app(registry), _Server, _Quiet))
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(f"Metrics cannot be served at port {port} of {address}: {reason}") from error


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _Collector:
    """Makes what Prometheus fetches of a snapshot, each time that it does."""

    def __init__(self, metrics: Metrics, families: Any) -> None:
        self._metrics = metrics
        self._families = families

    def describe(self) -> list[Any]:
        return []  # So that nothing is collected at registration.

    def collect(self) -> Iterator[Any]:
        whole = self._metrics.snapshot()
        labelled = [((whole.namespace, model), part) for model, part in [("", whole), *whole.parts.items()]]
        recorded = [(labels, snapshot, _own_values(snapshot)) for labels, snapshot in labelled]
        for spec in METRICS.values():
            name, _, factor = exported_name(spec)
            family = self._family(spec, name)
            for labels, snapshot, values in recorded:
                if spec.kind == "distribution":
                    _add_summary(family, labels, snapshot, spec.name, factor)
                elif spec.name not in values:
                    continue
                elif spec.unit == "text":
                    family.add_metric(labels, {"text": str(values[spec.name])})
                else:
                    family.add_metric(labels, values[spec.name] * factor)
            if family.samples:
                yield family

    def _family(self, spec: MetricSpec, name: str) -> Any:
        families = self._families
        kinds = {
            "counter": families.CounterMetricFamily,
            "distribution": families.SummaryMetricFamily,
            "gauge": families.InfoMetricFamily if spec.unit == "text" else families.GaugeMetricFamily,
        }
        return kinds[spec.kind](name, spec.help, labels=_LABELS)


def _own_values(snapshot: MetricsSnapshot) -> Mapping[str, Any]:
    """Counters and gauges by their names in the table."""
    return replace(snapshot, prefix="", parts={}).to_dict()


def _add_summary(family: Any, labels: tuple[str, str], snapshot: MetricsSnapshot, metric: str, factor: float) -> None:
    distribution = snapshot.distributions[metric]
    for q in _QUANTILES:
        value = distribution.quantile(q)
        if value is not None:
            labelled = {**dict(zip(_LABELS, labels, strict=True)), "quantile": str(q)}
            family.add_sample(family.name, labelled, value * factor)
    family.add_metric(labels, distribution.count, distribution.sum * factor)
