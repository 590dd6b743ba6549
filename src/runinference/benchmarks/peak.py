"""How fast a device multiplies large matrices, which bounds every model on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

_ROUNDS = 7
_SIZES = {"cpu": 2048, "cuda": 8192}


def matmul_flops(device: str = "cpu") -> float:
    """Floating-point operations per second of a product of two large matrices of float32: the fastest of several.

    With PyTorch the product is also computed as a convolution by 1 x 1, since the libraries behind the two differ: on
    some processors convolutions are the faster ones. On a GPU, TensorFloat-32 is left as it is set, which is how the
    models run too. Without PyTorch it is numpy's product.

    Args:
        device: `cpu` or `cuda`.
    """
    size = _SIZES[device]
    products = _torch(size, device) if find_spec("torch") is not None else _numpy(size)
    return max(2 * size**3 / _seconds(product) for product in products for _ in range(_ROUNDS + 1))


def _seconds(product: Callable[[], Any]) -> float:
    start = time.perf_counter()
    product()
    return time.perf_counter() - start


def _torch(size: int, device: str) -> Sequence[Callable[[], Any]]:
    import torch

    left, right = (torch.rand(size, size, device=device) for _ in range(2))
    # As an image of `size` pixels with as many channels, in the memory order that convolutions like best.
    image = left.view(1, size, -1, 32).contiguous(memory_format=torch.channels_last)
    weight = right.view(size, size, 1, 1).contiguous(memory_format=torch.channels_last)

    def product(compute: Callable[[Any, Any], Any], a: Any, b: Any) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                compute(a, b)
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    return product(torch.matmul, left, right), product(torch.nn.functional.conv2d, image, weight)


def _numpy(size: int) -> Sequence[Callable[[], Any]]:
    left, right = (np.random.default_rng(seed).random((size, size), dtype=np.float32) for seed in range(2))
    return [lambda: left @ right]
