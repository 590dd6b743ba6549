"""Runs a loaded module on batches of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from runinference.handlers.pytorch.collate import Collate, Collator, Inputs, Limits
from runinference.handlers.pytorch.devices import as_current, find_device
from runinference.handlers.pytorch.lengths import LengthCutter
from runinference.handlers.pytorch.options import TorchSettings
from runinference.handlers.pytorch.prepare import autocast, limits_of
from runinference.handlers.pytorch.signature import Signature
from runinference.handlers.pytorch.transfer import PlainTransfer, StreamTransfer, Transfer
from runinference.handlers.pytorch.trees import map_tensors
from runinference.handlers.results import make_predictions


class Runner:
    """Everything that is kept between the batches of one module, but not the module itself.

    Args:
        module: The module.
        settings: How it is run.
        method: The name of its method that is called, `forward` as a rule.
        defaults: Arguments of that method which are given unless they are given in `inference_args`.
        make_collator: Makes what puts rows together, given the settings and what the module says about its input.
        device: Where to run a module without any weights, which is nowhere by itself.
    """

    def __init__(
        self,
        module: Any,
        settings: TorchSettings,
        method: str = "forward",
        defaults: Mapping[str, Any] | None = None,
        make_collator: Callable[[TorchSettings, Limits], Collate] = Collator,
        device: str = "cpu",
    ) -> None:
        self._device = device_of(module, device)
        self._settings = settings
        self._method = method
        self._batch_size: int | None = getattr(module, "batch_size", None) if _is_program(module) else None
        self._signature = Signature(module, method)
        self._defaults = {name: value for name, value in (defaults or {}).items() if self._signature.takes(name)}
        self._collate = make_collator(settings, limits_of(module, method, settings))
        self._transfer = make_transfer(self._device)
        self._cutter = LengthCutter(settings.padding_side)

    def run(self, module: Any, rows: Sequence[Any], inference_args: Mapping[str, Any] | None = None) -> Ran:
        """Predictions for rows, and what to wait for before they are read; `None` where they are there.

        Raises:
            ModelFaultError: The method does not take one of the `inference_args`, or returned something else than
                one prediction for each row.
            Exception: The rows do not fit together, or the model raised.
        """
        call = self._call(module, inference_args)
        if self._batch_size is None or len(rows) == self._batch_size:
            return self._run(call, rows)
        # Parts of the only size that the model takes; the last one is filled up with its own last row.
        predictions: list[Any] = []
        for start in range(0, len(rows), self._batch_size):
            part = list(rows[start : start + self._batch_size])
            whole = part + part[-1:] * (self._batch_size - len(part))
            found, wait = self._run(call, whole)
            if wait is not None:
                wait()
            predictions += list(found)[: len(part)]
        return predictions, None

    def _run(self, call: Callable[[Any], Any], rows: Sequence[Any]) -> Ran:
        batch = self._collate(rows)
        inputs = Inputs(self._transfer.to_device(batch.data), batch.lengths)
        outputs, wait = self._transfer.to_host(call(inputs.data))
        if inputs.lengths:
            outputs = self._cutter.cut(outputs, inputs, call)
        if isinstance(outputs, list):  # Of rows, each of which may be a view into something larger.
            outputs = [map_tensors(_owned, row) for row in outputs]
        return make_predictions(rows, outputs), wait

    def run_matrix(self, module: Any, matrix: torch.Tensor, inference_args: Mapping[str, Any] | None = None) -> Any:
        """The outputs, on the host, for rows that are together already as a tensor of shape (rows, …)."""
        dtype = self._collate.limits.dtype
        if dtype is not None:
            matrix = matrix.to(dtype)
        if self._batch_size not in (None, len(matrix)):
            predictions, _ = self.run(module, list(matrix), inference_args)
            return list(predictions)
        inputs = self._transfer.to_device(matrix)
        outputs, wait = self._transfer.to_host(self._call(module, inference_args)(inputs))
        if wait is not None:
            wait()
        return outputs

    def _call(self, module: Any, inference_args: Mapping[str, Any] | None) -> Callable[[Any], Any]:
        given = dict(inference_args or {})
        self._signature.check(given)
        arguments = {name: self._moved(value) for name, value in {**self._defaults, **given}.items()}
        # Calling the module itself runs its hooks too.
        method = module if self._method == "forward" else getattr(module, self._method)
        output_fn = self._settings.output_fn

        def call(data: Any) -> Any:
            self._signature.check_apart(data, arguments)
            if self._settings.channels_last:
                data = map_tensors(_channels_last, data)
            # Not inference_mode, in which a model could not compute gradients of its own, such as forces of energies.
            with torch.no_grad(), as_current(self._device), autocast(self._settings, self._device):
                named = isinstance(data, Mapping)
                outputs = method(**data, **arguments) if named else method(data, **arguments)
                return outputs if output_fn is None else output_fn(outputs, data)

        return call

    def _moved(self, value: Any) -> Any:
        if type(value) in (list, tuple, dict):
            return map_tensors(lambda tensor: tensor.to(self._device), value)
        return value.to(self._device) if isinstance(value, torch.Tensor) else value


Ran = tuple[Sequence[Any], Callable[[], None] | None]


def device_of(module: Any, otherwise: str) -> torch.device:
    """Where the weights of a module are; for one without any, the device of the name `otherwise`."""
    for tensors in (getattr(module, "parameters", None), getattr(module, "buffers", None)):
        first = next(iter(tensors()), None) if tensors is not None else None
        if first is not None:
            return first.device
    return find_device(otherwise)


def _is_program(module: Any) -> bool:
    return isinstance(module, torch.fx.GraphModule)


def _owned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def make_transfer(device: torch.device) -> Transfer:
    """The fastest way to copy to a device and back."""
    return StreamTransfer(device) if device.type == "cuda" else PlainTransfer(device)


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
