"""The device that models of PyTorch run on: its threads, what it can do, and how fast it multiplies matrices."""

from __future__ import annotations

import time
from statistics import median

import torch

THREADS = 2
"""Of each contestant on the CPU."""


def prepare() -> None:
    """Gives PyTorch as many threads as every contestant has."""
    torch.set_num_threads(THREADS)


def synchronize(device: str) -> None:
    """Waits until the device has done all that it was asked for."""
    if device == "cuda":
        torch.cuda.synchronize()


def has_bf16(device: str) -> bool:
    """Whether the device multiplies matrices in bf16 itself; one that does not is many times slower with it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, test)()) for test in tests if hasattr(torch.cpu, test))


def peak(device: str, precision: str, quick: bool = False) -> float:
    """Operations per second of a large matrix multiplication, the best that this process has seen.

    A case asks before and after its contest, because other work of the machine can only make it too low.

    Args:
        device: `cpu` or `cuda`.
        precision: `fp32`, `bf16` or, on `cuda`, `tf32`.
        quick: Multiply small matrices.
    """
    rates = matmuls(device, precision, 3, quick)
    _best[device, precision] = max(*rates, _best.get((device, precision), 0.0))
    return _best[device, precision]


_best: dict[tuple[str, str], float] = {}


def matmuls(device: str, precision: str, repeat: int, quick: bool = False) -> list[float]:
    """Operations per second of large matrix multiplications, `repeat` times the median of five."""
    prepare()
    size = 512 if quick else 8192 if device == "cuda" else 1024 if precision == "bf16" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        left, right = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
        with torch.inference_mode():
            _seconds(left, right, device)
            return [2 * size**3 / median(_seconds(left, right, device) for _ in range(5)) for _ in range(repeat)]
    finally:
        torch.set_float32_matmul_precision(before)


def _seconds(left: torch.Tensor, right: torch.Tensor, device: str) -> float:
    synchronize(device)
    start = time.perf_counter()
    torch.matmul(left, right)
    synchronize(device)
    return time.perf_counter() - start
