"""Where the flags of Beam's benchmarks say that metrics go, as addresses for `--publish`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from runinference.errors import ConfigurationError

_INFLUX = "http://localhost:8086"


def to_bigquery(given: Mapping[str, Any], notes: list[str]) -> Iterator[str]:
    """The address of a table of BigQuery, if one is asked for.

    Args:
        given: The values of the flags that there are.
        notes: Is told what flags have no effect.

    Raises:
        ConfigurationError: A flag is missing.
    """
    there = [f"--{name}" for name in ("metrics_dataset", "metrics_table") if name in given]
    if not given.get("publish_to_big_query"):
        if there and "publish_to_big_query" not in given:
            notes.append(f"Nothing is published to BigQuery: {' and '.join(there)} without --publish_to_big_query=true")
        return
    project = given.get("project") or os.environ.get("GOOGLE_CLOUD_PROJECT")
    place = {"project": project, "metrics_dataset": given.get("metrics_dataset")}
    place["metrics_table"] = given.get("metrics_table")
    missing = [f"--{name}" for name, value in place.items() if not value]
    if missing:
        variable = " (or the variable GOOGLE_CLOUD_PROJECT)" if "--project" in missing else ""
        raise ConfigurationError(f"--publish_to_big_query=true needs {' and '.join(missing)} too{variable}")
    yield f"bigquery:{'.'.join(map(str, place.values()))}"


def to_influxdb(given: Mapping[str, Any], notes: list[str]) -> Iterator[str]:
    """The address of a measurement of InfluxDB, if one is asked for.

    Args:
        given: The values of the flags that there are.
        notes: Is told what flags have no effect.

    Raises:
        ConfigurationError: A flag is missing.
    """
    if "influx_db_name" in given:
        place = {"db": given["influx_db_name"]}
        if "influx_measurement" in given:
            place["measurement"] = given["influx_measurement"]
        yield f"influxdb:{given.get('influx_hostname', _INFLUX)}?{urlencode(place)}"
    elif "influx_hostname" in given:
        raise ConfigurationError("--influx_hostname needs --influx_db_name too")
    elif "influx_measurement" in given:
        # Not an error: files of options for Beam name it, and leave the database to whoever runs them.
        notes.append("Nothing is published to InfluxDB: --influx_measurement without --influx_db_name")
