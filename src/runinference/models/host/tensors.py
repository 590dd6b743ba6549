"""How tensors of PyTorch travel between processes: as the memory of their values, from any device."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def tensor_reducers() -> dict[type, Callable[[Any], Any]]:
    """What to pickle tensors with; nothing where PyTorch is not in use.

    PyTorch's own way pickles all of the memory that a tensor is a view of, so the rows of one result would each carry
    the whole of it, and tensors on a device would make every process that receives them use that device.
    """
    torch = sys.modules.get("torch")
    return {} if torch is None or not hasattr(torch, "Tensor") else {torch.Tensor: _reduce}


def _reduce(tensor: Any) -> Any:
    torch = sys.modules["torch"]
    host = tensor.detach().cpu()
    if host.layout is not torch.strided or host.is_quantized:
        return host.requires_grad_(tensor.requires_grad).__reduce_ex__(5)
    host = host.resolve_conj().resolve_neg()
    values = host.reshape(-1).view(torch.uint8).numpy()
    return _restore, (values, str(host.dtype).removeprefix("torch."), tuple(host.shape), tensor.requires_grad)


def _restore(values: Any, dtype: str, shape: tuple[int, ...], requires_grad: bool) -> Any:
    import torch

    tensor = torch.from_numpy(values).view(getattr(torch, dtype)).reshape(shape)
    return tensor.requires_grad_(requires_grad)
