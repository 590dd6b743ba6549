"""Linear layers on the CPU, computed by the faster of two libraries.

PyTorch hands products of float32 matrices to the library that it was built with, such as Intel's MKL. On processors
that this one does not know well, such as AMD's, oneDNN is several times as fast, with the same weights in the same
memory. PyTorch has it for convolutions, and for linear layers of models that it compiles.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import torch

_ROWS, _WIDTH = 128, 512
_ROUNDS = 7
_GAIN = 1.1


class OneDnnLinear(torch.nn.Linear):  # type: ignore[misc]
    """`torch.nn.Linear`, computed by oneDNN where that can be: without gradients, in float32, for at least one row."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        """The product, of shape (…, out_features)."""
        # What it cannot compute, and what is wrong, is as always; so are the errors.
        plain = torch.is_grad_enabled() or input.dtype is not torch.float32 or not input.numel()
        if plain or input.shape[-1:] != (self.in_features,):
            return super().forward(input)
        return _product(input, self.weight, self.bias)


def use_onednn(module: torch.nn.Module, wanted: bool | None) -> None:
    """Has the linear layers of a module computed by oneDNN.

    Args:
        module: Of float32 weights on the CPU; others are left as they are.
        wanted: Whether to; `None` does so where it is faster here.
    """
    if wanted is False or not (wanted or onednn_is_faster()):
        return
    for part in module.modules():
        # Layers of classes that derive from it, and those of programs, compute in ways of their own.
        if type(part) is torch.nn.Linear and part.weight.dtype is torch.float32 and part.weight.device.type == "cpu":
            part.__class__ = OneDnnLinear


@functools.cache
def onednn_is_faster() -> bool:
    """Whether oneDNN is the faster one in this process; it takes some milliseconds to find out, once."""
    random = torch.Generator().manual_seed(0)
    rows = torch.rand(_ROWS, _WIDTH, generator=random)
    weight = torch.rand(_WIDTH, _WIDTH, generator=random)
    bias = torch.rand(_WIDTH, generator=random)
    with torch.inference_mode():
        expected = torch.nn.functional.linear(rows, weight, bias)
        try:
            found = _product(rows, weight, bias)
        except (AttributeError, RuntimeError, TypeError):  # This build of PyTorch lacks it, or has it otherwise.
            return False
        if not torch.allclose(found, expected, rtol=1e-4):
            return False
        usual = _fastest(lambda: torch.nn.functional.linear(rows, weight, bias))
        return usual > _GAIN * _fastest(lambda: _product(rows, weight, bias))


def _product(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    # What compiled models call.
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return product


def _fastest(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of several."""
    took = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)
