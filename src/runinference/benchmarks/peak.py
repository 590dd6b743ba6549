"""How fast a device multiplies large matrices, which bounds every model on it."""

from __future__ import annotations

import time
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

_ROUNDS = 5
_SIZES = {"cpu": 2048, "cuda": 8192}


def matmul_flops(device: str = "cpu") -> float:
    """Floating-point operations per second of a product of two large matrices of float32, the median of five.

    It is PyTorch's product where PyTorch is installed, else numpy's. On a GPU, TensorFloat-32 is left as it is set,
    which is how the models run too.

    Args:
        device: `cpu` or `cuda`.
    """
    size = _SIZES[device]
    multiply = _torch(size, device) if find_spec("torch") is not None else _numpy(size)
    multiply()
    return 2 * size**3 / median(_seconds(multiply) for _ in range(_ROUNDS))


def _seconds(multiply: Any) -> float:
    start = time.perf_counter()
    multiply()
    return time.perf_counter() - start


def _torch(size: int, device: str) -> Any:
    import torch

    left, right = (torch.rand(size, size, device=device) for _ in range(2))

    def multiply() -> None:
        torch.matmul(left, right)
        if device == "cuda":
            torch.cuda.synchronize()

    return multiply


def _numpy(size: int) -> Any:
    left, right = (np.random.default_rng(seed).random((size, size), dtype=np.float32) for seed in range(2))
    return lambda: left @ right
