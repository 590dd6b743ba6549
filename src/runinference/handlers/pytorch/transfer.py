"""Copies between the host and the device of a model, in the background where the device allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

from runinference.handlers.pytorch.trees import map_tensors


class Transfer(Protocol):
    """Copies the inputs of a batch to the device, and its outputs back."""

    def to_device(self, inputs: Any) -> Any:
        """The inputs on the device, ready for what is run next."""

    def to_host(self, outputs: Any) -> tuple[Any, Callable[[], None] | None]:
        """The outputs on the host, and what to wait for before they are read; `None` where they are there."""


class PlainTransfer:
    """Copies one after the other; on the CPU there is nothing to copy.

    Args:
        device: Where the model is.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def to_device(self, inputs: Any) -> Any:
        """The inputs on the device."""
        if self._device.type == "cpu":
            return inputs
        return map_tensors(lambda tensor: tensor.to(self._device), inputs)

    def to_host(self, outputs: Any) -> tuple[Any, None]:
        """The outputs on the host."""
        return map_tensors(lambda tensor: _readable(tensor).cpu(), outputs), None


class StreamTransfer:
    """Copies through pinned memory on a stream of its own, while the device computes the batch before.

    Nothing waits on the host: the device itself starts computing when its input is there, and the results are on the
    host when the event that was recorded behind them has happened. Pinned memory is taken from PyTorch's own cache,
    which gives a block out again only when the copies from and to it are done.

    Args:
        device: A CUDA device.
        api: Streams and events, as `torch.cuda` has them.
        pinned: Whether the host memory is pinned.
    """

    def __init__(self, device: torch.device, api: Any = torch.cuda, pinned: bool = True) -> None:
        self._device = device
        self._api = api
        self._pinned = pinned
        self._copies = api.Stream(device)

    def to_device(self, inputs: Any) -> Any:
        """The inputs on the device; what is run next on the current stream waits for them."""
        computing = self._api.current_stream(self._device)

        def copy(tensor: torch.Tensor) -> torch.Tensor:
            pinned = tensor.pin_memory() if self._pinned else tensor
            copied = pinned.to(self._device, non_blocking=True)
            # The memory is not to be given to another tensor before the computation has read it.
            copied.record_stream(computing)
            return copied

        with self._api.stream(self._copies):
            there = map_tensors(copy, inputs)
        computing.wait_stream(self._copies)
        return there

    def to_host(self, outputs: Any) -> tuple[Any, Callable[[], None]]:
        """The outputs on the host, once the function that is returned with them has returned."""

        def copy(tensor: torch.Tensor) -> torch.Tensor:
            readable = _readable(tensor)
            there = torch.empty(readable.shape, dtype=readable.dtype, pin_memory=self._pinned)
            return there.copy_(readable, non_blocking=True)

        there = map_tensors(copy, outputs)
        done = self._api.Event()
        done.record(self._api.current_stream(self._device))
        return there, done.synchronize


def _readable(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision as float32, which every library reads; the same tensor otherwise."""
    tensor = tensor.detach()
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
