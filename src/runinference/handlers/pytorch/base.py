"""What every handler for PyTorch models does, wherever the model comes from."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from runinference.errors import ConfigurationError
from runinference.handlers.pytorch.copies import TorchCopies
from runinference.handlers.pytorch.options import TorchOptions, TorchSettings, add_length, check_unused, split_options
from runinference.handlers.results import make_results, results_of_own_function
from runinference.packages import require
from runinference.pending import Pending
from runinference.prediction import PredictionResult

if TYPE_CHECKING:
    import torch

    from runinference.handlers.pytorch.runner import Runner


class CallMethod:
    """Runs the model by one of its methods, `forward` as a rule.

    The handler puts rows together and results apart as its options say; called by itself with a batch, as Beam's
    functions of this kind are, it does so with the defaults.

    Args:
        method: The name of the method.
    """

    def __init__(self, method: str) -> None:
        self.method = method

    def __call__(
        self,
        batch: Sequence[Any],
        model: Any,
        device: Any = None,  # noqa: ARG002
        inference_args: dict[str, Any] | None = None,
        model_id: str | None = None,
    ) -> Iterable[PredictionResult]:
        """The results for a batch; the model stays on the device that it is on."""
        from runinference.handlers.pytorch.runner import Runner

        predictions, wait = Runner(model, TorchSettings(), self.method).run(model, batch, inference_args)
        if wait is not None:
            wait()
        return make_results(batch, predictions, model_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.method!r})"


# What is no sequence, such as an image, counts as so many tokens, for batches that start small and grow.
_LENGTH_OF_OTHERS = 64


def row_length(row: Any) -> int:
    """How long a row is: the size of its first axis, or that of its first input, where that is a sequence."""
    if isinstance(row, Mapping):
        row = next(iter(row.values()), None)
    shape = getattr(row, "shape", None)
    if shape is None:
        return len(row) if isinstance(row, (list, tuple)) else _LENGTH_OF_OTHERS
    return int(shape[0]) if len(shape) in (1, 2) else _LENGTH_OF_OTHERS


class TorchModelHandler(TorchCopies):
    """Rows that are tensors, or tensors by name, through a PyTorch module.

    Rows that may differ in length are batched with those of like length.

    Args:
        device: `CPU` (default), `GPU`, `auto`, a name of PyTorch's or a `torch.device`.
        inference_fn: What runs the model in place of calling it:
            `inference_fn(batch, model, device, inference_args, model_id)`.
        **options: See [TorchOptions][runinference.handlers.pytorch.options.TorchOptions].
    """

    _keyed = False

    def __init__(
        self,
        device: Any,
        inference_fn: Callable[..., Any] | None,
        **options: Unpack[TorchOptions],
    ) -> None:
        name = type(self).__name__
        devices = options.pop("devices", None)
        if self._keyed or options.get("padding") is not None:
            options = add_length(options, row_length)
        self._settings, self._options = split_options(name, options)
        self._threads = self._settings.threads
        self._place(device, devices, default="cpu")
        if inference_fn is not None and not callable(inference_fn):
            raise ConfigurationError(f"{name}: inference_fn must be a function, got {inference_fn!r}")
        if inference_fn is not None and not isinstance(inference_fn, CallMethod):
            check_unused(name, self._settings, "an inference_fn of your own, which gets the rows as they are")
        if self._settings.compile and isinstance(inference_fn, CallMethod) and inference_fn.method != "forward":
            raise ConfigurationError(f"{name}: compile has no effect with another method of the model than forward")
        self._inference_fn = inference_fn

    def load_model(self) -> Any:
        """Loads the model and puts it on its device.

        Raises:
            ModelLoadError: The model is missing, damaged or of another kind, or the device is not there.
            MissingDependencyError: A package is not installed.
        """
        require("torch", "torch", f"run {type(self).__name__}")
        from runinference.handlers.pytorch.devices import as_current, find_device
        from runinference.handlers.pytorch.prepare import make_ready

        device = find_device(self._device)
        with as_current(device):
            return make_ready(self._load(device), device, self._settings)

    def _load(self, device: torch.device) -> torch.nn.Module:
        raise NotImplementedError

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Predicts for a batch.

        Args:
            batch: One example for each row.
            model: The loaded module.
            inference_args: Keyword arguments for the call of the model.

        Returns:
            One result for each row: tensors on the CPU that share no memory, in the shape of what the model returns.
        """
        self._use_threads()
        if self._inference_fn is not None and not isinstance(self._inference_fn, CallMethod):
            return self._run_own(self._inference_fn, batch, model, inference_args)
        predictions, wait = self._runner(model).run(model, batch, inference_args)
        results = make_results(batch, predictions, self.get_model_id())
        return results if wait is None else Pending(results, wait)

    def _run_own(
        self, inference_fn: Callable[..., Any], batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None
    ) -> Iterable[PredictionResult]:
        from runinference.handlers.pytorch.devices import as_current
        from runinference.handlers.pytorch.prepare import autocast
        from runinference.handlers.pytorch.runner import device_of

        device = device_of(model, self._device)
        with as_current(device), autocast(self._settings, device):
            outputs = inference_fn(batch, model, device, inference_args, self.get_model_id())
        return results_of_own_function(batch, outputs, self.get_model_id())

    def _runner(self, model: Any) -> Runner:
        method = self._inference_fn.method if isinstance(self._inference_fn, CallMethod) else "forward"
        settings, known, runner = _RUNNERS.get(model, (None, None, None))
        if runner is None or settings is not self._settings or known != method:
            runner = self._make_runner(model, method)
            _RUNNERS[model] = self._settings, method, runner
        return runner

    def _make_runner(self, model: Any, method: str) -> Runner:
        from runinference.handlers.pytorch.runner import Runner

        return Runner(model, self._settings, method, device=self._device)

    def get_model_bytes(self, model: Any) -> int | None:
        """The bytes of the parameters and buffers, wherever they are."""
        if not hasattr(model, "parameters"):
            return None
        from runinference.handlers.pytorch.prepare import model_bytes

        return model_bytes(model)


# What belongs to a loaded model lives as long as that.
_RUNNERS: weakref.WeakKeyDictionary[Any, tuple[TorchSettings, str, Runner]] = weakref.WeakKeyDictionary()
