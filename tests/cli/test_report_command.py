"""`runinference report`: the performance website."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from runinference.cli.app import app
from runinference.cli.report import SiteProgress
from runinference.metrics.measurement import Measurement
from runinference.metrics.sinks.sqlite import SqliteSink

from ..report.made_runs import LARGE_MACHINE, run_of, write_results


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["report", *map(str, arguments)])


def store(path, runs):
    """A database as `runinference bench run` would leave it."""
    sink = SqliteSink(str(path))
    for run in runs:
        passes = max(map(len, run.samples.values()), default=0)
        for number in range(max(1, passes)):
            values = {name: values[number] for name, values in run.samples.items() if number < len(values)}
            sink.write(Measurement(run.info, run.info.started + number, values, run.texts))
    sink.close()


def test_a_database_and_results_become_one_site_and_it_is_said_where(tmp_path):
    """As its user calls it, in a process of its own."""
    store(tmp_path / "benchmarks.sqlite", [run_of(night=night) for night in range(3)])
    write_results(tmp_path / "other.json", [run_of(night=2), run_of(night=3), run_of("private", machine=LARGE_MACHINE)])
    command = [sys.executable, "-m", "runinference", "report", "benchmarks.sqlite", "other.json", "-o", "site"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"Website      {os.path.join('site', 'index.html')}\n",
        "",
    )
    front = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "5 runs of 2 benchmarks" in front
    assert "Table, scikit-learn" in front  # From the benchmark itself, which is not asked by the pages.
    page = (tmp_path / "site" / "benchmarks" / "sklearn-table.html").read_text("utf-8")
    assert "Classifies rows of 64 float32" in page
    assert (tmp_path / "site" / "data" / "private.json").exists()


def test_benchmarks_of_ones_own_are_described(report, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "doubling.py").write_text(
        "from runinference.benchmarks.benchmark import Benchmark\n"
        "class Doubling(Benchmark):\n"
        "    '''Doubles `numbers`.'''\n"
        "    name = 'doubling'\n"
        "    title = 'Doubling of numbers'\n"
        "    def examples(self): return []\n"
        "    def handler(self): return None\n"
    )
    write_results(tmp_path / "runs.json", [run_of("doubling")])
    assert report("runs.json", "-o", "site", "--cases", "mine").exit_code == 0
    page = (tmp_path / "site" / "benchmarks" / "doubling.html").read_text("utf-8")
    assert "Doubling of numbers" in page
    assert "<p>Doubles <code>numbers</code>.</p>" in page


@pytest.mark.parametrize(
    "runs", [[], [run_of(state="running", samples={})], [run_of("a job", options={"key": "id"})]], ids=len
)
def test_without_a_complete_run_there_is_a_site_that_says_so(report, tmp_path, runs):
    store(tmp_path / "empty.sqlite", [run_of("x", options={})])
    write_results(tmp_path / "runs.json", runs)
    done = report("runs.json", "empty.sqlite", "-o", "site")
    assert done.exit_code == 0
    assert "Note: there is no complete run of a benchmark in runs.json, empty.sqlite" in done.stderr
    assert "runinference bench run all" in (tmp_path / "site" / "index.html").read_text("utf-8")


def test_runs_that_another_version_wrote_are_shown(report, tmp_path):
    run = run_of().to_dict()
    for name in ("processor", "memory_bytes", "state", "commit", "job_id"):
        del run["run"][name]
    run["run"] |= {"later": 1, "versions": {}}
    (tmp_path / "old.json").write_text(json.dumps({"runs": [run]}))
    assert report("old.json", "-o", "site").exit_code == 0
    assert "unknown version" in (tmp_path / "site" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "site"], 2, "Missing argument 'STORE"),
        (["runs.json"], 2, "Missing option '--output'"),
        (["no.sqlite", "-o", "site"], 2, "'no.sqlite' does not exist"),
        ([".", "-o", "site"], 2, "is a directory"),
        (["text.txt", "-o", "site"], 1, "text.txt holds no runs"),
        (["empty.json", "-o", "site"], 1, "empty.json holds no runs"),
        (["runs.json", "-o", "full"], 2, "full holds other things than a site of `runinference report`: thesis.tex"),
        (["runs.json", "-o", "text.txt"], 2, "text.txt is a file; name a folder for the site"),
        (["runs.json", "-o", "site", "--cases", "none"], 2, "There is no folder none with benchmarks"),
    ],
)
def test_wrong_usage_is_told_and_leaves_no_site(report, tmp_path, arguments, code, message):
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    write_results(tmp_path / "runs.json", [run_of()])
    done = report(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr
    assert "bug" not in done.stderr
    assert not (tmp_path / "site").exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_quiet_prints_nothing(report, tmp_path):
    write_results(tmp_path / "runs.json", [])
    assert report("runs.json", "-o", "site", "--quiet").output == ""


def test_an_interrupted_site_is_said_to_be_incomplete_and_can_be_written_again(tmp_path):
    """The signal comes with the second file; a wrapper sends it, so that no time decides when."""
    write_results(tmp_path / "runs.json", [run_of(f"case-{number}") for number in range(5)])
    wrapper = (
        "import os, signal, sys\n"
        "import runinference.cli.report as command\n"
        "class Progress(command.SiteProgress):\n"
        "    def __call__(self, done, total):\n"
        "        if done == 2 and 'again' not in sys.argv: os.kill(os.getpid(), signal.SIGINT)\n"
        "command.SiteProgress = Progress\n"
        "from runinference.cli.app import app\n"
        "app(['report', 'runs.json', '-o', 'site'])\n"
    )
    command = [sys.executable, "-c", wrapper]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "Interrupted; the site in site is not complete.\n")
    subprocess.run([*command, "again"], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert (tmp_path / "site" / "index.html").exists()


def test_progress_is_one_line_that_comes_late_and_goes_away(capsys):
    now = [0.0]
    progress = SiteProgress(shown=True, clock=lambda: now[0])
    for done, now[0] in enumerate([0.5, 0.9, 1.1, 1.12, 2.0], 1):
        progress(done, 5)
    progress.clear()
    assert capsys.readouterr().err == (
        "\rWriting the site: 3 of 5 files\rWriting the site: 5 of 5 files\r                              \r"
    )
    hidden = SiteProgress(shown=False, clock=lambda: 9.0)
    hidden(1, 2)
    hidden.clear()
    assert capsys.readouterr().err == ""


def test_help_says_what_a_store_is(report):
    told = " ".join(report("--help").output.split())
    assert "STORE is a database that `runinference bench run` or --publish sqlite:FILE wrote" in told
