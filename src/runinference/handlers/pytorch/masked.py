"""The vocabulary head of a masked language model, computed for the masked tokens only."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runinference.errors import ConfigurationError, ModelFaultError, ModelLoadError

if TYPE_CHECKING:
    import torch


class MaskedTokens:
    """An `output_fn` that gives the likeliest tokens at each mask, and computes nothing else of the vocabulary.

    A masked language model ends in a layer with one output for each word of its vocabulary and each token of the
    text, such as 30,522 × 128 numbers where one word was asked for. With this, that layer is given only the masked
    tokens, and only the best words leave the device.

    ```python
    handler = PytorchModelHandlerKeyedTensor(
        "bert.pth", BertForMaskedLM, {"config": config}, output_fn=MaskedTokens(mask_token_id=103)
    )
    ```

    The prediction of a row with n masks is `{"token_ids": …, "scores": …}`, two tensors of shape (n, top_k), the
    likeliest first; scores are probabilities.

    Args:
        mask_token_id: The token that stands for what is asked.
        top_k: How many words for each mask.
        input_name: The input that holds the tokens.
        head: The name of the layer, for models that do not tell it by `get_output_embeddings()`.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self, mask_token_id: int, top_k: int = 1, *, input_name: str = "input_ids", head: str | None = None
    ) -> None:
        for name, value, least in (("mask_token_id", mask_token_id, 0), ("top_k", top_k, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(
                    f"MaskedTokens: {name} must be a whole number of at least {least}, got {value!r}"
                )
        self._mask_token_id = mask_token_id
        self._top_k = top_k
        self._input_name = input_name
        self._head = head

    def prepare(self, module: torch.nn.Module) -> None:
        """Makes the head of `module` compute the masked tokens only.

        Raises:
            ModelLoadError: The module does not tell which layer the head is.
        """
        head = self._find_head(module)
        call = threading.local()

        def look(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            tokens = kwargs.get(self._input_name, args[0] if args else None)
            call.masked = None if tokens is None else tokens == self._mask_token_id

        def pick(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            if call.masked is None or args[0].shape[:2] != call.masked.shape:
                return args
            return (args[0][call.masked], *args[1:])

        module.register_forward_pre_hook(look, with_kwargs=True)
        head.register_forward_pre_hook(pick)

    def __call__(self, outputs: Any, inputs: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """The likeliest tokens of a batch.

        Args:
            outputs: What the model returned: its logits, or a mapping that holds them.
            inputs: Its inputs.

        Raises:
            ModelFaultError: The inputs hold no tokens, or there are not as many logits as masks.
        """
        from runinference.handlers.pytorch.trees import Ragged

        if not isinstance(inputs, Mapping) or self._input_name not in inputs:
            raise ModelFaultError(f"MaskedTokens needs rows with the input {self._input_name!r}")
        counts = (inputs[self._input_name] == self._mask_token_id).sum(dim=1)
        logits = outputs["logits"] if isinstance(outputs, Mapping) else outputs
        if logits.dim() != 2:
            raise ModelFaultError(f"MaskedTokens expects logits of shape (masks, words), got {list(logits.shape)}")
        best = logits.float().topk(min(self._top_k, logits.shape[-1]))
        scores = (best.values - logits.float().logsumexp(dim=-1, keepdim=True)).exp()
        return {"token_ids": Ragged(best.indices, counts), "scores": Ragged(scores, counts)}

    def _find_head(self, module: torch.nn.Module) -> torch.nn.Module:
        if self._head is not None:
            try:
                return module.get_submodule(self._head)
            except AttributeError:
                names = [name for name, _ in module.named_children()]
                raise ModelLoadError(
                    f"{type(module).__name__} has no layer {self._head!r}; its parts are {', '.join(names)}"
                ) from None
        try:
            head = module.get_output_embeddings()
        except (AttributeError, NotImplementedError):
            head = None
        if head is None:
            raise ModelLoadError(
                f"{type(module).__name__} does not tell which layer makes its words; say MaskedTokens(…, head='name')"
            )
        return head
