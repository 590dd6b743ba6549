"""What CI runs is there: the workflow of GitHub, the script that it calls, the targets that this one makes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only what is checked out has workflows")


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    content = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.fixture(scope="module")
def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def made_by(script: str) -> set[str]:
    """The targets that the lines of a script make."""
    calls = re.findall(r"^\s*make ([a-z -]+)$", script, re.MULTILINE)
    return {target for call in calls for target in call.split()}


def test_it_runs_on_pushes_and_pull_requests(workflow: dict[Any, Any]) -> None:
    # YAML 1.1 takes `on` for a truth value.
    assert {"push", "pull_request"} <= workflow[True].keys()


def test_each_step_is_a_script_or_an_action_of_some_version(steps: list[dict[str, Any]]) -> None:
    for step in steps:
        assert ("run" in step) != ("uses" in step)
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/script@v1"))


def test_the_scripts_and_targets_that_it_runs_are_there(steps: list[dict[str, Any]]) -> None:
    runs = [step["run"] for step in steps if "run" in step]
    scripts = [ROOT / name for run in runs for name in re.findall(r"(?:^|\s)(\.ci/\S+)", run)]
    assert ROOT / ".ci" / "run" in scripts
    assert [script for script in scripts if not os.access(script, os.X_OK)] == []
    made = made_by("\n".join([*runs, *(script.read_text("utf-8") for script in scripts)]))
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"check", "test"} <= made <= {target for rule in rules for target in rule.split()}


def test_pictures_and_the_site_are_kept_from_where_tests_and_benchmarks_leave_them(steps: list[dict[str, Any]]) -> None:
    kept = {step["with"]["name"]: step for step in steps if "upload-artifact" in step.get("uses", "")}
    assert {step["if"] for step in kept.values()} == {"always()"}
    folder, _, name = kept["screenshots"]["with"]["path"].partition("/")
    source = (ROOT / "tests" / "report" / "test_in_browser.py").read_text("utf-8")
    assert f'ROOT / "{folder}" / "{name}"' in source
    assert f"-o {kept['performance-site']['with']['path']}\n" in (ROOT / "Makefile").read_text("utf-8")
