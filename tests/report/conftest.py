"""Runs that were recorded, and what is in a page."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from runinference import infer
from runinference.report import Recording, RunSummary
from runinference.report.page import page
from runinference.report.timeline import Point
from runinference.testing.fakes import CountingHandler


def record(rows, handler=None, **options) -> RunSummary:
    """Runs a handler over rows with a recording."""
    with Recording("fake over numbers", **options) as recording:
        list(
            infer(
                recording.reading(rows),
                handler or CountingHandler(),
                metrics=recording.metrics,
                on_failure=recording.failures,
            )
        )
    return recording.summary()


def curve(seconds: int = 60) -> list[Point]:
    """Points of a run of that length in which rows 20 to 40 fail at times."""
    return [Point(at / 2, at * 500, max(0, min(at, 80) - 40) * 3, at * 4, at * 0.45) for at in range(2 * seconds + 1)]


class Elements(HTMLParser):
    """The elements of a page, their attributes and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._style = False
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag):
        self._style = self._style and tag != "style"

    def handle_data(self, data):
        self.text += "" if self._style else f"{data} "

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def read():
    """Makes the page of a summary and reads it."""
    return lambda summary: Elements(page(summary))
