"""Text as the tensors that a model of transformers takes, of shape (tokens,)."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runinference.benchmarks.data.wordpiece import tokenizer_folder
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError
from runinference.jobs.paths import is_url, normal_path
from runinference.packages import require

_FILES = ("tokenizer.json", "vocab.txt")
_LOADING = threading.Lock()


@dataclass(frozen=True)
class Tokenize:
    """Text to `input_ids` and `attention_mask`. It can be pickled; the vocabulary is read where it is used.

    Attributes:
        folder: Where the tokenizer is; `None` for the one whose vocabulary is made, which any machine can make.
        most_tokens: Where longer texts are cut off; `None` leaves them as they are.
        padded: Fill shorter ones up to `most_tokens`.
    """

    folder: str | None
    most_tokens: int | None = None
    padded: bool = False

    def __call__(self, text: str) -> dict[str, Any]:
        """The tensors of one text, of shape (tokens,)."""
        encoded = _load(self)(text, return_tensors="pt", **self.arguments())
        return {name: tensor[0] for name, tensor in encoded.items()}

    def load(self) -> None:
        """Reads the vocabulary, so that it is there."""
        _load(self)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens texts have, padding left out."""
        return [sum(mask) for mask in _load(self)(list(texts), **self.arguments())["attention_mask"]] if texts else []

    def arguments(self) -> dict[str, Any]:
        """How the tokenizer is called."""
        return {
            "truncation": self.most_tokens is not None,
            "max_length": self.most_tokens,
            "padding": "max_length" if self.padded else False,
            "return_token_type_ids": False,
        }


@dataclass(frozen=True)
class TokenizeMasked(Tokenize):
    """As `Tokenize`, with the last word but one masked, which the last but a full stop is; and `token_type_ids`."""

    def __call__(self, text: str) -> dict[str, Any]:
        """The tensors of one sentence, of shape (tokens,)."""
        return super().__call__(mask_word(text, _load(self).mask_token))

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens sentences have when a word of each is masked."""
        mask = _load(self).mask_token
        return super().lengths([mask_word(text, mask) for text in texts])

    def arguments(self) -> dict[str, Any]:
        """How the tokenizer is called."""
        return {**super().arguments(), "return_token_type_ids": True}

    @property
    def mask_token_id(self) -> int:
        """The token that stands for the masked word."""
        return int(_load(self).mask_token_id)


def mask_word(text: str, mask: str) -> str:
    """A sentence with `mask` in place of its last word but one; in front of a single word."""
    *others, last = text.split()
    return " ".join([*others[:-1], mask, last])


def find_tokenizer(settings: Settings) -> str | None:
    """The folder of the tokenizer with the user's model; `None` for the one whose vocabulary is made.

    Raises:
        ConfigurationError: The user's folder has none.
    """
    place = None if settings.weights is None else normal_path(settings.weights)
    if place is None or is_url(place) or not Path(place).is_dir():
        return None
    folder = Path(place)
    if not any((folder / name).exists() for name in _FILES):
        raise ConfigurationError(f"{str(folder)!r} has no tokenizer: neither {' nor '.join(_FILES)} is there")
    return str(folder)


def _load(tokenize: Tokenize) -> Any:
    with _LOADING:  # The threads of a worker come at the same time.
        return _loaded(tokenize)


@functools.cache
def _loaded(tokenize: Tokenize) -> Any:
    transformers = require("transformers", "huggingface", "tokenize text")
    folder = tokenizer_folder() if tokenize.folder is None else tokenize.folder
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # Its first call sets how it pads and cuts off, which must not happen in two threads at the same time.
    tokenizer("", **tokenize.arguments())
    return tokenizer
