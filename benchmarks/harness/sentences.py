"""Sentences with one masked token, and loops over them as somebody who knows PyTorch writes them by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

MASK = 103
Sentence = dict[str, torch.Tensor]

# Tokens of a batch, padding included. What was tried is told in framework_cases/mlm.py.
_BUDGET = {"cpu": 1024, "cuda": 32_768}


def make_sentences(count: int, vocabulary: int) -> list[Sentence]:
    """Random tokens, 5 to 60 of them with a mean near 20, as a tokenizer gives them."""
    random = np.random.default_rng(3)
    lengths = np.clip(random.lognormal(np.log(17), 0.55, count), 5, 60).astype(int)
    sentences = []
    for length in lengths:
        tokens = torch.from_numpy(random.integers(MASK + 1, vocabulary, length))
        tokens[random.integers(1, length - 1)] = MASK
        sentences.append(
            {
                "input_ids": tokens,
                "token_type_ids": torch.zeros_like(tokens),
                "attention_mask": torch.ones_like(tokens),
            }
        )
    return sentences


def masked_loop(model: Any, sentences: Sequence[Sentence], device: str, dtype: torch.dtype | None = None) -> list[int]:
    """The likeliest token at each mask; the head is computed there only.

    Args:
        model: A `BertForMaskedLM`.
        sentences: The rows.
        device: Where the model is.
        dtype: What autocast is to use; `None` for no autocast.
    """
    found = []
    # Around the loop, so that weights are converted once.
    with torch.inference_mode(), nullcontext() if dtype is None else torch.autocast(device, dtype):
        for batch in _batches(sentences, device):
            hidden = model.bert(**batch).last_hidden_state
            found.append(model.cls(hidden[batch["input_ids"] == MASK]).argmax(-1))
    return _in_order(sentences, found)


def full_loop(model: Any, sentences: Sequence[Sentence], device: str) -> list[int]:
    """The likeliest token at each mask, out of what the model says about all tokens."""
    found = []
    with torch.inference_mode():
        for batch in _batches(sentences, device):
            logits = model(**batch).logits
            found.append(logits[batch["input_ids"] == MASK].argmax(-1))
    return _in_order(sentences, found)


def flops(config: Any, sentences: Sequence[Sentence], whole_head: bool) -> float:
    """Operations that a sentence needs in the mean, padding left out; of the head at masks or for all tokens."""
    width, layers = config.hidden_size, config.num_hidden_layers
    head = 2 * (width**2 + width * config.vocab_size)
    lengths = np.array([len(sentence["input_ids"]) for sentence in sentences], dtype=float)
    encoder = 2 * (12 * layers * width**2 * lengths + 2 * layers * width * lengths**2)
    return float(np.mean(encoder + head * (lengths if whole_head else 1)))


def _order(sentences: Sequence[Sentence]) -> list[int]:
    """The longest first."""
    return sorted(range(len(sentences)), key=lambda row: -len(sentences[row]["input_ids"]))


def _batches(sentences: Sequence[Sentence], device: str) -> Iterator[Sentence]:
    """Padded batches of like length on the device."""
    order = _order(sentences)
    start = 0
    while start < len(order):
        count = max(1, _BUDGET[device] // len(sentences[order[start]]["input_ids"]))
        rows = [sentences[row] for row in order[start : start + count]]
        batch = {name: pad_sequence([row[name] for row in rows], batch_first=True) for name in rows[0]}
        if device == "cuda":
            batch = {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in batch.items()}
        yield batch
        start += count


def _in_order(sentences: Sequence[Sentence], found: list[torch.Tensor]) -> list[int]:
    """The answers in the order of the input; the device is waited for here only."""
    answers = np.empty(len(sentences), dtype=int)
    answers[_order(sentences)] = torch.cat(found).cpu().numpy()
    return answers.tolist()
