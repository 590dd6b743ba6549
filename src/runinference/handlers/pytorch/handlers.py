"""The handlers for PyTorch models that are defined by a class, or bring their own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from runinference.errors import ConfigurationError
from runinference.handlers.columns import to_matrix
from runinference.handlers.pytorch.base import CallMethod, TorchModelHandler
from runinference.handlers.pytorch.options import TorchOptions
from runinference.handlers.results import make_predictions

if TYPE_CHECKING:
    import torch

default_tensor_inference_fn = CallMethod("forward")
"""Stacks the rows of a batch and calls the model with them."""

default_keyed_tensor_inference_fn = CallMethod("forward")
"""Stacks the rows of a batch by name and calls the model with these as keyword arguments."""


def make_tensor_model_fn(model_fn: str) -> CallMethod:
    """An `inference_fn` that calls another method of the model than `forward`, such as `generate`.

    Args:
        model_fn: The name of the method.
    """
    return CallMethod(model_fn)


def make_keyed_tensor_model_fn(model_fn: str) -> CallMethod:
    """As `make_tensor_model_fn`, for rows that are tensors by name."""
    return CallMethod(model_fn)


class _PytorchModelHandler(TorchModelHandler):
    """What both handlers share: where the model is and how it is loaded."""

    _not_shared = ("_model_params", "_load_model_args")

    def __init__(
        self,
        state_dict_path: str | None = None,
        model_class: Callable[..., torch.nn.Module] | None = None,
        model_params: Mapping[str, Any] | None = None,
        device: str | torch.device | None = None,
        *,
        inference_fn: Callable[..., Any] | None = None,
        torch_script_model_path: str | None = None,
        exported_program_path: str | None = None,
        load_model_args: Mapping[str, Any] | None = None,
        **options: Unpack[TorchOptions],
    ) -> None:
        super().__init__(device, inference_fn, **options)
        name = type(self).__name__
        paths = {
            "state_dict_path": state_dict_path,
            "torch_script_model_path": torch_script_model_path,
            "exported_program_path": exported_program_path,
        }
        given = {kind: str(path) for kind, path in paths.items() if path}
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ConfigurationError(f"{name} needs one of {', '.join(paths)}; got {found}")
        ((self._kind, self._path),) = given.items()
        if self._kind == "state_dict_path" and model_class is None:
            raise ConfigurationError(
                f"{name}: state_dict_path needs model_class, which makes the module for the weights"
            )
        if self._kind != "state_dict_path" and (model_class is not None or model_params is not None):
            raise ConfigurationError(f"{name}: model_class and model_params have no effect with {self._kind}")
        if model_class is not None and not callable(model_class):
            raise ConfigurationError(f"{name}: model_class must be a class or function, got {model_class!r}")
        self._model_class = model_class
        self._model_params = dict(model_params or {})
        self._load_model_args = dict(load_model_args or {})

    def _load(self, device: torch.device) -> torch.nn.Module:
        from runinference.handlers.pytorch.programs import load_exported, load_torch_script
        from runinference.handlers.pytorch.state_dict import load_module

        if self._kind == "torch_script_model_path":
            return load_torch_script(self._path, device, self._load_model_args)
        if self._kind == "exported_program_path":
            return load_exported(self._path, device, self._load_model_args)
        assert self._model_class is not None
        return load_module(self._path, self._model_class, self._model_params, self._load_model_args)

    def get_model_id(self) -> str:
        """Where the model is loaded from."""
        return self._path

    def update_model_path(self, model_path: str | None = None) -> None:
        """Makes the next `load_model` load from `model_path`, a file of the same kind."""
        self._path = self._path if model_path is None else str(model_path)

    def get_metrics_namespace(self) -> str:
        """`BeamML_PyTorch`, as dashboards know it."""
        return "BeamML_PyTorch"


class PytorchModelHandlerTensor(_PytorchModelHandler):
    """Runs PyTorch models on tensors.

    ```python
    handler = PytorchModelHandlerTensor("linear.pth", torch.nn.Linear, {"in_features": 3, "out_features": 1})
    ```

    Each example is a tensor, array or list of numbers; a batch of them is stacked to shape (rows, *shape), and the
    model is called with it. Rows of several lengths are stacked too where `padding` says how to fill up the shorter
    ones. Tables are run as they are, their numbers in the type of the model's weights.

    Args:
        state_dict_path: Path or URL of the weights, as `torch.save(model.state_dict(), …)` or safetensors write them.
            They are mapped into memory, and no code in the file is run.
        model_class: Makes the module that the weights belong to.
        model_params: Arguments of `model_class`.
        device: `CPU` (default), `GPU`, a name of PyTorch's such as `cuda:1` or `mps`, or a `torch.device`; it must be
            there when the model is loaded. `auto` takes a GPU where there is one. For several, see `devices` among
            the options.
        inference_fn: How the model is run: `make_tensor_model_fn("method")`, or a function of your own that is called
            with `(batch, model, device, inference_args, model_id)` and returns one prediction for each example.
        torch_script_model_path: Path or URL of a TorchScript file, in place of the first three.
        exported_program_path: Path or URL of a file that `torch.export.save` wrote (`.pt2`), in place of these.
        load_model_args: Arguments for `torch.load`, `torch.jit.load` or `torch.export.load`.
        **options: See [TorchOptions][runinference.handlers.pytorch.options.TorchOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def run_inference_on_block(self, block: Any, model: Any, inference_args: dict[str, Any] | None = None) -> Any:
        """Predicts for a block; a null is NaN."""
        import torch

        self._use_threads()
        # A copy, because a model may write into its input, and rows of columns have to be turned anyway.
        matrix = torch.from_numpy(np.array(to_matrix(block), order="C"))
        if self._inference_fn is not None and not isinstance(self._inference_fn, CallMethod):
            from runinference.handlers.pytorch.prepare import dtype_of

            rows = list(matrix.to(dtype_of(model) or matrix.dtype))
            results = self._run_own(self._inference_fn, rows, model, inference_args)
            return [result.inference for result in results]
        outputs = self._runner(model).run_matrix(model, matrix, inference_args)
        rows = make_predictions(matrix, outputs)
        return outputs.numpy() if isinstance(outputs, torch.Tensor) else list(rows)


class PytorchModelHandlerKeyedTensor(_PytorchModelHandler):
    """Runs PyTorch models on tensors by name, such as a tokenizer makes them.

    Each example is a dict of names to tensors; a batch is stacked name by name, and the model is called with these as
    keyword arguments. Rows may differ in length: rows of like length are batched together, shorter ones are filled up
    (see `padding`), an `attention_mask` is added where the model takes one, and outputs are cut back to the length of
    their row.

    Args:
        state_dict_path: Path or URL of the weights; this and all others are those of `PytorchModelHandlerTensor`.
        model_class: Makes the module.
        model_params: Arguments of `model_class`.
        device: Where the model runs.
        inference_fn: How the model is run.
        torch_script_model_path: A TorchScript file.
        exported_program_path: An exported program.
        load_model_args: Arguments for loading.
        **options: See [TorchOptions][runinference.handlers.pytorch.options.TorchOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    _keyed = True
