"""Every Python block and every `runinference` command of the documentation works and prints what the page says.

The blocks of a page run in their order, in one namespace and one temporary folder:

- ```` ```python ```` is run; followed by ```` ```text title="Output" ````, it prints exactly that;
- ```` ```python title="name.py" ```` is written to that file;
- in ```` ```console ````, `$ runinference …`, `$ python …` and `$ pytest …` are run. They end with 0, or with what
  `$ echo $?` right after them shows. Lines that are not indented are also looked for in the output, apart from numbers;
- a block after `<!-- no-test: reason -->` is left out.

What a page needs besides, such as models that nobody wants to read the making of, is made by `prepare/PAGE.py`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # Read when transformers are imported; the blocks need no network.

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PREPARE = Path(__file__).parent / "prepare"
SKIP = re.compile(r"<!-- no-test(?:: (?P<reason>.+?))? -->")
FENCE = re.compile(r"(?P<ticks>`{3,})(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\s*$")
RUN = {"runinference": ["-m", "runinference"], "pytest": ["-m", "pytest", "-p", "no:cacheprovider"], "python": []}


@dataclass(frozen=True)
class Block:
    """One fenced block: its code, the number of its first line, and what it should print where the page says so."""

    language: str
    title: str | None
    code: str
    line: int
    skip: bool
    output: str | None


@dataclass(frozen=True)
class Command:
    """A line behind `$`, with what the page shows below it."""

    words: list[str]
    shown: list[str]


def blocks_of(text: str) -> list[Block]:
    found: list[Block] = []
    skip, after_code = False, False
    lines = iter(enumerate(text.splitlines(), 1))
    for _, line in lines:
        fence = FENCE.match(line)
        if fence is None:
            if SKIP.search(line):
                skip = True
            elif line.strip():
                skip = after_code = False
            continue
        start, code = _inside(lines, fence["ticks"])
        if after_code and fence["language"] == "text" and fence["title"] == "Output":
            found[-1] = Block(**{**vars(found[-1]), "output": code})
            after_code = False
            continue
        found.append(Block(fence["language"], fence["title"], code, start, skip, None))
        skip, after_code = False, fence["language"] == "python"
    return found


def _inside(lines: Iterator[tuple[int, str]], ticks: str) -> tuple[int, str]:
    code: list[str] = []
    start = 0
    for number, line in lines:
        start = start or number
        if line.rstrip() == ticks:
            break
        code.append(line)
    return start, "\n".join(code) + "\n"


def commands_of(code: str) -> list[Command]:
    found: list[Command] = []
    for line in code.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append(Command(shlex.split(line[2:], comments=True), []))
        elif found:
            found[-1].shown.append(line)
    return found


# Keras itself hands numpy an object without the newer form of __array__ when it writes a model.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_work(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.syspath_prepend(str(tmp_path))
    # As in a script, so that what a block defines can be pickled and has the name that a reader sees.
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    known = set(sys.modules)
    try:
        prepare = PREPARE / f"{page.stem}.py"
        if prepare.exists():
            runpy.run_path(str(prepare), run_name="__main__")
        for block in blocks_of(page.read_text("utf-8")):
            if block.skip:
                continue
            if block.language == "python" and block.title is not None:
                Path(block.title).write_text(block.code, "utf-8")
            elif block.language == "python":
                run_python(block, module, page.name)
            elif block.language == "console":
                run_console(block, page.name)
    finally:
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]


def run_python(block: Block, module: types.ModuleType, page: str) -> None:
    printed = io.StringIO()
    # Blank lines before the code let a traceback show the line of the page.
    code = compile("\n" * (block.line - 1) + block.code, page, "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, vars(module))
    if block.output is not None:
        assert printed.getvalue() == block.output, f"{page}, line {block.line}, prints something else"


def run_console(block: Block, page: str) -> None:
    commands = commands_of(block.code)
    for position, command in enumerate(commands):
        if command.words[0] not in RUN:
            continue
        following = commands[position + 1] if position + 1 < len(commands) else None
        expected = int(following.shown[0]) if following is not None and following.words == ["echo", "$?"] else 0
        ended = subprocess.run(
            [sys.executable, *RUN[command.words[0]], *command.words[1:]],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"},
        )
        where = f"{page}, line {block.line}: {shlex.join(command.words)}\n{ended.stdout}"
        assert ended.returncode == expected, where
        printed = {_without_numbers(line) for line in ended.stdout.splitlines()}
        for line in command.shown:
            if line.strip() and not line.startswith((" ", "…")):
                assert _without_numbers(line) in printed, f"{line!r} is not printed by {where}"


def _without_numbers(line: str) -> str:
    """A line with `#` for each number and its unit, and one space for each gap: both differ from run to run."""
    return re.sub(r"\d[\d.,:/]*(?: ?(?:µs|ms|s|bytes|kB|MB|GB))?\b", "#", " ".join(line.split()))


def test_every_block_that_is_left_out_says_why() -> None:
    for page in PAGES:
        for marker in SKIP.finditer(page.read_text("utf-8")):
            assert marker["reason"], f"{page.name}: write <!-- no-test: reason -->"


def test_blocks_are_found_with_their_outputs_and_skips() -> None:
    text = '```python\n1\n```\n\n```text title="Output"\nout\n```\n\n<!-- no-test: why -->\n```console\n$ x\n```\n'
    first, second = blocks_of(text)
    assert (first.code, first.line, first.output, first.skip) == ("1\n", 2, "out\n", False)
    assert (second.language, second.skip) == ("console", True)


def test_a_command_may_go_over_several_lines() -> None:
    (command,) = commands_of("$ runinference run \\\n    a 'b c'\nshown\n")
    assert command.words == ["runinference", "run", "a", "b c"]
    assert command.shown == ["shown"]
