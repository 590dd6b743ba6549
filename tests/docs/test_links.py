"""Links lead somewhere, every public name is documented, and the errors that are explained are those of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import runinference
from runinference import report
from runinference.metrics import sinks

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """What the headings of a page can be linked by."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in LINK.finditer(text):
        target = link["target"]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), f"{page.name} links to {target}, which does not exist"
        if anchor:
            there = anchors(place.read_text("utf-8"))
            assert anchor in there, f"{page.name} links to {target}, which has no such heading"


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f" {page.name}\n" not in menu] == []


@pytest.mark.parametrize("module", [runinference, sinks, report], ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    reference = (ROOT / "docs" / "api.md").read_text("utf-8")
    documented = set(re.findall(r"^#* *::: runinference\.(?:\w+\.)*(\w+)$", reference, re.MULTILINE))
    assert set(module.__all__) - {"__version__"} - documented == set()


def test_explained_errors_are_raised_by_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    headings = re.findall(r"^### `(.+)`$", page, re.MULTILINE)
    assert headings
    texts = list(texts_of_the_code())
    for heading in headings:
        for fragment in heading.split("…"):
            known = any(fragment.strip(" .,:;?'\"()[]") in text for text in texts)
            assert known, f"troubleshooting.md explains {heading!r}, but the code does not say {fragment!r}"


def texts_of_the_code() -> Iterator[str]:
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
