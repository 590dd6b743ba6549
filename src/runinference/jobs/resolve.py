"""The handler that a text such as `sklearn:model.joblib` or `my_models.py:handler` names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from runinference.errors import ConfigurationError, closest
from runinference.jobs.schemes import SCHEMES

HANDLER_FORMS = "SCHEME:MODEL such as sklearn:model.joblib, package.module:name or file.py:name"


def resolve_handler(text: str) -> Any:
    """The handler that `text` names.

    Args:
        text: `SCHEME:PATH` for a model file; `package.module:name` or `file.py:name` for a handler, or a class or
            function that makes one without arguments.

    Raises:
        ConfigurationError: It names nothing that there is.
        Exception: What the user's own module raised.
    """
    head, separator, tail = text.partition(":")
    if not separator or not head or not tail:
        raise ConfigurationError(f"{text!r} does not name a handler. Write {HANDLER_FORMS}")
    if head in SCHEMES:
        return SCHEMES[head](tail)
    # A path may hold a colon itself, such as that of a drive: the name is behind the last one.
    place, _, name = text.rpartition(":")
    if place.endswith(".py"):
        return _named(_load_file(Path(place)), name, place)
    if not all(part.isidentifier() for part in place.split(".")):
        raise ConfigurationError(
            f"{text!r} does not name a handler: there is no scheme {head!r}.{closest(head, SCHEMES)} "
            f"Write {HANDLER_FORMS}"
        )
    return _named(_load_module(place), name, place)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        siblings = [str(sibling) for sibling in path.parent.glob("*.py")]
        raise ConfigurationError(f"{path} does not exist.{closest(str(path), siblings)}")
    # Under its own name, so that what is defined in it can be pickled, and beside the modules that it imports.
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"There is no module {error.name!r}, neither installed nor in the current folder."
                f"{closest(name, SCHEMES)} Write {HANDLER_FORMS}"
            ) from None
        raise


def _named(module: ModuleType, name: str, place: str) -> Any:
    if not hasattr(module, name):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise ConfigurationError(f"{place} has no {name!r}.{closest(name, public)}")
    found = getattr(module, name)
    if callable(getattr(found, "run_inference", None)) and not isinstance(found, type):
        return found
    if inspect.isabstract(found):
        missing = " and ".join(f"{method}()" for method in sorted(found.__abstractmethods__))
        raise ConfigurationError(f"{place}:{name} is no complete handler: it lacks {missing}")
    if not callable(found):
        raise ConfigurationError(f"{place}:{name} is no handler but {type(found).__name__}")
    handler = found()
    if not callable(getattr(handler, "run_inference", None)):
        raise ConfigurationError(f"{place}:{name}() returned no handler but {type(handler).__name__}")
    return handler
