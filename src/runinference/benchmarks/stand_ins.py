"""Lets modules of Beam be imported that import packages which no benchmark needs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def stand_in_for(package: str, **content: Any) -> None:
    """Has `import package` give a module with `content`, unless the package is installed."""
    if package not in sys.modules and find_spec(package) is None:
        module = ModuleType(package)
        module.__dict__.update(content)
        sys.modules[package] = module
