"""`runinference bench compare`: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runinference.cli.app import app
from tests.benchmarks.synthetic_runs import made_run, write_json, write_store

FAST, SLOW = [61.3, 61.0, 61.5], [70.3, 70.0, 70.5]


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One benchmark got slower on one of its engines, one was run with more examples, one failed."""
    runs = []
    for day, (seconds, commit) in enumerate([(FAST, "a" * 40), (SLOW, "b" * 40)]):
        about = {"name": "pytorch-image-classification", "model": "resnet101", "day": day, "commit": commit}
        more = {"AvgThroughputElements": [1000 / each for each in seconds]}
        runs.append(made_run(seconds, samples=more, **about))
        runs.append(made_run([120.0, 121.0, 119.0], engine="beam-original", **about))
        runs.append(made_run([9.0], name="custom", model="default", day=day, commit=commit))
        runs.append(made_run(name="sklearn-table", model="default", examples=10**6 + day, day=day))
    runs.append(made_run(name="custom", model="default", engine="beam", day=1, state="failed"))
    return write_store(tmp_path_factory.mktemp("nights") / "benchmarks.sqlite", runs)


@pytest.fixture
def store(two_nights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that one works in, with the store."""
    shutil.copy(two_nights, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", "compare", *arguments])


def test_what_got_slower_is_marked_and_ends_with_1(store: Path) -> None:
    result = run("benchmarks.sqlite@latest~1", "benchmarks.sqlite@latest")
    assert result.stdout == (
        "A        benchmarks.sqlite@latest~1  (2026-09-21, commit aaaaaaa)\n"
        "B        benchmarks.sqlite@latest  (2026-09-22, commit bbbbbbb)\n"
        "Machine  server, Quick 3000, 8 cores, 34.4 GB\n"
        "\n"
        "run time (JobRuntimeSeconds) in s, lower is better\n"
        "  engine               A        B  difference (95 %)      verdict\n"
        "custom, 1,000 examples, cpu\n"
        "  embedded         9.0 s    9.0 s  +0.0 %                 too few samples\n"
        "pytorch-image-classification resnet101, 1,000 examples, cpu\n"
        "  beam-original  120.0 s  120.0 s  +0.0 % (-1.9…+1.9)     no difference seen\n"
        "  embedded        61.3 s   70.3 s  +14.7 % (+13.7…+15.7)  slower !\n"
        "\n"
        "Did not take part:\n"
        "  A and B: custom, 1,000 examples, cpu, beam failed\n"
        "\n"
        "Not compared:\n"
        "  B: sklearn-table, 1,000,001 examples, cpu, embedded is not in A\n"
        "  B: sklearn-table, 1,000,000 examples, cpu, embedded is not in A\n"
        "\n"
        "Too few samples: there is one on a side, so no interval.\n"
        "Worse by more than 5 % (marked !): 1 of 3.\n"
    )
    assert result.exit_code == 1


def test_no_line_is_longer_than_80_columns(store: Path) -> None:
    work = {"weights": "/a/rather/long/path/to/a/file/of/weights.pt", "input": "gs://bucket/of/somebody/*.jpg"}
    long = {"name": "pytorch-image-classification", "model": "resnet101", "examples": 50_000, "work": work}
    a = [made_run([1000.5, 1500.5], engine="beam-original", **long), made_run(engine="elsewhere", **long)]
    b = [made_run([1300.5, 1203.5], engine="beam-original", day=1, **long)]
    write_json(store / "a.json", a)
    write_json(store / "b.json", b)
    result = run("a.json", "b.json")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--threshold", "5%"], 1),
        (["--threshold", "14"], 1),
        (["--threshold", "15 %"], 0),
        (["--metric", "AvgThroughputElements"], 1),
        (["--metric", "AvgThroughputElements", "--threshold", "14%"], 0),
    ],
)
def test_the_threshold_decides_how_it_ends(store: Path, arguments: list[str], code: int) -> None:
    result = run("benchmarks.sqlite@aaaa", "benchmarks.sqlite@bbbb", *arguments)
    assert result.exit_code == code, result.output


def test_what_got_faster_ends_with_0(store: Path) -> None:
    result = run("benchmarks.sqlite@bbbb", "benchmarks.sqlite@aaaa")
    assert result.exit_code == 0
    assert "  faster\n" in result.stdout
    assert result.stdout.endswith("Nothing is worse by more than 5 %.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.sqlite", "benchmarks.sqlite"], "Error: none.sqlite cannot be read: No such file or directory"),
        (["benchmarks.sqlite@aaaa", "benchmarks.sqlite@latest~9"], "goes back further than the runs that are there"),
        (["benchmarks.sqlite", "benchmarks.sqlite"], "are the same runs"),
        (["benchmarks.sqlite@aaaa", "benchmarks.sqlite@bbbb", "--metric", "JobRuntimeSecond"], "Did you mean 'JobR"),
        (["benchmarks.sqlite@aaaa", "benchmarks.sqlite@bbbb", "--threshold", "much"], "'much' is no percentage"),
        (["benchmarks.sqlite@aaaa", "benchmarks.sqlite@bbbb", "--threshold", "-5%"], "'-5%' is no percentage"),
        (["benchmarks.sqlite@aaaa", "benchmarks.sqlite@bbbb", "--threshold", "nan"], "'nan' is no percentage"),
        (["benchmarks.sqlite"], "Missing argument 'B'"),
    ],
)
def test_what_cannot_be_compared_ends_with_2(store: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_different_machines_end_with_2_unless_they_are_asked_for(store: Path) -> None:
    write_json(store / "a.json", [made_run(FAST)])
    write_json(store / "b.json", [made_run(FAST, day=1, host="laptop", processor="Slow 1", cores=2)])
    refused = run("a.json", "b.json")
    assert refused.exit_code == 2
    assert "A of server, Quick 3000, 8 cores, 34.4 GB; B of laptop, Slow 1, 2 cores, 34.4 GB" in refused.stderr
    allowed = run("a.json", "b.json", "--across-machines")
    assert allowed.exit_code == 0
    assert "Machines A: server, Quick 3000, 8 cores, 34.4 GB. B: laptop, Slow 1" in allowed.stdout


def test_of_many_without_a_partner_the_first_are_shown(store: Path) -> None:
    write_json(store / "a.json", [made_run()])
    write_json(store / "b.json", [made_run(day=1), *(made_run(name=f"case-{each}") for each in range(15))])
    result = run("a.json", "b.json")
    assert result.stdout.count("is not in A") == 10
    assert "  … and 5 others\n" in result.stdout


def test_json_has_every_sample_and_ends_the_same_way(store: Path) -> None:
    result = run("benchmarks.sqlite@aaaa", "benchmarks.sqlite@bbbb", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["a"], document["b"]) == ("benchmarks.sqlite@aaaa", "benchmarks.sqlite@bbbb")
    assert (document["worse"], document["threshold_percent"]) == (True, 5.0)
    (slower,) = [row for row in document["rows"] if row["worse"]]
    assert slower["a"]["samples"] == FAST
    assert slower["b"]["samples"] == SLOW
    assert slower["verdict"] == "slower"


def test_a_terminal_shows_what_is_worse_in_red(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    outside, inside = pty.openpty()
    with os.fdopen(inside, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        with pytest.raises(SystemExit) as ended:
            app(["bench", "compare", "benchmarks.sqlite@aaaa", "benchmarks.sqlite@bbbb"])
        terminal.flush()
        shown = os.read(outside, 100_000).decode()
    os.close(outside)
    assert ended.value.code == 1
    assert "\x1b[31m  embedded        61.3 s   70.3 s" in shown
    assert "Nothing" not in shown


CASE = """
from runinference.benchmarks import Benchmark
from runinference.metrics.measures import Measure

class Scored(Benchmark):
    name = "scored"
    title = "Scored"
    measures = [Measure("score", "points", "score", "How good.", "higher")]

    def examples(self):
        return []

    def handler(self):
        return None
"""


def test_a_benchmark_of_ones_own_says_which_side_of_its_measures_is_better(store: Path) -> None:
    (store / "cases").mkdir()
    (store / "cases" / "scored.py").write_text(CASE)
    write_json(store / "a.json", [made_run(name="scored", samples={"score": [1.0, 1.0]})])
    write_json(store / "b.json", [made_run(name="scored", day=1, samples={"score": [2.0, 2.0]})])
    assert run("a.json", "b.json", "--metric", "score").exit_code == 1
    result = run("a.json", "b.json", "--metric", "score", "--cases", "cases")
    assert result.exit_code == 0
    assert "score in points, higher is better" in result.stdout
