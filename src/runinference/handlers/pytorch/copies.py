"""Copies of a PyTorch model in one process: the device of each, and its part of the cores."""

from __future__ import annotations

import copy as copying
from typing import Any, Literal, Self

from runinference.errors import ConfigurationError
from runinference.handler import ModelHandler
from runinference.handlers.copies import threads_of_copy
from runinference.handlers.pytorch.devices import all_devices, parse_device, parse_devices
from runinference.prediction import PredictionResult


class TorchCopies(ModelHandler[Any, PredictionResult, Any]):
    """What every handler for PyTorch does about copies of its model.

    Copy i runs on `devices[i % len(devices)]`. It computes on the CPU with its part of the cores, unless the handler
    was told how many threads to use; where PyTorch has been given fewer, by `OMP_NUM_THREADS` for instance, with those.
    """

    _device: str = "cpu"
    _devices: tuple[str, ...] | Literal["all"] | None = None
    _threads: int | None = None
    _most_threads: int | None = None
    _not_shared: tuple[str, ...] = ()  # Attributes that hold objects of the user's, which a model may keep or change.

    def _place(self, device: Any, devices: Any, default: str) -> None:
        """Takes the arguments `device` and `devices`, of which one may be given."""
        owner = type(self).__name__
        if devices is None:
            self._device = parse_device(owner, default if device is None else device)
            return
        if device is not None:
            raise ConfigurationError(f"{owner}: give either device or devices, got {device!r} and {devices!r}")
        self._devices = parse_devices(owner, devices)
        if self._devices == "all":  # How many there are is not known before the model runs.
            self._device = "gpu"
            return
        self._device = self._devices[0]
        self.model_copies()

    def model_copies(self) -> int:
        """Number of copies of the model: by default one for each of `devices`.

        Raises:
            ConfigurationError: There are more devices than copies, or `all` devices are asked for and there is none.
        """
        devices = self._names_of_devices()
        copies = self._options.get("model_copies")
        if devices is None or copies is None:
            return len(devices or ()) or super().model_copies()
        if copies < len(devices):
            raise ConfigurationError(
                f"{type(self).__name__}: model_copies={copies} leaves some of {len(devices)} devices idle "
                f"({', '.join(devices)}); leave it out for one copy on each, or name fewer devices"
            )
        return copies

    def share_model_across_processes(self) -> bool:
        """Whether the processes of a machine share the model, as they do where copies are counted."""
        return self._devices is not None or super().share_model_across_processes()

    def for_copy(self, copy: int, copies: int) -> Self:
        """The handler of one of several copies, which shares nothing with the others that a model may change.

        Raises:
            ConfigurationError: An argument cannot be copied.
        """
        clone = copying.copy(self)
        devices = self._names_of_devices()
        if devices is not None:
            clone._device = devices[copy % len(devices)]
        clone._most_threads = threads_of_copy(copies)
        for name in self._not_shared:
            setattr(clone, name, self._copied(name))
        return clone

    def _names_of_devices(self) -> tuple[str, ...] | None:
        return all_devices(type(self).__name__) if self._devices == "all" else self._devices

    def _copied(self, name: str) -> Any:
        try:
            return copying.deepcopy(getattr(self, name))
        except Exception as error:
            raise ConfigurationError(
                f"{type(self).__name__}: each copy of the model needs a copy of {name.lstrip('_')}, which cannot be "
                f"made: {error}"
            ) from error

    def _use_threads(self) -> None:
        """Sets the number of threads in the thread that calls this, which is the one that the model runs in."""
        if self._threads is None and self._most_threads is None:
            return
        from runinference.handlers.pytorch.threads import compute_with

        if self._threads is not None:
            compute_with(self._threads)
        elif self._most_threads is not None:
            compute_with(self._most_threads, at_most=True)
