"""A folder with a trained model and a table, and a way to run the command in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

Run = Callable[..., subprocess.CompletedProcess[str]]
ROWS = 300
COLUMNS = ["a", "b", "c"]


def make_table(rows: int = ROWS) -> pd.DataFrame:
    numbers = np.random.default_rng(7).normal(size=(rows, len(COLUMNS)))
    table = pd.DataFrame(numbers, columns=COLUMNS)
    table.insert(0, "id", [f"row-{i}" for i in range(rows)])
    return table


@pytest.fixture(scope="session")
def model() -> LogisticRegression:
    table = make_table()
    return LogisticRegression().fit(table[COLUMNS].to_numpy(), (table["a"] > 0).astype(int))


@pytest.fixture
def folder(tmp_path: Path, model: LogisticRegression, monkeypatch: pytest.MonkeyPatch) -> Path:
    joblib.dump(model, tmp_path / "model.joblib")
    make_table().to_parquet(tmp_path / "data.parquet", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    def run(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runinference", *arguments],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run
