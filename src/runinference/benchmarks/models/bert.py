"""BERTs that say which word is masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from runinference.benchmarks.models.encoder import encoder_flops
from runinference.benchmarks.models.pretrained import Architecture


def masked_words_flops(config: Any, lengths: Sequence[int]) -> float:
    """Operations for sentences with one masked word each; the head is needed for that word only.

    Args:
        config: A `BertConfig`.
        lengths: Tokens of each sentence.
    """
    width = config.hidden_size
    head: int = 2 * (width**2 + width * config.vocab_size)
    return encoder_flops(lengths, config.num_hidden_layers, width, config.intermediate_size) + head * len(lengths)


# The defaults of the configuration are those of bert-base-uncased, a vocabulary of 30,522 included.
BERT: Final = Architecture(
    "bert",
    "BertConfig",
    "BertForMaskedLM",
    {
        "bert-base-uncased": {},
        "bert-large-uncased": {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        },
        "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256},
    },
)
