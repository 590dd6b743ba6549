"""How Beam's tests see that processes share a model: by the name of its class, which is that of Beam's proxy.

Here a handler is given the model itself. It gets such a name if another process than that of the pipeline holds it, and
only then. Imports nothing, as it is imported in the processes that hold the models.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

_PROXY = "multi_process_shared"


def reduce(handler: Any, protocol: int) -> Any:
    """Takes the place of `__reduce_ex__` of handlers."""
    return _made_again, (os.getpid(), type(handler)), handler.__getstate__()


def _made_again(pid: int, kind: Any) -> Any:
    if os.getpid() != pid and not hasattr(kind.load_model, "names_models"):
        kind.load_model = _naming(kind.load_model)
    return object.__new__(kind)


def _naming(load_model: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def load(handler: Any) -> Any:
        model = load_model(handler)
        if _PROXY not in type(model).__name__:
            model.__class__ = type(f"{_PROXY}_{type(model).__name__}", (type(model),), {})
        return model

    load.names_models = True  # type: ignore[attr-defined]
    return load
