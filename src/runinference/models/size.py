"""How many bytes a model holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_DEEPEST = 12
_MOST_OBJECTS = 200_000


def count_array_bytes(model: Any) -> int:
    """The bytes of all arrays that can be reached from `model`, each counted once.

    Looks into mappings, sequences, attributes and the pickling state of compiled objects, such as the trees of
    scikit-learn, but at no more than 200,000 objects. Whatever has an integer `nbytes` counts as an array. Python's
    own overhead is not counted.
    """
    # The objects themselves, so that none is freed meanwhile and another gets its id.
    seen: dict[int, Any] = {}
    total = 0
    todo = [(model, 0)]
    while todo and len(seen) < _MOST_OBJECTS:
        value, depth = todo.pop()
        if id(value) in seen or isinstance(value, (str, bytes, int, float, bool, type, type(None))):
            continue
        seen[id(value)] = value
        try:
            nbytes = getattr(value, "nbytes", None)
        except Exception:  # A property of somebody else's object may do anything.
            nbytes = None
        if isinstance(nbytes, int):
            total += nbytes
        if depth < _DEEPEST:
            todo.extend((child, depth + 1) for child in _children(value))
    return total


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    elif type(value).__module__ == "numpy":
        # An array of objects, such as the trees of a boosted ensemble, holds references and not data.
        if getattr(value, "dtype", None) == object:  # noqa: E721
            yield from value.flat
    elif callable(value) and not hasattr(value, "__dict__"):
        return
    elif getattr(value, "__dict__", None):
        yield from vars(value).values()
    elif type(value).__module__.partition(".")[0] != "builtins" and hasattr(value, "__getstate__"):
        try:
            state = value.__getstate__()
        except Exception:
            return
        yield from state if isinstance(state, tuple) else (state,)
