"""Finds the sink for what a user wrote."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from runinference.errors import ConfigurationError, closest
from runinference.metrics.sinks.sink import Sink

SINKS = {
    "sqlite": ("runinference.metrics.sinks.sqlite", "SqliteSink", "sqlite:FILE"),
    "jsonl": ("runinference.metrics.sinks.jsonl", "JsonLinesSink", "jsonl:FILE"),
    "influxdb": ("runinference.metrics.sinks.influxdb", "InfluxDBSink", "influxdb:http://HOST:8086?db=NAME"),
    "bigquery": ("runinference.metrics.sinks.bigquery", "BigQuerySink", "bigquery:PROJECT.DATASET.TABLE"),
    "otel": ("runinference.metrics.sinks.opentelemetry", "OpenTelemetrySink", "otel:http://HOST:4318"),
}


def open_sink(address: str) -> Sink:
    """The sink of an address such as `sqlite:metrics.db`.

    Nothing is connected to yet. Each sink is a class with a method `from_address(rest)`.

    Raises:
        ConfigurationError: There is no such kind of sink, or the address cannot work.
        MissingDependencyError: A package is not installed.
    """
    scheme, colon, rest = address.partition(":")
    if not colon or not rest or scheme not in SINKS:
        known = ", ".join(form for *_, form in SINKS.values())
        raise ConfigurationError(
            f"Metrics cannot be published to {scheme!r}.{closest(scheme, SINKS)} Possible are: {known}"
        )
    module, name, _ = SINKS[scheme]
    return cast(Sink, getattr(import_module(module), name).from_address(rest))
