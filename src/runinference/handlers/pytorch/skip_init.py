"""Builds a module without spending time on random weights that a file replaces anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_RANDOM = frozenset(
    {
        *("cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_"),
        *("kaiming_normal_", "kaiming_uniform_", "orthogonal_", "sparse_", "trunc_normal_"),
        *("xavier_normal_", "xavier_uniform_"),
    }
)


class SkipRandomInit(TorchFunctionMode):  # type: ignore[misc]
    """Within this context parameters keep the memory that they were given, untouched, instead of random numbers.

    Everything else is done as always, so buffers that the constructor computes are right; modules on the `meta`
    device would leave them empty. Untouched memory costs nothing.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Skips functions that fill a parameter with random numbers."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM:
            target = args[0] if args else kwargs.get("tensor")
            if isinstance(target, torch.nn.Parameter):
                return target
        return func(*args, **kwargs)
