"""Measurements in InfluxDB, through the write API of 1.x or that of 2.x and 3.x."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from runinference.errors import ConfigurationError
from runinference.metrics.measurement import Measurement
from runinference.metrics.sinks.sink import Rejected, Unavailable
from runinference.packages import require

_FORMS = "http://HOST:8086?db=NAME or http://HOST:8086?org=ORG&bucket=BUCKET"
_PARAMETERS = {"db", "org", "bucket", "measurement"}
_POINTS_AT_ONCE = 5000
_TIMEOUT_S = 5.0
_REFUSED = {400, 413, 422}  # What is said of the points; all other answers may change.


class InfluxDBSink:
    """Writes each metric as a point: the field `value`, with tags that say which metric of which run it is.

    Credentials come from the environment: `INFLUXDB_USER` and `INFLUXDB_USER_PASSWORD` for 1.x, `INFLUXDB_TOKEN` for
    2.x and 3.x. The points are the official client's; they are sent without its `WriteApi`, which knows only the path
    of 2.x, and 1.x has that from 1.8 on.

    Args:
        url: The server.
        db: The database, for 1.x.
        org: The organization, for 2.x and 3.x.
        bucket: The bucket, for 2.x and 3.x.
        measurement: What InfluxDB calls the table.

    Raises:
        ConfigurationError: The arguments do not name a place, or a secret is where it does not belong.
        MissingDependencyError: `influxdb-client` is not installed.

    Examples:
        >>> InfluxDBSink("http://localhost:8086", db="metrics").name
        'influxdb:http://localhost:8086?db=metrics'
    """

    def __init__(
        self,
        url: str,
        *,
        db: str | None = None,
        org: str | None = None,
        bucket: str | None = None,
        measurement: str = "runinference",
    ) -> None:
        _check_url(url)
        if not measurement or measurement.startswith("#"):
            raise ConfigurationError(f"influxdb: {measurement!r} cannot be the name of a measurement")
        if db and not org and not bucket:
            self._api = _version_1(db)
            place = {"db": db}
        elif org and bucket and not db:
            self._api = _version_2(org, bucket)
            place = {"org": org, "bucket": bucket}
        else:
            raise ConfigurationError(f"influxdb: either a db, or an org and a bucket are needed: {_FORMS}")
        if measurement != "runinference":
            place["measurement"] = measurement
        self.name = f"influxdb:{url}?{urlencode(place)}"
        self._url = f"{url.rstrip('/')}{self._api.path}?{urlencode(self._api.query)}"
        self._measurement = measurement
        self._point = require("influxdb_client", "influxdb", "write metrics to InfluxDB").Point
        self._urllib3 = require("urllib3", "influxdb", "write metrics to InfluxDB")
        # A redirect would take the credentials elsewhere; the publisher tries again.
        timeout = self._urllib3.Timeout(connect=_TIMEOUT_S, read=_TIMEOUT_S)
        self._http = self._urllib3.PoolManager(retries=False, timeout=timeout)

    @classmethod
    def from_address(cls, address: str) -> Self:
        """The sink for `http://HOST:8086?db=NAME` or `http://HOST:8086?org=ORG&bucket=BUCKET`.

        `&measurement=NAME` may follow.

        Raises:
            ConfigurationError: It is something else, or holds credentials.
            MissingDependencyError: `influxdb-client` is not installed.
        """
        _check_no_credentials(address)
        url, _, query = address.partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        unknown = ", ".join(sorted(parameters.keys() - _PARAMETERS))
        if unknown:
            raise ConfigurationError(
                f"influxdb: an address has no {unknown}, but {_FORMS}; credentials are taken from the environment"
            )
        return cls(url, **parameters)

    def write(self, measurement: Measurement) -> None:
        """Writes a measurement; a point that is there already is replaced by the same.

        Raises:
            Unavailable: The server cannot be reached or is busy, the credentials are wrong, or the place is missing.
            Rejected: The server does not take the points.
        """
        lines = [self._line(measurement, metric, value) for metric, value in measurement.values.items()]
        for start in range(0, len(lines), _POINTS_AT_ONCE):
            self._post("\n".join(lines[start : start + _POINTS_AT_ONCE]).encode(errors="backslashreplace"))

    def close(self) -> None:
        """Closes the connections."""
        self._http.clear()

    def _line(self, measurement: Measurement, metric: str, value: float) -> str:
        run = measurement.run
        point = self._point(self._measurement).tag("metric", metric).tag("test_id", run.test_id)
        point.tag("job_id", run.job_id).tag("name", run.name).tag("engine", run.engine)
        point.tag("host", run.host).tag("device", run.device)
        # Always a float: a field keeps the type of its first value. A float holds no more than microseconds of today.
        line: str = (
            point.field("value", float(value)).time(round(measurement.timestamp * 1e6) * 1000).to_line_protocol()
        )
        return line

    def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "text/plain; charset=utf-8", **self._api.headers}
        try:
            answer = self._http.request("POST", self._url, body=body, headers=headers)
        except self._urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self.name} cannot be reached: {error}") from error
        if answer.status not in (200, 204):
            self._fail(answer)

    def _fail(self, answer: Any) -> None:
        said = answer.headers.get("X-Influxdb-Error") or answer.data.decode(errors="replace").strip()
        problem = f"HTTP {answer.status}: {said[:300]}"
        if answer.status in _REFUSED:
            raise Rejected(f"{self.name} refused points: {problem}")
        if answer.status in (401, 403):
            raise Unavailable(f"{self.name} refused the credentials ({problem}). Set {self._api.variables}")
        if answer.status == 404:
            raise Unavailable(f"{self.name} is not there ({problem}). Create it: {self._api.creation}")
        raise Unavailable(f"{self.name} does not work now: {problem}")


@dataclass(frozen=True)
class _WriteApi:
    """How a version of InfluxDB is written to.

    Attributes:
        path: Where points are posted to.
        query: What follows it.
        headers: With the credentials.
        variables: Where credentials are taken from.
        creation: The command that creates the place.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    variables: str
    creation: str


def _version_1(db: str) -> _WriteApi:
    user, password = os.environ.get("INFLUXDB_USER"), os.environ.get("INFLUXDB_USER_PASSWORD", "")
    headers = {}
    if user:
        pair = f"{user}:{password}".encode(errors="surrogateescape")
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return _WriteApi(
        "/write",
        {"db": db, "precision": "ns"},
        headers,
        "INFLUXDB_USER and INFLUXDB_USER_PASSWORD",
        f"""influx -execute 'CREATE DATABASE "{db}"'""",
    )


def _version_2(org: str, bucket: str) -> _WriteApi:
    token = os.environ.get("INFLUXDB_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()):  # The HTTP client would show it in its error message.
        raise ConfigurationError("influxdb: INFLUXDB_TOKEN holds characters that a token cannot have")
    return _WriteApi(
        "/api/v2/write",
        {"org": org, "bucket": bucket, "precision": "ns"},
        {"Authorization": f"Token {token}"} if token else {},
        "INFLUXDB_TOKEN",
        f"influx bucket create --org '{org}' --name '{bucket}'",
    )


def _check_url(url: str) -> None:
    """Never shows the URL, which may hold what it should not."""
    _check_no_credentials(url)
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:
        fine = False
    if not fine:
        raise ConfigurationError(f"influxdb: the address is not of the form {_FORMS}")


def _check_no_credentials(address: str) -> None:
    if "@" in address:
        raise ConfigurationError(
            "influxdb: an address holds no user and password, since addresses end up in logs. Set INFLUXDB_USER and "
            "INFLUXDB_USER_PASSWORD, or INFLUXDB_TOKEN (an @ in a name is written as %40)"
        )
