"""The devices that a model runs on: named when the handler is made, looked for where the model is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from runinference.errors import ConfigurationError, ModelLoadError
from runinference.packages import require

_NAMES = {"gpu": "gpu", "auto": "auto", "cpu": "cpu"}
_ACCELERATORS = ("cuda", "xpu", "mps")
_OF_PYTORCH = re.compile(r"(cpu|cuda|mps|xpu|hpu|mtia|privateuseone)(:\d+)?")


def parse_device(owner: str, device: Any, argument: str = "device") -> str:
    """The name of a device, checked as far as that is possible without it.

    Args:
        owner: The class that it is for, in error texts.
        device: `CPU`, `GPU`, `auto`, a name that PyTorch knows such as `cuda:1` or `mps`, or a `torch.device`.
        argument: Where it was given, in error texts.

    Raises:
        ConfigurationError: There is no such kind of device.
    """
    name = str(device).lower()
    if name in _NAMES or _OF_PYTORCH.fullmatch(name):
        return name
    raise ConfigurationError(
        f"{owner}: {argument} must be 'CPU', 'GPU', 'auto', 'cuda:1', 'mps' or a torch.device, got {device!r}"
    )


def parse_devices(owner: str, devices: Any) -> tuple[str, ...] | Literal["all"]:
    """The names of several devices, checked as far as that is possible without them; `all` stays what it is.

    Raises:
        ConfigurationError: There is none, or no such kind of device.
    """
    if isinstance(devices, str) and devices.lower() == "all":
        return "all"
    if isinstance(devices, str) or not isinstance(devices, Sequence) or not devices:
        raise ConfigurationError(
            f"{owner}: devices must be 'all' or a list of at least one device, such as ['cuda:0', 'cuda:1'], "
            f"got {devices!r}"
        )
    return tuple(parse_device(owner, device, "each of devices") for device in devices)


def all_devices(owner: str) -> tuple[str, ...]:
    """The names of all accelerators of the first kind that there is.

    Raises:
        ConfigurationError: There is none.
        MissingDependencyError: PyTorch is not installed.
    """
    torch = require("torch", "torch", f"find the devices of {owner}")
    found = _accelerators()
    if not found:
        raise ConfigurationError(
            f"{owner}: devices='all' asks for every GPU, but PyTorch {torch.__version__} finds none. "
            "Leave devices out to run on the CPU"
        )
    return tuple(found)


def find_device(name: str) -> Any:
    """The `torch.device` of that name.

    `gpu` is the first accelerator that there is, and `auto` is that or else the CPU.

    Raises:
        ModelLoadError: It was asked for and is not there.
    """
    import torch

    if name in ("gpu", "auto"):
        for found in _accelerators():
            return torch.device(found)
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


def as_current(device: Any) -> AbstractContextManager[Any]:
    """Within it, what asks for a GPU without saying which gets `device`, if that is one."""
    if device.type != "cuda":
        return nullcontext()
    import torch

    context: AbstractContextManager[Any] = torch.cuda.device(device)
    return context


def _accelerators() -> list[str]:
    for kind in _ACCELERATORS:
        count = _count(kind)
        if count:
            return ["mps"] if kind == "mps" else [f"{kind}:{index}" for index in range(count)]
    return []


def _count(kind: str) -> int:
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = getattr(torch, torch._C._get_privateuse1_backend_name() if kind == "privateuseone" else kind, None)
    return int(module.device_count()) if module is not None and module.is_available() else 0
