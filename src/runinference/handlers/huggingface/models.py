"""The handlers for models of transformers that take tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack

from runinference.errors import ConfigurationError
from runinference.handlers.pytorch.base import TorchModelHandler
from runinference.handlers.pytorch.options import TorchOptions
from runinference.packages import require

if TYPE_CHECKING:
    import torch

    from runinference.handlers.pytorch.runner import Runner


class TransformersModelHandler(TorchModelHandler):
    """What the handlers for models of transformers share: where the model is and how it is loaded.

    Args:
        model_uri: A folder, a URL, or the name of a model on the hub.
        model_class: Its class, such as `transformers.AutoModelForMaskedLM`, or the name of that.
        device: See `PytorchModelHandlerTensor`.
        inference_fn: See `PytorchModelHandlerTensor`.
        load_model_args: Arguments for `from_pretrained`.
        **options: See [TorchOptions][runinference.handlers.pytorch.options.TorchOptions].
    """

    _keyed = True
    _not_shared = ("_load_model_args",)

    def __init__(
        self,
        model_uri: str,
        model_class: Any,
        device: str | torch.device | None = None,
        *,
        inference_fn: Callable[..., Any] | None = None,
        load_model_args: Mapping[str, Any] | None = None,
        **options: Unpack[TorchOptions],
    ) -> None:
        super().__init__(device, inference_fn, **options)
        name = type(self).__name__
        if not model_uri:
            raise ConfigurationError(f"{name} needs model_uri: a folder, a URL or the name of a model on the hub")
        if not isinstance(model_class, str) and not callable(getattr(model_class, "from_pretrained", None)):
            raise ConfigurationError(
                f"{name}: model_class must be a class with from_pretrained(), such as transformers.AutoModel, or its "
                f"name, got {model_class!r}"
            )
        self._model_uri = str(model_uri)
        self._model_class = model_class
        self._load_model_args = dict(load_model_args or {})

    def _load(self, device: torch.device) -> torch.nn.Module:
        del device
        require("transformers", "huggingface", f"run {type(self).__name__}")
        from runinference.handlers.huggingface.loading import find_class, load_pretrained

        found = find_class(self._model_class)
        model: torch.nn.Module = load_pretrained(found, self._model_uri, self._load_model_args)
        return model

    def _make_runner(self, model: Any, method: str) -> Runner:
        from runinference.handlers.pytorch.runner import Runner

        return Runner(model, self._settings, method, DEFAULT_ARGS, device=self._device)

    def get_model_id(self) -> str:
        """Where the model is loaded from."""
        return self._model_uri

    def update_model_path(self, model_path: str | None = None) -> None:
        """Makes the next `load_model` load from `model_path`."""
        self._model_uri = self._model_uri if model_path is None else str(model_path)


# The cache that a model could continue a text with is not per row, and nobody asked for it.
DEFAULT_ARGS = {"use_cache": False}


class HuggingFaceModelHandlerKeyedTensor(TransformersModelHandler):
    """Runs models of transformers on tensors by name, such as a tokenizer makes them.

    ```python
    handler = HuggingFaceModelHandlerKeyedTensor("distilbert-base-uncased", AutoModelForMaskedLM)
    ```

    Each example is a dict of names to tensors. Rows may differ in length: rows of like length are batched together,
    shorter ones are filled up with the model's padding token, an `attention_mask` is added, and outputs are cut back
    to the length of their row. The prediction is a dict of the model's outputs.

    Args:
        model_uri: A folder, a URL, or the name of a model on the hub.
        model_class: Its class, such as `transformers.AutoModelForMaskedLM`, or the name of that.
        framework: `pt`; transformers has no models for TensorFlow any more.
        device: `CPU` (default), `GPU`, `auto`, a name of PyTorch's such as `cuda:1`, or a `torch.device`. For several,
            see `devices` among the options.
        inference_fn: How the model is run: `make_keyed_tensor_model_fn("generate")`, or a function of your own that
            is called with `(batch, model, device, inference_args, model_id)`.
        load_model_args: Arguments for `from_pretrained`.
        **options: See [TorchOptions][runinference.handlers.pytorch.options.TorchOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self,
        model_uri: str,
        model_class: Any,
        framework: Literal["pt"] = "pt",
        device: str | torch.device | None = None,
        **options: Any,
    ) -> None:
        if framework != "pt":
            raise ConfigurationError(
                f"{type(self).__name__}: framework must be 'pt', got {framework!r}; transformers 5 has no other"
            )
        super().__init__(model_uri, model_class, device, **options)

    def get_metrics_namespace(self) -> str:
        """`BeamML_HuggingFaceModelHandler_KeyedTensor`, as dashboards know it."""
        return "BeamML_HuggingFaceModelHandler_KeyedTensor"


class HuggingFaceModelHandlerTensor(TransformersModelHandler):
    """Runs models of transformers on tensors, such as token ids or the pixels of an image.

    Each example is a tensor or array, given to the model as its first input. Token ids may differ in length, as those
    of [HuggingFaceModelHandlerKeyedTensor][runinference.handlers.huggingface.models.HuggingFaceModelHandlerKeyedTensor]
    may. The prediction is a dict of the model's outputs.

    Args:
        model_uri: A folder, a URL, or the name of a model on the hub.
        model_class: Its class, such as `transformers.AutoModelForImageClassification`, or the name of that.
        device: `CPU` (default), `GPU`, `auto`, a name of PyTorch's such as `cuda:1`, or a `torch.device`. For several,
            see `devices` among the options.
        inference_fn: How the model is run: `make_tensor_model_fn("generate")`, or a function of your own that is
            called with `(batch, model, device, inference_args, model_id)`.
        load_model_args: Arguments for `from_pretrained`.
        **options: See [TorchOptions][runinference.handlers.pytorch.options.TorchOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def get_metrics_namespace(self) -> str:
        """`BeamML_HuggingFaceModelHandler_Tensor`, as dashboards know it."""
        return "BeamML_HuggingFaceModelHandler_Tensor"
