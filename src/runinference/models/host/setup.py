"""What a host must know to load a model, and what it says of the model then."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from runinference.errors import ConfigurationError, ModelLoadError
from runinference.models.host.wire import cloudpickle, freeze
from runinference.prediction import qualified_name

_THREAD_COUNTS = (
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True, slots=True)
class Setup:
    """A handler on its way to the processes that load its model.

    Attributes:
        identifier: What the users call the model.
        copies: How many copies there are.
        handler_name: The class of the handler.
        handler: The handler as a pickle.
        env_vars: Environment variables that it asks for.
    """

    identifier: str
    copies: int
    handler_name: str
    handler: bytes
    env_vars: dict[str, str]

    @classmethod
    def of(cls, handler: Any, identifier: str, copies: int) -> Setup:
        """Pickles `handler`.

        Raises:
            ConfigurationError: It cannot be pickled.
        """
        name = type(handler).__name__
        try:
            frozen = freeze(handler)
        except TypeError as error:
            raise ConfigurationError(
                f"{name} cannot be sent to the process that holds its model: {error}.{_culprits(handler)} "
                "A handler is a specification; what cannot be pickled belongs into load_model()"
            ) from error
        if type(handler).__module__ == "__main__" and cloudpickle() is None:
            raise ConfigurationError(
                f"{name} is defined in __main__, which the process that holds its model cannot import. "
                "Define it in a module, or install cloudpickle"
            )
        # Ours, or those of a handler of Beam.
        env_vars = (getattr(handler, "_options", None) or {}).get("env_vars") or getattr(handler, "_env_vars", None)
        return cls(identifier, copies, name, frozen, dict(env_vars or {}))

    def load_handler(self, copy: int) -> Any:
        """The handler for one of the copies.

        Raises:
            ModelLoadError: What it is pickled of cannot be found here.
        """
        try:
            handler = pickle.loads(self.handler)
        except Exception as error:
            raise ModelLoadError(
                f"{self.handler_name} could not be read in the process that is to hold its model: "
                f"{qualified_name(type(error))}: {error}"
            ) from error
        if self.copies > 1 and hasattr(handler, "for_copy"):
            return handler.for_copy(copy, self.copies)
        return handler

    def environment(self) -> dict[str, str]:
        """The environment of a process that holds a copy: they share the cores, unless it says otherwise already."""
        environment = dict(os.environ)
        # One copy may use all cores, which the libraries do by themselves, and better.
        if self.copies > 1:
            threads = str(max(1, _cores() // self.copies))
            environment = {**dict.fromkeys(_THREAD_COUNTS, threads), **environment}
        return environment | self.env_vars


class HostState(NamedTuple):
    """What users are told of a model that is loaded.

    Attributes:
        load_s: How long loading took, in seconds.
        num_bytes: The bytes that one copy holds.
        pids: The processes of the copies.
        deaths: Processes of copies that have died, with the reason.
    """

    load_s: float
    num_bytes: int
    pids: list[int]
    deaths: dict[int, str]


def python(module: str, *arguments: object) -> list[str]:
    """A command that runs `main()` of `module` in a new interpreter that imports what this one can."""
    code = f"import sys; sys.path[:] = {[*map(str, sys.path)]!r}; from {module} import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def _culprits(handler: Any) -> str:
    attributes: Mapping[str, Any] = getattr(handler, "__dict__", {})
    names = []
    for name, value in attributes.items():
        try:
            freeze(value)
        except TypeError:
            names.append(repr(name))
    return f" Look at its attribute {' and '.join(names)}." if names else ""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
