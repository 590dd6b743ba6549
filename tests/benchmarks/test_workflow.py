"""The nightly workflow: what it names is there, and its store survives whatever fails."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_runs import made_run, write_store

from runinference.metrics.history import read_runs

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".github" / "benchmarks.sh"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

needs_git = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("bash", "git", "gzip")), reason="needs bash, git and gzip"
)


def workflow(path):
    document = yaml.safe_load(path.read_text("utf-8"))
    return document | {"on": document.pop(True)}  # YAML takes the word for a truth value.


def steps(document):
    return [step for job in document["jobs"].values() for step in job["steps"]]


@pytest.fixture(scope="module")
def nightly():
    return workflow(ROOT / ".github" / "workflows" / "benchmarks.yml")


def step(document, name):
    (found,) = [step for step in steps(document) if step.get("name") == name]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_names_only_targets_and_scripts_that_there_are(path):
    commands = "\n".join(step.get("run", "") for step in steps(workflow(path)))
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    made = [name for line in re.findall(r"^make ([a-z -]+)", commands, re.MULTILINE) for name in line.split()]
    assert set(made) <= targets
    for script in re.findall(r"(?:^|[ ;&|])(\.[\w/.-]+|[\w-]+/[\w/.-]+\.(?:sh|py))(?= |$)", commands, re.MULTILINE):
        if not script.startswith(".venv/"):
            assert os.access(ROOT / script, os.X_OK), f"{path.name} runs {script}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_a_job_says_so_and_its_jobs_end(path):
    document = workflow(path)
    assert document["permissions"] == {"contents": "read"}
    for job in document["jobs"].values():
        assert job["timeout-minutes"] <= 360
    for step in steps(document):
        assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


@pytest.mark.parametrize("path", [ROOT / "Makefile", SCRIPT, *WORKFLOWS], ids=lambda path: path.name)
def test_the_commands_of_runinference_that_are_run_are_there(path):
    app = pytest.importorskip("runinference.cli.app").app
    for command in re.findall(r"(?:bin/runinference|-m runinference) ([a-z]+(?: [a-z]+)?)", path.read_text("utf-8")):
        group, _, name = command.partition(" ")
        assert group in app.commands
        assert group != "bench" or name in app.commands["bench"].commands


def test_it_runs_each_night_and_when_it_is_asked_for_but_one_at_a_time(nightly):
    assert re.fullmatch(r"\d+ \d+ \* \* \*", nightly["on"]["schedule"][0]["cron"])
    assert "workflow_dispatch" in nightly["on"]
    assert nightly["concurrency"]["cancel-in-progress"] is False


def test_the_steps_come_in_their_order(nightly):
    names = [step.get("name") for step in nightly["jobs"]["measure"]["steps"]]
    order = ["Fetch the runs", "Measure", "Keep the runs", "Keep a second", "Compare", "Build", "Upload", "Say what"]
    places = [next(at for at, name in enumerate(names) if name and name.startswith(start)) for start in order]
    assert places == sorted(places)


def test_the_runs_are_kept_whatever_failed_but_not_where_the_earlier_ones_could_not_be_fetched(nightly):
    for name in ("Keep the runs", "Keep a second copy"):
        assert step(nightly, name)["if"] == "${{ always() && steps.fetch.outcome == 'success' }}"
    measure = step(nightly, "Measure")
    assert measure["continue-on-error"] is True
    assert measure["timeout-minutes"] < nightly["jobs"]["measure"]["timeout-minutes"]


def test_a_failure_and_what_got_slower_fail_the_job_after_the_website_is_uploaded(nightly):
    assert step(nightly, "Compare with the last run")["continue-on-error"] is True
    said = step(nightly, "Say what failed")
    assert "steps.measure.outcome == 'failure' || steps.compare.outcome == 'failure'" in said["if"]
    assert nightly["jobs"]["measure"]["steps"][-1] == said
    assert "exit 1" in said["run"]
    assert "!cancelled()" in nightly["jobs"]["publish"]["if"]


def test_each_job_has_the_rights_that_it_needs(nightly):
    assert nightly["jobs"]["measure"]["permissions"] == {"contents": "write"}
    assert nightly["jobs"]["publish"]["permissions"] == {"pages": "write", "id-token": "write"}


# The script, with real repositories.


@pytest.fixture
def night(tmp_path, monkeypatch):
    """A repository and its origin, and a way to run the script in it."""
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "night")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "night@example.com")
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    _git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    return Night(tmp_path, "first")


class Night:
    def __init__(self, folder, name):
        self.folder = folder / name
        self.store = self.folder / "benchmarks.sqlite"
        _git(folder, "init", "--quiet", name)
        _git(self.folder, "remote", "add", "origin", "../origin.git")

    def run(self, *arguments, **environment):
        command = ["bash", str(SCRIPT), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )

    def fine(self, *arguments):
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


def _git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def days(store):
    return [run.session for run in read_runs(store)]


@needs_git
def test_what_one_night_keeps_the_next_night_fetches(night, tmp_path):
    assert "There are no runs yet" in night.fine("fetch", "benchmarks.sqlite")
    assert not night.store.exists()
    write_store(night.store, [made_run(day=0)])
    assert night.fine("keep", "benchmarks.sqlite") == "1 runs are kept.\n"
    for day in (1, 2):
        following = Night(tmp_path, f"night-{day}")
        assert following.fine("fetch", "benchmarks.sqlite") == f"benchmarks.sqlite has {day} runs.\n"
        write_store(following.store, [made_run(day=day)])
        following.fine("keep", "benchmarks.sqlite")
    last = Night(tmp_path, "last")
    last.fine("fetch", "benchmarks.sqlite")
    assert len(days(last.store)) == 3


@needs_git
def test_the_branch_does_not_grow_with_each_night(night, tmp_path):
    write_store(night.store, [made_run()])
    for _ in range(3):
        night.fine("keep", "benchmarks.sqlite")
    origin = tmp_path / "origin.git"
    assert _git(origin, "rev-list", "--count", "benchmark-data") == "1"
    assert _git(origin, "ls-tree", "--name-only", "benchmark-data") == "benchmarks.sqlite.gz"


@needs_git
def test_where_fetching_fails_nothing_is_taken_for_a_first_night(night, tmp_path):
    write_store(night.store, [made_run()])
    night.fine("keep", "benchmarks.sqlite")
    following = Night(tmp_path, "following")
    _git(following.folder, "remote", "set-url", "origin", "../nowhere.git")
    assert following.run("fetch", "benchmarks.sqlite").returncode != 0
    _git(following.folder, "remote", "set-url", "origin", "../origin.git")
    write_store(following.store, [made_run(day=1), made_run(day=2)])
    assert following.run("keep", "benchmarks.sqlite").returncode != 0
    night.fine("fetch", "benchmarks.sqlite")
    assert len(days(night.store)) == 1


@needs_git
def test_of_two_at_once_the_later_one_does_not_undo_the_earlier(night, tmp_path):
    write_store(night.store, [made_run()])
    night.fine("keep", "benchmarks.sqlite")
    both = [Night(tmp_path, name) for name in ("one", "other")]
    for number, each in enumerate(both):
        each.fine("fetch", "benchmarks.sqlite")
        write_store(each.store, [made_run(day=1 + number)])
    both[0].fine("keep", "benchmarks.sqlite")
    refused = both[1].run("keep", "benchmarks.sqlite")
    assert refused.returncode != 0
    assert "stale info" in refused.stderr
    night.fine("fetch", "benchmarks.sqlite")
    assert days(night.store) == [f"{0:032x}", f"{1:032x}"]


@needs_git
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda store: store.unlink(), "There is no benchmarks.sqlite"),
        (lambda store: store.write_bytes(b""), "There is no benchmarks.sqlite"),
        (lambda store: store.write_bytes(b"SQLite format 3\0" + bytes(500)), "database"),
        (lambda store: store.write_bytes(store.read_bytes()[:-5000]), "malformed|damaged"),
        (lambda store: (store.unlink(), write_store(store, [made_run(day=9)])), "has 1 runs, and there were 2"),
    ],
    ids=["gone", "empty", "no database", "cut off", "begun anew"],
)
def test_a_store_that_lost_runs_is_not_kept(night, tmp_path, spoil, message):
    write_store(night.store, [made_run(day=0), made_run(day=1)])
    night.fine("keep", "benchmarks.sqlite")
    night.fine("fetch", "benchmarks.sqlite")
    spoil(night.store)
    refused = night.run("keep", "benchmarks.sqlite")
    assert refused.returncode != 0
    assert re.search(message, refused.stderr)
    night.fine("fetch", "benchmarks.sqlite")
    assert len(days(night.store)) == 2


@needs_git
@pytest.mark.parametrize(
    ("seconds", "threshold", "code", "said"),
    [
        ([20.0, 20.1], "10%", 1, "slower !"),
        ([20.0, 20.1], "200%", 0, "slower"),
        ([10.0, 10.1], "10%", 0, "no difference"),
    ],
)
def test_what_got_slower_fails_and_is_in_the_summary(night, tmp_path, seconds, threshold, code, said):
    pytest.importorskip("click")
    write_store(night.folder / "before.sqlite", [made_run([10.0, 10.1])])
    shutil.copy(night.folder / "before.sqlite", night.store)
    write_store(night.store, [made_run(seconds, day=1)])
    summary = tmp_path / "summary.md"
    arguments = ["compare", "before.sqlite", "benchmarks.sqlite", "--threshold", threshold]
    ended = night.run(*arguments, GITHUB_STEP_SUMMARY=str(summary))
    assert ended.returncode == code, ended.stderr
    assert said in ended.stdout
    assert said in summary.read_text("utf-8")


@needs_git
def test_where_nothing_can_be_compared_the_night_does_not_fail(night):
    pytest.importorskip("click")
    write_store(night.store, [made_run()])
    first = night.run("compare", "before.sqlite", "benchmarks.sqlite")
    assert (first.returncode, first.stdout) == (0, "::notice::There are no runs to compare with yet\n")
    write_store(night.folder / "before.sqlite", [made_run(processor="Other 7")])
    elsewhere = night.run("compare", "before.sqlite", "benchmarks.sqlite")
    assert elsewhere.returncode == 0
    assert "different machines" in elsewhere.stdout
    assert "::warning::Nothing could be compared" in elsewhere.stdout


@needs_git
def test_without_a_command_the_script_says_what_there_is(night):
    ended = night.run()
    assert ended.returncode == 2
    assert "fetch STORE" in ended.stderr
