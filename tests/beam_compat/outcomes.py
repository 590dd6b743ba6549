"""A pytest plugin: runs one part of the tests that apply, and writes down what became of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.beam_compat.lists import NOT_APPLICABLE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, help="the file to write to")
    parser.addoption("--part", default="1/1", help="which part of the tests to run, of how many")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Outcomes(config))


class _Outcomes:
    def __init__(self, config: pytest.Config) -> None:
        self._file = config.getoption("--outcomes")
        self._number, self._parts = map(int, config.getoption("--part").split("/"))
        self._there: list[str] = []
        self._errors: dict[str, str | None] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        self._there = [_name(item.nodeid) for item in items]
        out = {name for module in NOT_APPLICABLE.values() for name in module}
        applicable = [item for item in items if _name(item.nodeid) not in out]
        items[:] = applicable[self._number - 1 :: self._parts]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = _name(report.nodeid)
        self._errors.setdefault(name, None)
        if not report.passed:
            self._errors[name] = report.longreprtext or report.outcome

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps({"there": self._there, "errors": self._errors}))


def _name(nodeid: str) -> str:
    return "::".join(nodeid.split("::")[-2:])
