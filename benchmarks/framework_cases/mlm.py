"""A masked language model, BERT-base, on 500 sentences of 5 to 60 tokens: what stands at the mask?

Contestants:

- `masked loop`, `full loop`: written by hand; sorted by length, padded, the head at the masks only or for all tokens.
- `ours`, `ours, all logits`: `infer` with `MaskedTokens`, or with an `output_fn` on all logits.
- `Beam's handler`: as Beam's example runs it, sentence by sentence, with all logits; called directly.
- `Beam's pipeline`: the same in a pipeline, which loads its model, against `ours, with loading`.
- in bf16, on fewer sentences where the processor has no instructions for it: `ours, bf16` and `masked loop, bf16`.

Tokenizing is left out for all. What was tried for the loops, on 2 cores: batches of 256 and 4,096 tokens are slower
than those of 512 to 2,048, which hardly differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from transformers import BertForMaskedLM

from harness import beam, compute
from harness.contest import Contest, Work
from harness.result import Result, Settings
from harness.sentences import MASK, Sentence, flops, full_loop, make_sentences, masked_loop
from harness.transformer_models import bert_config, bert_file
from runinference import Engine, MaskedTokens, PytorchModelHandlerKeyedTensor, infer

_OF_LOOP = 0.95
_OF_BEAM = 3.0


def run(settings: Settings) -> list[Result]:
    """In fp32 and in bf16."""
    compute.prepare()
    compute.peak(settings.device, "fp32", settings.quick)
    size = "tiny" if settings.quick else "base"
    sentences = make_sentences(50 if settings.quick else 500, bert_config(size).vocab_size)
    few = sentences if settings.quick or compute.has_bf16(settings.device) else sentences[:100]
    with ExitStack() as stack:
        loaded = stack.enter_context
        masked = _handler(settings, size, output_fn=MaskedTokens(MASK))
        full = _handler(settings, size, output_fn=best_tokens)
        half = _handler(settings, size, output_fn=MaskedTokens(MASK), precision="bf16")
        for handler in (masked, full, half):
            deque(loaded(Engine(handler)).map(sentences[:2]), maxlen=0)
        model = _by_hand(settings, size)
        full_contest = Contest.hold(
            "mlm",
            {
                "ours": Work(len(sentences), partial(_ours, sentences, masked, _at_masks)),
                "masked loop": Work(len(sentences), partial(masked_loop, model, sentences, settings.device)),
                "ours, all logits": Work(len(sentences), partial(_ours, sentences, full, _of_all)),
                "full loop": Work(len(sentences), partial(full_loop, model, sentences, settings.device)),
                "ours, with loading": Work(len(sentences), partial(_with_loading, settings, size, sentences)),
                **_beam(settings, size, sentences),
            },
            settings.repeat,
        )
        half_contest = Contest.hold(
            f"mlm, {len(few)} sentences",
            {
                "ours": Work(len(few), partial(_ours, few, masked, _at_masks)),
                "ours, bf16": Work(len(few), partial(_ours, few, half, _at_masks)),
                "masked loop, bf16": Work(len(few), partial(masked_loop, model, few, settings.device, torch.bfloat16)),
            },
            settings.repeat,
        )
    return [
        full_contest.against("ours", "masked loop", _OF_LOOP),
        full_contest.against("ours, all logits", "full loop", _OF_LOOP),
        full_contest.against("ours", "Beam's handler", _OF_BEAM),
        full_contest.against("ours, all logits", "Beam's handler"),
        full_contest.against("ours, with loading", "Beam's pipeline", _OF_BEAM),
        half_contest.against("ours, bf16", "masked loop, bf16", _OF_LOOP, exact=False),
        half_contest.against("ours, bf16", "ours", exact=False, note=_about_bf16(settings)),
        *_of_peak(settings, size, sentences, full_contest),
    ]


def best_tokens(outputs: Any, inputs: Any) -> torch.Tensor:
    """The likeliest token at the only mask of each row, out of all logits, of shape (rows,)."""
    best: torch.Tensor = outputs.logits[inputs["input_ids"] == MASK].argmax(-1)
    return best


def token_at_mask(result: Any) -> int:
    """What the example's post-processing finds in all logits of a sentence."""
    return int(result.inference["logits"][result.example["input_ids"] == MASK].argmax())


def _ours(sentences: Sequence[Sentence], handler: Any, answer: Callable[[Any], int]) -> list[int]:
    return [answer(result) for result in infer(sentences, handler)]


def _with_loading(settings: Settings, size: str, sentences: Sequence[Sentence]) -> list[int]:
    return _ours(sentences, _handler(settings, size, output_fn=MaskedTokens(MASK)), _at_masks)


def _at_masks(result: Any) -> int:
    return int(result.inference["token_ids"][0, 0])


def _of_all(result: Any) -> int:
    return int(result.inference)


def _handler(settings: Settings, size: str, **options: Any) -> PytorchModelHandlerKeyedTensor:
    return PytorchModelHandlerKeyedTensor(
        str(bert_file(size)), BertForMaskedLM, {"config": bert_config(size)}, device=settings.device, **options
    )


def _by_hand(settings: Settings, size: str) -> BertForMaskedLM:
    model = BertForMaskedLM(bert_config(size))
    model.load_state_dict(torch.load(bert_file(size), weights_only=True))
    return model.eval().to(settings.device)


def _beam(settings: Settings, size: str, sentences: Sequence[Sentence]) -> dict[str, Work]:
    if not beam.installed():
        return {}
    from apache_beam.ml.inference.base import KeyedModelHandler
    from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerKeyedTensor as Handler

    handler = Handler(
        str(bert_file(size)),
        BertForMaskedLM,
        {"config": bert_config(size)},
        "GPU" if settings.device == "cuda" else "CPU",
        max_batch_size=1,
    )
    keyed, model = KeyedModelHandler(handler), handler.load_model()
    rows = list(enumerate(sentences))

    def directly() -> list[int]:
        return [token_at_mask(result) for _, result in beam.call(keyed, model, rows, 1)]

    return {
        "Beam's handler": Work(len(rows), directly),
        "Beam's pipeline": Work(len(rows), partial(beam.pipeline, handler, sentences, token_at_mask)),
    }


def _about_bf16(settings: Settings) -> str:
    told = "random weights leave close calls"
    if compute.has_bf16(settings.device):
        return told
    return f"{told}; this processor has no instructions for bf16, so that it is slower with it"


def _of_peak(settings: Settings, size: str, sentences: Sequence[Sentence], contest: Contest) -> list[Result]:
    peak = compute.peak(settings.device, "fp32", settings.quick)
    return [
        contest.of_peak(name, flops(bert_config(size), sentences, whole_head), peak)
        for name, whole_head in (
            ("ours", False),
            ("masked loop", False),
            ("ours, all logits", True),
            ("full loop", True),
            ("Beam's handler", True),
        )
        if name in contest.samples
    ]
