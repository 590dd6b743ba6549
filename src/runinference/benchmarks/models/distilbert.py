"""DistilBERTs that tell whether a text is positive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from runinference.benchmarks.models.encoder import encoder_flops
from runinference.benchmarks.models.pretrained import Architecture

MOST_TOKENS: Final = 128
"""Longer texts are cut off here, as Beam's example does it."""

_SENTENCES: Final = 32


def sentiment_flops(config: Any, lengths: Sequence[int]) -> float:
    """Operations for texts; the head is computed for the first token of each.

    Args:
        config: A `DistilBertConfig`.
        lengths: Tokens of each text.
    """
    head: int = 2 * (config.dim**2 + config.dim * config.num_labels)
    return encoder_flops(lengths, config.n_layers, config.dim, config.hidden_dim) + head * len(lengths)


def balance_distilbert(model: Any) -> None:
    """Gives each label a mean score of 0: else, with random weights, all texts have the same one."""
    import torch

    from runinference.benchmarks.data.sentences import make_sentences
    from runinference.benchmarks.models.tokens import Tokenize

    tokenize = Tokenize(None, most_tokens=MOST_TOKENS)
    rows = [tokenize(sentence) for sentence in make_sentences(_SENTENCES)]
    scores = [model(**{name: tensor[None] for name, tensor in row.items()}).logits[0] for row in rows]
    model.classifier.bias -= torch.stack(scores).mean(0)


# The defaults of the configuration are those of distilbert-base-uncased.
DISTILBERT: Final = Architecture(
    "distilbert",
    "DistilBertConfig",
    "DistilBertForSequenceClassification",
    {
        "distilbert-base-uncased": {"num_labels": 2},
        "tiny": {"num_labels": 2, "dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 256},
    },
    balance_distilbert,
)
