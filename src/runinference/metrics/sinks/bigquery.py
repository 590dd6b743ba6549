"""Measurements in a table of BigQuery."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from runinference.errors import ConfigurationError
from runinference.metrics.measurement import Measurement
from runinference.metrics.sinks.sink import Rejected, Unavailable
from runinference.packages import require

_FORM = "PROJECT.DATASET.TABLE"
_TABLE = re.compile(r"((?:[a-z0-9.-]+:)?[a-z][a-z0-9-]*)\.(\w+)\.([\w -]+)")
_ENDPOINT = re.compile(r"https?://[^/?#@\s]+/?")
_COLUMNS = (
    ("test_id", "STRING", "REQUIRED"),
    ("timestamp", "TIMESTAMP", "REQUIRED"),
    ("metric", "STRING", "REQUIRED"),
    ("value", "FLOAT", "REQUIRED"),
    ("job_id", "STRING", "NULLABLE"),
)
_ROWS_AT_ONCE = 500
_REFUSALS_SHOWN = 3
_TIMEOUT_S = 10.0
_TEMPORARY = {"backendError", "internalError", "quotaExceeded", "rateLimitExceeded", "tableUnavailable", "timeout"}
_CREDENTIALS = (
    "Set GOOGLE_APPLICATION_CREDENTIALS to the key file of an account that may edit data, or type "
    "`gcloud auth application-default login`"
)


class BigQuerySink:
    """Writes each metric as a row, by streaming inserts.

    The table is created at the first use; its data set must be there. Each row has an id by which BigQuery knows one
    that it was given before; it remembers ids for about a minute.

    Args:
        table: `PROJECT.DATASET.TABLE`.
        endpoint: An emulator, which needs no credentials; `BIGQUERY_EMULATOR_HOST` by default, or BigQuery itself.

    Raises:
        ConfigurationError: That cannot be a table, or an endpoint.
        MissingDependencyError: `google-cloud-bigquery` is not installed.
    """

    def __init__(self, table: str, endpoint: str | None = None) -> None:
        parts = _TABLE.fullmatch(table)
        if parts is None:
            raise ConfigurationError(f"bigquery: {table!r} is no {_FORM}")
        endpoint = endpoint or os.environ.get("BIGQUERY_EMULATOR_HOST")
        if endpoint and not _ENDPOINT.fullmatch(endpoint):
            raise ConfigurationError("bigquery: an endpoint has the form http://HOST:PORT")
        self.name = f"bigquery:{table}" + (f"?endpoint={endpoint}" if endpoint else "")
        self._project, self._dataset, _ = parts.groups()
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self._bigquery = require("google.cloud.bigquery", "bigquery", "write metrics to BigQuery")
        self._table = self._bigquery.Table(table, [self._bigquery.SchemaField(*column) for column in _COLUMNS])
        self._client: Any = None
        self._table_is_there = False
        self._lock = threading.Lock()

    @classmethod
    def from_address(cls, address: str) -> Self:
        """The sink for `PROJECT.DATASET.TABLE`; `?endpoint=http://HOST:PORT` may follow.

        Raises:
            ConfigurationError: It is something else.
            MissingDependencyError: `google-cloud-bigquery` is not installed.
        """
        table, mark, query = address.partition("?")
        key, _, endpoint = query.partition("=")
        if mark and (key != "endpoint" or not endpoint):
            raise ConfigurationError(f"bigquery: the address is not of the form {_FORM}?endpoint=http://HOST:PORT")
        return cls(table, endpoint or None)

    def write(self, measurement: Measurement) -> None:
        """Writes a measurement; of its rows, those that BigQuery takes.

        Raises:
            Unavailable: BigQuery cannot be reached, the credentials are wrong, or the data set is missing.
            Rejected: Rows were refused; says which and why.
        """
        from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPIError, NotFound, Unauthorized
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
        from requests.exceptions import RequestException

        rows = _rows(measurement)
        try:
            with self._lock:
                refusals = self._insert(rows)
        except BadRequest as error:
            raise Rejected(f"{self.name} refused the rows: {_brief(error)}") from error
        except NotFound as error:  # It was removed, or is so new that inserts do not see it yet.
            self._table_is_there = False
            raise Unavailable(f"{self.name} is not there: {_brief(error)}") from error
        except (DefaultCredentialsError, RefreshError, Forbidden, Unauthorized) as error:
            raise Unavailable(f"{self.name} needs credentials that work: {_brief(error)}. {_CREDENTIALS}") from error
        except (GoogleAPIError, GoogleAuthError, RequestException) as error:
            raise Unavailable(f"{self.name} cannot be reached: {_brief(error)}") from error
        if refusals:
            self._refuse(refusals, rows)

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()

    def _insert(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[dict[str, str]]]:
        """What BigQuery has against which of the rows."""
        refusals = {}
        if rows and not self._table_is_there:
            self._make_table()
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            batch = rows[start : start + _ROWS_AT_ONCE]
            ids = [_row_id(row) for row in batch]
            # The publisher tries again, so the client need not.
            answer = self._client.insert_rows_json(
                self._table, batch, ids, skip_invalid_rows=True, retry=None, timeout=_TIMEOUT_S
            )
            refusals.update({start + refusal["index"]: refusal["errors"] for refusal in answer})
        return refusals

    def _make_table(self) -> None:
        from google.api_core.exceptions import NotFound

        if self._client is None:
            self._client = self._connect()
        try:
            self._client.get_table(self._table, retry=None, timeout=_TIMEOUT_S)
        except NotFound:
            try:
                self._client.create_table(self._table, exists_ok=True, retry=None, timeout=_TIMEOUT_S)
            except NotFound as error:
                raise Unavailable(
                    f"{self.name}: there is no data set {self._dataset} in the project {self._project}. Create it: "
                    f"bq mk --dataset {self._project}:{self._dataset}"
                ) from error
        self._table_is_there = True

    def _connect(self) -> Any:
        if self._endpoint is None:
            return self._bigquery.Client(self._project)
        from google.auth.credentials import AnonymousCredentials

        options = {"api_endpoint": self._endpoint}
        return self._bigquery.Client(self._project, AnonymousCredentials(), client_options=options)

    def _refuse(self, refusals: Mapping[int, list[dict[str, str]]], rows: Sequence[Mapping[str, Any]]) -> None:
        shown = [
            f"{rows[index]['metric']!r}: {', '.join(_reason(error) for error in errors)}"
            for index, errors in sorted(refusals.items())[:_REFUSALS_SHOWN]
        ]
        more = "; …" if len(refusals) > len(shown) else ""
        problem = f"{self.name} refused {len(refusals)} of {len(rows)} rows: {'; '.join(shown)}{more}"
        reasons = {error.get("reason") for errors in refusals.values() for error in errors}
        raise (Unavailable if reasons & _TEMPORARY else Rejected)(problem)


def _rows(measurement: Measurement) -> list[dict[str, Any]]:
    run = measurement.run
    when = datetime.fromtimestamp(measurement.timestamp, UTC).isoformat()
    common = {"test_id": run.test_id, "timestamp": when, "job_id": run.job_id}
    return [{**common, "metric": metric, "value": float(value)} for metric, value in measurement.values.items()]


def _row_id(row: Mapping[str, Any]) -> str:
    """Of at most 128 characters, however long the name of a metric is."""
    return hashlib.sha256(
        "\n".join((row["test_id"], row["timestamp"], row["metric"])).encode(errors="backslashreplace")
    ).hexdigest()


def _reason(error: Mapping[str, str]) -> str:
    place = f" ({error['location']})" if error.get("location") else ""
    return f"{error.get('message') or error.get('reason')}{place}"


def _brief(error: Exception) -> str:
    return str(error)[:500]
