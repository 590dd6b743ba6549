"""Runs that were measured in the past, read back from where they were kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from runinference.errors import DataError
from runinference.metrics.measurement import RunInfo

_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class Run:
    """One run with all of its measurements.

    Attributes:
        info: What ran, where, when.
        samples: For each metric its values, one for each measurement, in the order of time.
        texts: Metrics that are words.
    """

    info: RunInfo
    samples: Mapping[str, Sequence[float]]
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether it reached its end."""
        return self.info.state == "done"

    @property
    def work(self) -> Mapping[str, Any] | None:
        """What a benchmark did: its model, how many elements, on which device …; `None` for other runs."""
        work = self.info.options.get("work")
        return work if isinstance(work, Mapping) else None

    @property
    def session(self) -> str:
        """The same for runs that took turns, and so can be held against each other."""
        return str(self.info.options.get("session", self.info.test_id))

    @property
    def machine(self) -> tuple[str, str, int, int | None]:
        """Where it ran: host, processor, cores and bytes of memory. Runs that differ in it are not comparable.

        Memory is in whole GiB: a kernel that was renewed tells some MB more or less.
        """
        memory = self.info.memory_bytes
        whole = None if memory is None else round(memory / 2**30) * 2**30
        return self.info.host, self.info.processor, self.info.cores, whole

    def value(self, metric: str) -> float | None:
        """The median of a metric; `None` where it was not measured."""
        values = self.samples.get(metric)
        return median(values) if values else None

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON knows."""
        return {"run": asdict(self.info), "samples": {k: list(v) for k, v in self.samples.items()}, "texts": self.texts}


def read_runs(path: str | Path) -> list[Run]:
    """The runs of a database of metrics, or of a file of results; the oldest first.

    Args:
        path: What `--publish sqlite:FILE` or `runinference bench run --output FILE.json` wrote.

    Raises:
        DataError: There is no such file, or it is neither of these.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            database = file.read(len(_SQLITE)) == _SQLITE
        runs = _from_database(path) if database else _from_results(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (sqlite3.Error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path} holds no runs: it is neither a database written by --publish sqlite:FILE nor results written by "
            f"`runinference bench run --output FILE.json` ({error})"
        ) from error
    return sorted(runs, key=lambda run: run.info.started)


def _from_results(path: Path) -> list[Run]:
    document = json.loads(path.read_text(encoding="utf-8"))
    return [
        Run(RunInfo.from_dict(run["run"]), _numbers(run["samples"]), run.get("texts", {})) for run in document["runs"]
    ]


def _numbers(samples: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {metric: [float(value) for value in values] for metric, values in samples.items()}


def _from_database(path: Path) -> list[Run]:
    # Read only, so that looking at a file never changes it.
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        infos = [dict(row) for row in connection.execute("SELECT * FROM runs")]
        samples: dict[str, dict[str, list[float]]] = {}
        for test_id, metric, value in connection.execute(
            "SELECT test_id, metric, value FROM metrics ORDER BY test_id, timestamp"
        ):
            samples.setdefault(test_id, {}).setdefault(metric, []).append(value)
        texts: dict[str, dict[str, str]] = {}
        for test_id, metric, value in connection.execute(
            "SELECT test_id, metric, value FROM texts ORDER BY test_id, timestamp"
        ):
            texts.setdefault(test_id, {})[metric] = value
    for info in infos:
        info["versions"], info["options"] = json.loads(info["versions"]), json.loads(info["options"])
    return [
        Run(RunInfo.from_dict(info), samples.get(info["test_id"], {}), texts.get(info["test_id"], {})) for info in infos
    ]
