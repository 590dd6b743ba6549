"""Texts as vectors: models that sentence-transformers has written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from runinference.errors import ConfigurationError, ModelLoadError
from runinference.handlers.huggingface.models import DEFAULT_ARGS
from runinference.handlers.huggingface.text import HuggingFaceTextModelHandler, Tokenizing
from runinference.handlers.pytorch.options import TorchOptions
from runinference.models.files import local_model
from runinference.packages import require

if TYPE_CHECKING:
    import torch

    from runinference.handlers.pytorch.runner import Runner

Pooling = Literal["mean", "cls", "max"]
_MODES = ("mean", "cls", "max")


class HuggingFaceEmbeddingModelHandler(HuggingFaceTextModelHandler):
    """Turns texts into vectors, as sentence-transformers does.

    ```python
    handler = HuggingFaceEmbeddingModelHandler("sentence-transformers/all-MiniLM-L6-v2", device="auto")
    ```

    Each example is a `str`, and its prediction a float32 tensor of shape (features,). How the vectors of the tokens
    become one is read from the files that sentence-transformers has written, where the model has them.

    Args:
        model_uri: A folder, a URL, or the name of a model on the hub.
        device: `CPU` (default), `GPU`, `auto`, a name of PyTorch's such as `cuda:1`, or a `torch.device`. For several,
            see `devices` among the options.
        pooling: `mean`, `cls` (the first token) or `max`, in place of what the model's files say.
        normalize: Whether vectors get length 1, in place of what the model's files say.
        tokenizer_uri: Where the tokenizer is, if not with the model.
        load_model_args: Arguments for `from_pretrained`.
        **options: See [TorchOptions][runinference.handlers.pytorch.options.TorchOptions]; `too_long` is `truncate` by
            default.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self,
        model_uri: str,
        device: str | torch.device | None = None,
        *,
        pooling: Pooling | None = None,
        normalize: bool | None = None,
        tokenizer_uri: str | None = None,
        load_model_args: Mapping[str, Any] | None = None,
        **options: Unpack[TorchOptions],
    ) -> None:
        name = type(self).__name__
        if pooling is not None and pooling not in _MODES:
            raise ConfigurationError(f"{name}: pooling must be one of {', '.join(_MODES)}, got {pooling!r}")
        if options.get("output_fn") is not None:
            raise ConfigurationError(f"{name}: output_fn has no effect; the output is the vector of the text")
        super().__init__(
            model_uri, "AutoModel", device, tokenizer_uri=tokenizer_uri, load_model_args=load_model_args, **options
        )
        self._pooling = pooling
        self._normalize = normalize

    def _load(self, device: torch.device) -> torch.nn.Module:
        require("transformers", "huggingface", f"run {type(self).__name__}")
        recipe = read_recipe(self._model_uri)
        module = super()._load(device)
        module.embedding = Embedding(
            self._pooling or recipe.get("pooling", "mean"),
            recipe.get("normalize", False) if self._normalize is None else self._normalize,
        )
        longest = recipe.get("max_length")
        if longest is not None:
            module.tokenizer.model_max_length = min(module.tokenizer.model_max_length, longest)
        return module

    def _make_runner(self, model: Any, method: str) -> Runner:
        from runinference.handlers.pytorch.runner import Runner

        settings = dataclasses.replace(self._settings, output_fn=model.embedding)
        return Runner(model, settings, method, DEFAULT_ARGS, partial(Tokenizing, model.tokenizer))

    def get_metrics_namespace(self) -> str:
        """`BeamML_HuggingFaceModelHandler_Embedding`."""
        return "BeamML_HuggingFaceModelHandler_Embedding"


class Embedding:
    """Makes one vector of those of the tokens of a text.

    Args:
        pooling: How they become one.
        normalize: Whether it gets length 1.
    """

    def __init__(self, pooling: Pooling, normalize: bool) -> None:
        self._pooling = pooling
        self._normalize = normalize

    def __call__(self, outputs: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The vectors of a batch, of shape (rows, features)."""
        import torch

        tokens = outputs["last_hidden_state"].float()
        mask = inputs["attention_mask"][..., None].to(tokens.dtype)
        if self._pooling == "cls":
            vectors = tokens[:, 0]
        elif self._pooling == "max":
            vectors = tokens.masked_fill(mask == 0, -torch.inf).max(dim=1).values
        else:
            vectors = (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
        return torch.nn.functional.normalize(vectors, dim=1) if self._normalize else vectors


def read_recipe(uri: str) -> dict[str, Any]:
    """What sentence-transformers has written about a model: `pooling`, `normalize` and `max_length`, as far as known.

    Raises:
        ModelLoadError: The model has a part that is not known here.
    """
    modules = _read_json(uri, "modules.json")
    if modules is None:
        return {}
    recipe: dict[str, Any] = {"normalize": False}
    for module in modules:
        kind = module["type"].rpartition(".")[2]
        if kind == "Pooling":
            recipe["pooling"] = _pooling(uri, _read_json(uri, f"{module['path']}/config.json") or {})
        elif kind == "Normalize":
            recipe["normalize"] = True
        elif kind != "Transformer":
            raise ModelLoadError(
                f"{uri} has a part of type {kind}, which HuggingFaceEmbeddingModelHandler does not know; "
                "it knows Transformer, Pooling and Normalize"
            )
    recipe["max_length"] = (_read_json(uri, "sentence_bert_config.json") or {}).get("max_seq_length")
    return recipe


def _pooling(uri: str, config: Mapping[str, Any]) -> str:
    if "pooling_mode" in config:
        named = config["pooling_mode"]
        chosen = [named] if isinstance(named, str) else list(named)
    else:
        names = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max"}
        prefix = "pooling_mode_"
        chosen = [key.removeprefix(prefix) for key, value in config.items() if key.startswith(prefix) and value]
        chosen = [names.get(name, name) for name in chosen]
    if len(chosen) != 1 or chosen[0] not in _MODES:
        raise ModelLoadError(f"{uri} pools tokens by {' and '.join(chosen)}; known is one of {', '.join(_MODES)}")
    return str(chosen[0])


def _read_json(uri: str, name: str) -> Any:
    from transformers.utils import cached_file

    place = local_model(uri) if "://" in uri else uri
    try:
        path = cached_file(place, name, _raise_exceptions_for_missing_entries=False)
    except OSError:  # Neither a folder nor a model of the hub: loading it says so.
        return None
    return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
