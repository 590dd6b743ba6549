"""Which benchmarks there are."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from runinference.benchmarks import cases
from runinference.benchmarks.benchmark import Benchmark
from runinference.errors import ConfigurationError, closest


def find_benchmarks(folders: Sequence[str | Path] = ()) -> Mapping[str, type[Benchmark]]:
    """Every benchmark by its name.

    Args:
        folders: Folders with files of further benchmarks. The code in them is run.

    Raises:
        ConfigurationError: There is no such folder, or two benchmarks have one name.
        Exception: What a file raised when it was run.
    """
    found: dict[str, type[Benchmark]] = {}
    for module in [*_own(), *(module for folder in folders for module in _of_folder(Path(folder)))]:
        for benchmark in _benchmarks_in(module):
            other = found.setdefault(benchmark.name, benchmark)
            if other is not benchmark:
                raise ConfigurationError(
                    f"Two benchmarks are called {benchmark.name!r}: {_place(other)} and {_place(benchmark)}"
                )
    return dict(sorted(found.items()))


def find_benchmark(name: str, folders: Sequence[str | Path] = ()) -> type[Benchmark]:
    """The benchmark of that name.

    Raises:
        ConfigurationError: There is none; the nearest is named.
    """
    found = find_benchmarks(folders)
    if name not in found:
        raise ConfigurationError(
            f"There is no benchmark {name!r}.{closest(name, found)} `runinference bench list` shows all"
        )
    return found[name]


def _own() -> Iterator[ModuleType]:
    for each in pkgutil.iter_modules(cases.__path__):
        yield importlib.import_module(f"{cases.__name__}.{each.name}")


def _of_folder(folder: Path) -> Iterator[ModuleType]:
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder} with benchmarks")
    for path in sorted(folder.glob("*.py")):
        name = f"runinference_benchmark_{path.stem}"
        if name not in sys.modules or sys.modules[name].__file__ != str(path):
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # So that what it defines can be pickled.
            spec.loader.exec_module(module)
        yield sys.modules[name]


def _benchmarks_in(module: ModuleType) -> Iterator[type[Benchmark]]:
    for value in vars(module).values():
        own = inspect.isclass(value) and issubclass(value, Benchmark) and value.__module__ == module.__name__
        if own and hasattr(value, "name") and not inspect.isabstract(value):
            yield value


def _place(benchmark: type[Benchmark]) -> str:
    return str(sys.modules[benchmark.__module__].__file__)
