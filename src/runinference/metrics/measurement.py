"""What a run measured, with what one has to know of the run to compare it with others."""

from __future__ import annotations

import functools
import json
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from types import NoneType
from typing import Any, Literal, Self

from runinference.metrics.json_values import as_json_values, encodable, finite_numbers
from runinference.metrics.machine import cores, memory_bytes, processor
from runinference.metrics.snapshot import MetricsSnapshot

_PACKAGES = (
    "runinference",
    "apache-beam",
    "lightgbm",
    "numpy",
    "onnxruntime",
    "scikit-learn",
    "tensorflow",
    "torch",
    "transformers",
    "vllm",
    "xgboost",
)
_KINDS: dict[str, Any] = {
    "test_id": str,
    "started": (int, float),
    "cores": int,
    "memory_bytes": (int, NoneType),
    "versions": Mapping,
    "options": Mapping,
}
State = Literal["running", "done", "failed"]

_MODULES = {"apache-beam": "apache_beam", "scikit-learn": "sklearn"}


@functools.cache
def _commit() -> str | None:
    """The commit of the folder that one works in, if it is a repository."""
    try:
        run = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None if run.returncode == 0 else None


@dataclass(frozen=True)
class RunInfo:
    """One run of something that was measured.

    Attributes:
        test_id: Names the run; 32 hexadecimal digits.
        name: What ran.
        started: When, in seconds since 1970.
        engine: What ran it: `embedded`, `beam` …
        host: Name of the machine.
        processor: Its processor; empty where the system does not tell.
        cores: Cores that it may use.
        memory_bytes: Its memory; `None` where the system does not tell.
        device: What the model ran on.
        versions: Versions of the packages that took part.
        commit: Version of the code, where it is known.
        options: What was asked for.
        job_id: What the runner calls it, such as a job of Dataflow.
        state: `running` until it has ended; what stays so was killed. Then `done`, or `failed`.
    """

    name: str
    test_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.time)
    engine: str = "embedded"
    host: str = field(default_factory=platform.node)
    processor: str = field(default_factory=lambda: processor())
    cores: int = field(default_factory=lambda: cores())
    memory_bytes: int | None = field(default_factory=lambda: memory_bytes())
    device: str = "cpu"
    versions: Mapping[str, str] = field(default_factory=lambda: package_versions())
    commit: str | None = field(default_factory=_commit)
    options: Mapping[str, Any] = field(default_factory=dict)
    job_id: str | None = None
    state: State = "done"

    def __post_init__(self) -> None:
        for name in ("name", "engine", "host", "device", "processor"):
            object.__setattr__(self, name, encodable(getattr(self, name)))
        object.__setattr__(self, "options", as_json_values(self.options))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made of one, of this version or another.

        What a later version has besides is left out; what an earlier one did not tell is taken as not known.

        Raises:
            TypeError: It has not even a name, or a value is of another type.
        """
        known = {each.name for each in fields(cls)}
        untold: dict[str, Any] = {"processor": "", "memory_bytes": None, "commit": None, "job_id": None}
        info = cls(**untold | {name: value for name, value in values.items() if name in known})
        for name, kinds in _KINDS.items():
            if not isinstance(getattr(info, name), kinds):
                raise TypeError(f"{name} cannot be {getattr(info, name)!r}")
        return info


@dataclass(frozen=True)
class Measurement:
    """The values of all metrics at one time.

    Attributes:
        run: What was measured.
        timestamp: When, in seconds since 1970.
        values: The value of each metric. What is not a finite number is left out.
        texts: Metrics that are words, such as why batches have the size that they have.
    """

    run: RunInfo
    timestamp: float
    values: Mapping[str, float]
    texts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", dict(finite_numbers(self.values)))
        texts = {encodable(name): encodable(text) for name, text in self.texts.items()}
        object.__setattr__(self, "texts", texts)

    @classmethod
    def of(
        cls, run: RunInfo, metrics: MetricsSnapshot | Mapping[str, float | str], timestamp: float | None = None
    ) -> Self:
        """The measurement of a run.

        Args:
            run: The run.
            metrics: A snapshot, or values by name.
            timestamp: When; now by default.
        """
        flat = metrics.to_dict() if isinstance(metrics, MetricsSnapshot) else metrics
        texts = {name: value for name, value in flat.items() if isinstance(value, str)}
        values = {name: value for name, value in flat.items() if not isinstance(value, str)}
        return cls(run, time.time() if timestamp is None else timestamp, values, texts)

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        try:
            content = json.loads(text)
            return cls(RunInfo.from_dict(content.pop("run")), **content)
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"This is no measurement: {error}") from error


def package_versions() -> dict[str, str]:
    """Those of the packages that are imported, of Python, and of this package."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        if _MODULES.get(package, package) in sys.modules:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
    return found
