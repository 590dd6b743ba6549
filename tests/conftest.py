"""Tests of what is not installed are left out, so that `pytest -m core` runs with nothing but the package itself."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDS = {
    "cli": ["click", "fsspec", "joblib", "pandas", "pyarrow", "sklearn"],
    "docs": ["click", "pandas", "polars", "pyarrow", "sklearn"],
    "engine/test_table_*": ["pandas", "polars", "pyarrow"],
    "handlers/test_sklearn*": ["joblib", "pandas", "pyarrow", "sklearn", "skops"],
    "jobs": ["fsspec", "pandas", "pyarrow"],
}

collect_ignore_glob = [
    pattern for pattern, packages in _NEEDS.items() if any(find_spec(package) is None for package in packages)
]
