"""The generated parts of the documentation are up to date and say everything."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import runinference
from runinference import errors
from runinference.cli.app import app
from runinference.handlers.pytorch.options import TorchOptions
from runinference.jobs.schemes import SCHEMES
from runinference.metrics import METRICS
from runinference.options import HandlerOptions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_generated_parts_are_up_to_date(generate: ModuleType) -> None:
    behind = [path.name for path in generate.stale(generate.pages())]
    assert not behind, f"{', '.join(behind)} out of date: run {generate.MENDED_BY}"


def test_every_part_is_on_a_page(generate: ModuleType) -> None:
    text = "".join(path.read_text("utf-8") for path in generate.pages())
    assert [name for name in generate.PARTS if f"<!-- generated: {name} -->" not in text] == []


def test_check_ends_with_0_and_writes_nothing_where_all_is_well() -> None:
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "docs").glob("*.md")}
    ended = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, check=False)
    assert ended.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_check_names_the_stale_page_and_what_mends_it(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text("a\n<!-- generated: errors -->\nold\n<!-- /generated -->\nb\n", "utf-8")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
    assert capsys.readouterr().err == "README.md is out of date: run make docs-tables\n"
    assert "old" in page.read_text("utf-8")

    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    text = page.read_text("utf-8")
    assert text.startswith("a\n<!-- generated: errors -->\n```text\nRunInferenceError\n")
    assert text.endswith("```\n<!-- /generated -->\nb\n")


def test_an_unknown_part_is_an_error(generate: ModuleType) -> None:
    with pytest.raises(KeyError, match="no-such-part"):
        generate.up_to_date("<!-- generated: no-such-part -->\n<!-- /generated -->")


def test_every_option_is_in_the_table(generate: ModuleType) -> None:
    table = generate.options_table()
    assert [name for name in HandlerOptions.__annotations__ if f"| `{name}` |" not in table] == []


def test_every_option_for_pytorch_is_in_its_table_or_that_of_all_handlers(generate: ModuleType) -> None:
    table = generate.options_table() + generate.torch_options_table()
    assert [name for name in TorchOptions.__annotations__ if table.count(f"| `{name}` |") != 1] == []


def test_every_metric_is_in_the_table(generate: ModuleType) -> None:
    table = generate.metric_table()
    assert [name for name in METRICS if f"| `{name}` |" not in table] == []


def test_every_command_has_its_help(generate: ModuleType) -> None:
    text = generate.command_help()
    assert [name for name in app.commands if f"### runinference {name}\n" not in text] == []


def test_every_error_is_in_the_tree(generate: ModuleType) -> None:
    classes = [
        name
        for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, errors.RunInferenceError)
    ]
    tree = generate.error_tree()
    assert [name for name in classes if name not in tree] == []


def test_every_handler_and_scheme_is_among_those_to_choose_from() -> None:
    page = (ROOT / "docs" / "choosing-a-handler.md").read_text("utf-8")
    assert [scheme for scheme in SCHEMES if f"| `{scheme}:" not in page] == []
    classes = [name for name in runinference.__all__ if "ModelHandler" in name and name != "ModelHandler"]
    # Of several for one library the others are written as their endings.
    endings = [f"`…{name.rpartition('ModelHandler')[2]}`" for name in classes]
    assert [name for name, end in zip(classes, endings, strict=True) if name not in page and end not in page] == []


def test_the_readme_names_every_extra_and_what_is_in_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    readme = (ROOT / "README.md").read_text("utf-8")
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name not in {"dev", "peers"}}
    for extra, needs in extras.items():
        (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{extra}` |")]
        missing = [need for need in needs if need.partition(">")[0] not in row]
        assert not missing, f"README.md does not say that {extra} installs {missing}"
