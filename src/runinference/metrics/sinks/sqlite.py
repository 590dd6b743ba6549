"""Measurements in a SQLite database, which needs no server and no set-up."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from typing import Self

from runinference.metrics.measurement import Measurement
from runinference.metrics.sinks.folder import check_folder
from runinference.metrics.sinks.sink import Rejected, Unavailable

_PATIENCE_S = 30.0
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS runs (
        test_id TEXT PRIMARY KEY,
        started REAL NOT NULL,
        name TEXT NOT NULL,
        engine TEXT NOT NULL,
        host TEXT NOT NULL,
        cores INTEGER NOT NULL,
        device TEXT NOT NULL,
        versions TEXT NOT NULL,
        "commit" TEXT,
        options TEXT NOT NULL,
        job_id TEXT
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS metrics (
        test_id TEXT NOT NULL REFERENCES runs (test_id),
        timestamp REAL NOT NULL,
        metric TEXT NOT NULL,
        value REAL NOT NULL,
        job_id TEXT,
        PRIMARY KEY (test_id, timestamp, metric)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS texts (
        test_id TEXT NOT NULL REFERENCES runs (test_id),
        timestamp REAL NOT NULL,
        metric TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (test_id, timestamp, metric)
    ) WITHOUT ROWID;
"""


class SqliteSink:
    """Writes measurements to the tables `runs` and `metrics` of a file.

    Several processes may write to one file; each measurement is written whole or not at all.

    Args:
        path: The file; it is made where there is none.
    """

    def __init__(self, path: str) -> None:
        self.name = f"sqlite:{path}"
        self._path = path
        self._lock = threading.Lock()

    @classmethod
    def from_address(cls, path: str) -> Self:
        """The sink for a file.

        Raises:
            ConfigurationError: Its folder is not there.
        """
        check_folder("sqlite", path)
        return cls(path)

    def write(self, measurement: Measurement) -> None:
        """Writes a measurement.

        Raises:
            Unavailable: The file is locked, or the disk is full.
            Rejected: The file is no database.
        """
        run, when = measurement.run, measurement.timestamp
        row = (
            *(run.test_id, run.started, run.name, run.engine, run.host, run.cores, run.device),
            *(json.dumps(dict(run.versions)), run.commit, json.dumps(dict(run.options), default=str), run.job_id),
        )
        values = [(run.test_id, when, name, value, run.job_id) for name, value in measurement.values.items()]
        texts = [(run.test_id, when, name, text) for name, text in measurement.texts.items()]
        try:
            with self._lock, closing(sqlite3.connect(self._path, timeout=_PATIENCE_S)) as connection, connection:
                connection.executescript(_SCHEMA)
                connection.execute(f"INSERT OR REPLACE INTO runs VALUES ({_marks(row)})", row)
                connection.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?)", values)
                connection.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)", texts)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{self.name}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise Rejected(f"{self.name} is no database of metrics: {error}") from error

    def close(self) -> None:
        """Nothing is open between two measurements."""


def _marks(row: tuple[object, ...]) -> str:
    return ", ".join("?" * len(row))
