"""Texts through a tokenizer and a model of transformers, a whole batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from runinference.errors import ConfigurationError, ModelLoadError, RowError
from runinference.handlers.huggingface.models import DEFAULT_ARGS, TransformersModelHandler
from runinference.handlers.pytorch.options import TorchOptions, TorchSettings, add_length
from runinference.packages import require

if TYPE_CHECKING:
    import torch

    from runinference.handlers.pytorch.collate import Inputs, Limits
    from runinference.handlers.pytorch.runner import Runner


class HuggingFaceTextModelHandler(TransformersModelHandler):
    """Runs models of transformers on texts.

    ```python
    handler = HuggingFaceTextModelHandler("distilbert-base-uncased-finetuned-sst-2-english",
                                          AutoModelForSequenceClassification)
    ```

    Each example is a `str`. Texts of like length are tokenized and run together; a text that is too long for the model
    is cut off, or set aside with `too_long="set_aside"`. The prediction is a dict of the model's outputs, cut back to
    the tokens of the text where they are per token.

    Args:
        model_uri: A folder, a URL, or the name of a model on the hub.
        model_class: Its class, such as `transformers.AutoModelForSequenceClassification`.
        device: `CPU` (default), `GPU`, `auto`, a name of PyTorch's such as `cuda:1`, or a `torch.device`. For several,
            see `devices` among the options.
        tokenizer_uri: Where the tokenizer is, if not with the model.
        inference_fn: How the model is run: `make_keyed_tensor_model_fn("generate")`, or a function of your own that
            is called with `(batch, model, device, inference_args, model_id)` and texts for `batch`.
        load_model_args: Arguments for `from_pretrained`.
        **options: See [TorchOptions][runinference.handlers.pytorch.options.TorchOptions]; `too_long` is `truncate` by
            default here.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self,
        model_uri: str,
        model_class: Any,
        device: str | torch.device | None = None,
        *,
        tokenizer_uri: str | None = None,
        inference_fn: Callable[..., Any] | None = None,
        load_model_args: Mapping[str, Any] | None = None,
        **options: Unpack[TorchOptions],
    ) -> None:
        if inference_fn is None and options.get("too_long") is None:
            options["too_long"] = "truncate"
        for name in ("collate_fn", "padding"):
            if options.get(name) is not None:
                raise ConfigurationError(f"{type(self).__name__}: {name} has no effect; the tokenizer pads")
        super().__init__(
            model_uri,
            model_class,
            device,
            inference_fn=inference_fn,
            load_model_args=load_model_args,
            **add_length(options, text_length),
        )
        self._tokenizer_uri = tokenizer_uri

    def _load(self, device: torch.device) -> torch.nn.Module:
        transformers = require("transformers", "huggingface", f"run {type(self).__name__}")
        from runinference.handlers.huggingface.loading import load_pretrained

        module = super()._load(device)
        where = self._tokenizer_uri or self._model_uri
        tokenizer = load_pretrained(transformers.AutoTokenizer, where, {})
        if len(tokenizer) <= len(tokenizer.all_special_ids):
            # Where there is no file of words, transformers make a tokenizer that knows none.
            raise ModelLoadError(f"There is no tokenizer in {where!r}; save it there too, or pass tokenizer_uri")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = self._settings.padding_side
        module.tokenizer = tokenizer
        return module

    def _make_runner(self, model: Any, method: str) -> Runner:
        from runinference.handlers.pytorch.runner import Runner

        return Runner(model, self._settings, method, DEFAULT_ARGS, partial(Tokenizing, model.tokenizer))

    def get_metrics_namespace(self) -> str:
        """`BeamML_HuggingFaceModelHandler_Text`."""
        return "BeamML_HuggingFaceModelHandler_Text"


class Tokenizing:
    """Makes the input of a model from texts.

    Attributes:
        limits: What the model says about its input.

    Args:
        tokenizer: A tokenizer of transformers.
        settings: How many tokens a text may have, and what to do with longer ones.
        limits: What the model says about its input.
    """

    def __init__(self, tokenizer: Any, settings: TorchSettings, limits: Limits) -> None:
        self.limits = limits
        self._tokenizer = tokenizer
        longest = [n for n in (settings.max_length, limits.max_length, _limit(tokenizer)) if n is not None]
        self._max_length = min(longest, default=None)
        self._truncates = settings.too_long == "truncate" and bool(longest)

    def __call__(self, rows: Sequence[Any]) -> Inputs:
        """The input for a batch.

        Raises:
            TypeError: A row is no text.
            RowError: A text is too long.
        """
        from runinference.handlers.pytorch.collate import Inputs

        for text in rows:
            if not isinstance(text, str):
                raise TypeError(f"The rows must be texts, got {type(text).__name__}")
        more = {"truncation": True, "max_length": self._max_length} if self._truncates else {}
        encoded = self._tokenizer(
            list(rows), padding=True, return_tensors="pt", return_attention_mask=True, verbose=False, **more
        )
        lengths = encoded["attention_mask"].sum(dim=1).tolist()
        if self._max_length is not None and max(lengths) > self._max_length:
            raise RowError(
                f"A text has {max(lengths):,} tokens; the model takes at most {self._max_length:,}. "
                "too_long='truncate' cuts them off"
            )
        data = dict(encoded)
        if self.limits.takes_mask == "never":
            del data["attention_mask"]
        return Inputs(data, dict.fromkeys(data, lengths) if min(lengths) < max(lengths) else {})


def text_length(text: Any) -> int:
    """A measure of how many tokens a text has: about one for four letters."""
    return 2 + len(text) // 4 if isinstance(text, str) else 1


# What transformers write where a tokenizer sets no limit is far above any number of tokens.
_NO_LIMIT = 1_000_000


def _limit(tokenizer: Any) -> int | None:
    limit = getattr(tokenizer, "model_max_length", None)
    return limit if isinstance(limit, int) and limit < _NO_LIMIT else None
