"""`runinference check`, `completion`, `--help` and `--version`."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from .conftest import make_table


def test_check_says_what_a_run_would_do_and_writes_nothing(run, folder):
    table = make_table()
    table.loc[2, "a"] = np.nan
    table.to_parquet(folder / "data.parquet", index=False)
    before = sorted(folder.iterdir())
    done = run("check", "sklearn:model.joblib", "data.parquet", "--key", "id")
    assert done.returncode == 0, done.stderr
    assert "300 rows" in done.stdout
    assert "256 rows, 1 failed" in done.stdout
    assert "row 2 (row-2): inference: ValueError: Input X contains NaN." in done.stdout
    assert "int64, such as" in done.stdout
    assert sorted(folder.iterdir()) == before


def test_check_of_a_model_that_cannot_work_fails(run):
    done = run("check", "sklearn:model.joblib", "data.parquet")
    assert done.returncode == 1
    assert "trained with 3 features but is given 4 columns" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run, shell):
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_RUNINFERENCE_COMPLETE" in done.stdout


def test_completion_completes_options(run):
    environment = {
        "_RUNINFERENCE_COMPLETE": "bash_complete",
        "COMP_WORDS": "runinference run --max-",
        "COMP_CWORD": "2",
    }
    assert "--max-failures" in run(environment=environment).stdout


def test_help_names_the_exit_codes_and_version_is_printed(run):
    assert "3 done, but more rows failed than allowed" in run("--help").stdout
    assert run("--version").stdout.startswith("runinference, version ")


def test_help_imports_neither_arrow_nor_numpy_nor_a_framework():
    code = (
        "import sys\n"
        "from runinference.cli.app import app\n"
        "try:\n"
        "    app(['run', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'sklearn', 'fsspec'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
