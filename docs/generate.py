"""Writes the parts of the documentation that follow from the code, between `<!-- generated: NAME -->` markers.

`--check` writes nothing and exits with 1 if a part is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import click

from runinference import errors
from runinference.benchmarks.flags import FLAGS
from runinference.benchmarks.markdown import machine_line, results_table
from runinference.cli.app import app
from runinference.handlers.pytorch.options import Precision, TorchOptions
from runinference.metrics import METRICS
from runinference.metrics.history import read_runs
from runinference.metrics.measures import MEASURES
from runinference.options import HandlerOptions

ROOT = Path(__file__).resolve().parent.parent
MENDED_BY = "make docs-tables"
_MARKED = re.compile(r"(?P<start><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- /generated -->)", re.DOTALL)
_WIDTH = 88


def pages() -> list[Path]:
    """Every page that may hold generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def up_to_date(text: str) -> str:
    """The text of a page with its generated parts written anew.

    Raises:
        KeyError: A marker names a part that there is not.
    """
    return _MARKED.sub(lambda part: f"{part['start']}{PARTS[part['name']]()}{part['end']}", text)


def stale(paths: list[Path]) -> list[Path]:
    """Those pages whose generated parts are out of date."""
    return [path for path in paths if (text := path.read_text("utf-8")) != up_to_date(text)]


def options_table() -> str:
    """The options of a handler."""
    return _options(HandlerOptions, HandlerOptions.__annotations__)


def torch_options_table() -> str:
    """The options that handlers for PyTorch models take besides."""
    own = {
        name: kind for name, kind in TorchOptions.__annotations__.items() if name not in HandlerOptions.__annotations__
    }
    return _options(TorchOptions, own)


def metric_table() -> str:
    """Every metric, one table for each group."""
    parts: list[str] = []
    for group in dict.fromkeys(spec.group for spec in METRICS.values()):
        rows = [(f"`{spec.name}`", spec.kind, spec.unit, spec.help) for spec in METRICS.values() if spec.group == group]
        parts.append(f"### {group.capitalize()}\n\n{_table(('Name', 'Kind', 'Unit', 'Definition'), rows)}")
    return "\n".join(parts)


def measured_table(names: str = "") -> str:
    """The last results of the benchmarks whose names begin like this, beside Beam's."""
    folder = max((ROOT / "benchmarks" / "results").glob("suite-*"))
    results = [run for path in sorted(folder.glob("*.json")) for run in read_runs(path)]
    runs = [run for run in results if run.info.name.startswith(names)]
    return f"{results_table(runs)}\n{machine_line(runs)}. Every sample is in `{folder.relative_to(ROOT).as_posix()}`.\n"


def measure_table() -> str:
    """What benchmarks measure beyond the metrics of the engine."""
    rows = [(f"`{each.name}`", each.unit, each.better or "neither", each.help) for each in MEASURES.values()]
    return _table(("Name", "Unit", "Better", "Definition"), rows)


def benchmark_flag_table() -> str:
    """The flags of Beam's benchmarks that ours take too."""
    return _table(("Flag", "Value", "Meaning"), [(f"`--{flag.name}`", flag.kind, flag.help) for flag in FLAGS.values()])


def command_help() -> str:
    """What each command prints for `--help`."""
    return "\n".join(_helps(app, _context(app, "runinference", None)))


def _helps(command: click.Command, context: click.Context) -> Iterator[str]:
    """The help of a command, and of those below it."""
    yield _help_of(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _helps(inner, _context(inner, name, context))


def error_tree() -> str:
    """The tree that is drawn in the docstring of `runinference.errors`."""
    drawn = re.search(r"\n((?: {4}.*\n)+)", errors.__doc__ or "")
    assert drawn is not None
    return f"```text\n{inspect.cleandoc(drawn[1])}\n```\n"


PARTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "benchmark-flags": benchmark_flag_table,
        "commands": command_help,
        "errors": error_tree,
        "measured": measured_table,
        "measured-pytorch": partial(measured_table, "pytorch-"),
        "measures": measure_table,
        "metrics": metric_table,
        "options": options_table,
        "torch-options": torch_options_table,
    }
)
"""What a marker may name, and what writes it."""


def _options(cls: type, annotations: Mapping[str, object]) -> str:
    """A table of options, from the docstring of `cls` and the annotations as they are written."""
    meanings = _attributes(cls)
    rows = [(f"`{name}`", f"`{_type_text(kind)}`", meanings[name]) for name, kind in annotations.items()]
    return _table(("Option", "Type", "Meaning"), rows)


def _attributes(cls: type) -> dict[str, str]:
    """The `Attributes:` of a class's docstring by name, each on one line."""
    section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.split(r"^ {4}(\w+): ", section, flags=re.MULTILINE)[1:]
    return {name: " ".join(text.split()) for name, text in zip(entries[::2], entries[1::2], strict=True)}


def _type_text(annotation: object) -> str:
    text = str(getattr(annotation, "__forward_arg__", None) or annotation)
    return text.replace("Precision", _PRECISION).removesuffix(" | None")


# An alias says nothing to whoever reads the table.
_PRECISION = str(Precision).removeprefix("typing.").replace("'", '"')


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "".join(_lines([headings, ("---",) * len(headings), *rows]))


def _lines(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n"


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "max_content_width": _WIDTH, "terminal_width": _WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def _help_of(context: click.Context) -> str:
    text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"### {context.command_path}\n\n```text\n{text}\n```\n"


def main() -> int:
    """Writes all generated parts, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a part is out of date")
    check: bool = parser.parse_args().check
    behind = stale(pages())
    for path in behind:
        if check:
            sys.stderr.write(f"{path.relative_to(ROOT)} is out of date: run {MENDED_BY}\n")
        else:
            path.write_text(up_to_date(path.read_text("utf-8")), "utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 1 if check and behind else 0


if __name__ == "__main__":
    sys.exit(main())
