"""Runs Beam's tests in processes of their own and compares the outcome with the lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.beam_compat.lists import DIFFERENT, NOT_APPLICABLE, WHOLE_MODULE

# Parts run side by side; most of what is slow waits.
PARTS = {"base_test": 6, "sklearn_inference_test": 1, "pytorch_inference_test": 1, "onnx_inference_test": 1}
_ROOT = Path(__file__).parents[2]
_LONGEST_TEST_S = 200


@dataclass
class Verdict:
    """What became of the tests of a module.

    Attributes:
        passed: Tests that pass.
        different: Tests that fail and are listed as different, with the reason.
        not_applicable: Tests that are listed as not applicable, with the reason.
        failed: Tests that fail and are not listed, with the error.
        untrue: What the lists say and is not so.
    """

    module: str
    passed: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    untrue: list[str] = field(default_factory=list)

    @property
    def applicable(self) -> int:
        return len(self.passed) + len(self.different) + len(self.failed)


def verdicts() -> list[Verdict]:
    """Runs all modules."""
    parts = [(module, number, count) for module, count in PARTS.items() for number in range(1, count + 1)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(parts)) as pool:
        ran = list(pool.map(lambda part: _run(Path(folder), *part), parts))
    found = []
    for module in PARTS:
        errors: dict[str, str | None] = {}
        there: list[str] = []
        for (of_module, _, _), outcome in zip(parts, ran, strict=True):
            if of_module == module:
                there = outcome["there"]
                errors.update(outcome["errors"])
        found.append(_verdict(module, there, errors))
    return found


def _run(folder: Path, module: str, number: int, count: int) -> dict:
    file = folder / f"{module}-{number}.json"
    command = [sys.executable, "-m", "pytest", "-q", "--pyargs", f"apache_beam.ml.inference.{module}"]
    plugins = ["-p", "tests.beam_compat.stand_ins", "-p", "tests.beam_compat.outcomes", "-p", "no:cacheprovider"]
    options = ["-c", os.devnull, "--rootdir", folder, "--tb=short", "-W", "ignore"]
    ours = ["--outcomes", file, "--part", f"{number}/{count}", "--timeout", str(_LONGEST_TEST_S)]
    done = subprocess.run([*command, *plugins, *options, *ours], cwd=_ROOT, capture_output=True, text=True, check=False)
    if not file.exists():
        raise RuntimeError(f"{module} could not be run:\n{done.stdout}\n{done.stderr}")
    return json.loads(file.read_text())


def _verdict(module: str, there: list[str], errors: dict[str, str | None]) -> Verdict:
    verdict = Verdict(module, not_applicable=NOT_APPLICABLE.get(module, {}))
    different = DIFFERENT.get(module, {})
    for name, error in errors.items():
        if error is None:
            verdict.passed.append(name)
        elif name in different:
            verdict.different[name] = different[name]
        else:
            verdict.failed[name] = error
    gone = {*different, *verdict.not_applicable} - {*there, WHOLE_MODULE}
    verdict.untrue += [f"{name} is listed, but is not there" for name in sorted(gone)]
    verdict.untrue += [f"{name} is listed as different, but passes" for name in verdict.passed if name in different]
    if WHOLE_MODULE in verdict.not_applicable and there:
        verdict.untrue.append(f"{module} is listed as a whole, but has tests that can be run")
    return verdict


def share_that_passes(found: list[Verdict]) -> float:
    """Of the tests that apply, over all modules."""
    return sum(len(verdict.passed) for verdict in found) / sum(verdict.applicable for verdict in found)
