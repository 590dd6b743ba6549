"""The arguments that a model takes, so that none is ignored."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any

from runinference.errors import ModelFaultError, closest


class Signature:
    """The arguments that a method of a module takes.

    Args:
        module: The module.
        method: The name of the method.

    Raises:
        ModelFaultError: There is no such method.
    """

    def __init__(self, module: Any, method: str) -> None:
        self._name = f"{type(module).__name__}.{method}"
        self._named: set[str] = set()
        self._first: list[str] = []
        self._known: set[str] | None = None
        if not callable(getattr(module, method, None)):
            raise ModelFaultError(f"{type(module).__name__} has no method {method!r}")
        schema = getattr(getattr(module, method), "schema", None)
        if schema is not None:  # Of TorchScript, whose methods have no signature.
            names = [argument.name for argument in schema.arguments if argument.name != "self"]
            self._first, self._named = names[:1], set(names)
            self._known = self._named
            return
        try:
            parameters = inspect.signature(getattr(module, method)).parameters.values()
        except (TypeError, ValueError):
            return
        self._first = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:1]
        self._named = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        rest = next((p for p in parameters if p.kind is p.VAR_KEYWORD), None)
        if rest is None:
            self._known = self._named
        elif method == "forward":
            further = _names_of_rest(module, rest)
            self._known = None if further is None else self._named | further

    def takes(self, name: str) -> bool:
        """Whether the method has an argument of that name."""
        return name in self._named

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raises `ModelFaultError` for an argument that the method does not take, or would ignore."""
        for name in arguments:
            if self._known is not None and name not in self._known:
                raise ModelFaultError(f"{self._name} takes no argument {name!r}.{closest(name, self._known)}")

    def check_apart(self, data: Any, arguments: Mapping[str, Any]) -> None:
        """Raises `ModelFaultError` for an argument that is one of the inputs, which the rows bring."""
        inputs = set(data) if isinstance(data, Mapping) else set(self._first)
        for name in inputs.intersection(arguments):
            raise ModelFaultError(f"{self._name} gets {name!r} from the rows; it cannot be one of inference_args too")


def _names_of_rest(module: Any, rest: inspect.Parameter) -> set[str] | None:
    """The names that `**kwargs: Unpack[SomeTypedDict]` allows; `None` where anything is."""
    try:
        hint = typing.get_type_hints(inspect.unwrap(type(module).forward)).get(rest.name)
    except Exception:
        return None
    arguments = typing.get_args(hint)
    return set(arguments[0].__annotations__) if arguments and typing.is_typeddict(arguments[0]) else None
