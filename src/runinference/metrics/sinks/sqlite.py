"""Measurements in a SQLite database, which needs no server and no set-up."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import fields
from typing import Self

from runinference.metrics.measurement import Measurement, RunInfo
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
        job_id TEXT,
        processor TEXT NOT NULL DEFAULT '',
        memory_bytes INTEGER,
        state TEXT NOT NULL DEFAULT 'done'
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
_LATER_COLUMNS = {
    "processor": "TEXT NOT NULL DEFAULT ''",
    "memory_bytes": "INTEGER",
    "state": "TEXT NOT NULL DEFAULT 'done'",
}
_COLUMNS = [column.name for column in fields(RunInfo)]
_INSERT_RUN = """
    INSERT INTO runs ({names}) VALUES ({values})
    ON CONFLICT (test_id) DO UPDATE SET {changes}
    WHERE runs.state = 'running' OR excluded.state <> 'running'  -- That it began may arrive after its end.
""".format(
    names=", ".join(f'"{name}"' for name in _COLUMNS),
    values=", ".join(f":{name}" for name in _COLUMNS),
    changes=", ".join(f'"{name}" = excluded."{name}"' for name in _COLUMNS),
)


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
        row = vars(run) | {
            "versions": json.dumps(dict(run.versions)),
            "options": json.dumps(run.options),
        }
        values = [(run.test_id, when, name, value, run.job_id) for name, value in measurement.values.items()]
        texts = [(run.test_id, when, name, text) for name, text in measurement.texts.items()]
        try:
            with self._lock, closing(sqlite3.connect(self._path, timeout=_PATIENCE_S)) as connection, connection:
                connection.executescript(_SCHEMA)
                _add_new_columns(connection)
                connection.execute(_INSERT_RUN, row)
                connection.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?)", values)
                connection.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)", texts)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{self.name}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise Rejected(f"{self.name} is no database of metrics: {error}") from error

    def close(self) -> None:
        """Nothing is open between two measurements."""


def _add_new_columns(connection: sqlite3.Connection) -> None:
    """Gives a file of an earlier version the columns that came later."""
    there = {name for _, name, *_ in connection.execute("PRAGMA table_info(runs)")}
    for name, declaration in _LATER_COLUMNS.items():
        if name not in there:
            connection.execute(f"ALTER TABLE runs ADD COLUMN {name} {declaration}")
