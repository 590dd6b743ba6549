"""The device that a model runs on: named when the handler is made, looked for where the model is loaded."""

from __future__ import annotations

import re
from typing import Any

from runinference.errors import ConfigurationError, ModelLoadError

_NAMES = {"gpu": "gpu", "auto": "auto", "cpu": "cpu"}
_ACCELERATORS = ("cuda", "xpu", "mps")
_OF_PYTORCH = re.compile(r"(cpu|cuda|mps|xpu|hpu|mtia|privateuseone)(:\d+)?")


def parse_device(owner: str, device: Any) -> str:
    """The name of a device, checked as far as that is possible without it.

    Args:
        owner: The class that it is for, in error texts.
        device: `CPU`, `GPU`, `auto`, a name that PyTorch knows such as `cuda:1` or `mps`, or a `torch.device`.

    Raises:
        ConfigurationError: There is no such kind of device.
    """
    name = str(device).lower()
    if name in _NAMES or _OF_PYTORCH.fullmatch(name):
        return name
    raise ConfigurationError(
        f"{owner}: device must be 'CPU', 'GPU', 'auto', 'cuda:1', 'mps' or a torch.device, got {device!r}"
    )


def find_device(name: str) -> Any:
    """The `torch.device` of that name.

    `gpu` is the first accelerator that there is, and `auto` is that or else the CPU.

    Raises:
        ModelLoadError: It was asked for and is not there.
    """
    import torch

    if name in ("gpu", "auto"):
        for kind in _ACCELERATORS:
            if _count(kind):
                return torch.device(kind, 0) if kind != "mps" else torch.device(kind)
        if name == "auto":
            return torch.device("cpu")
        raise ModelLoadError(f"A GPU was asked for, but PyTorch {torch.__version__} finds none. {_ADVICE}")
    device = torch.device(name)
    if device.type == "cpu":
        return device
    count = _count(device.type)
    if not count:
        raise ModelLoadError(
            f"The device {name!r} was asked for, but PyTorch {torch.__version__} finds no {device.type} device. "
            + _ADVICE
        )
    if device.index is not None and device.index >= count:
        raise ModelLoadError(f"The device {name!r} was asked for, but there is only {device.type}:0 to {count - 1}")
    return device


_ADVICE = "Use device='auto' to run on the CPU where there is no GPU"


def _count(kind: str) -> int:
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = getattr(torch, torch._C._get_privateuse1_backend_name() if kind == "privateuseone" else kind, None)
    return int(module.device_count()) if module is not None and module.is_available() else 0
