"""Dependencies point one way, from the adapters to the values."""

import ast
from pathlib import Path

import pytest

import runinference

pytestmark = pytest.mark.core

ROOT = Path(runinference.__file__).parent

# Each room may import from itself and from rooms before it.
LAYERS = [
    {"prediction", "errors", "pending"},
    {"cache", "options", "packages"},
    {"handler"},
    {"keyed"},
    {"ensemble"},
    {"batching", "models", "metrics", "progress"},
    {"engine"},
    {"handlers", "report"},
    {"beam", "jobs", "testing"},
    {"benchmarks"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
CORE_ONLY = {"numpy", "runinference"}
CORE = {
    "prediction",
    "errors",
    "cache",
    "packages",
    "pending",
    "options",
    "handler",
    "keyed",
    "ensemble",
    "batching",
    "models",
    "metrics",
    "progress",
    "engine",
}


def modules():
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path, everywhere=True):
    """The modules that a file imports, without those that are for type checkers only."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree) if everywhere else tree.body:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module


def rooms_imported(path):
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "runinference" and len(parts) > 1:
            yield parts[1]


def test_every_room_has_its_layer():
    assert {room(path) for path in modules()} <= set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_lower_rooms(path):
    own = room(path)
    wrong = [other for other in rooms_imported(path) if other != own and LEVEL[other] >= LEVEL[own]]
    assert wrong == []


@pytest.mark.parametrize(
    "path", [path for path in modules() if room(path) in CORE], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_core_imports_only_numpy_when_it_is_imported(path):
    import sys

    for name in imports(path, everywhere=False):
        top = name.partition(".")[0]
        assert top in CORE_ONLY or top in sys.stdlib_module_names
