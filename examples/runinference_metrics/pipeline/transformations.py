"""The steps around the model, and where the model comes from."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import (
    AutoConfig,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizer,
)

from runinference import PredictionResult

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class Tokenize(beam.DoFn):
    """Makes `(text, tokens by name)` of each text.

    Texts keep their own lengths: the model handler pads a batch to its longest text, not to the 512 tokens that the
    model can take.

    Args:
        tokenizer_name: A folder, or a name on the hub.
    """

    def __init__(self, tokenizer_name: str) -> None:
        self._tokenizer_name = tokenizer_name

    def setup(self) -> None:
        """Loads the tokenizer, once for each worker."""
        self._tokenizer = AutoTokenizer.from_pretrained(self._tokenizer_name)

    def process(self, text: str) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
        """Tokenizes one text."""
        tokens = self._tokenizer(text, truncation=True, return_token_type_ids=False)
        yield text, {name: torch.tensor(values) for name, values in tokens.items()}


class PostProcessor(beam.DoFn):
    """Makes a dict of each text and the probabilities of its classes."""

    def process(self, element: tuple[str, PredictionResult]) -> Iterator[dict[str, Any]]:
        """Takes one `(text, prediction)`."""
        text, prediction = element
        yield {"input": text, "softmax": prediction.inference["logits"].softmax(dim=-1).numpy()}


class NoModelError(Exception):
    """There is no such model."""


class Model(NamedTuple):
    """Where the parts of a DistilBERT are.

    Attributes:
        tokenizer_name: A folder, or a name on the hub.
        state_dict_path: The weights.
        config: What the model looks like.
    """

    tokenizer_name: str
    state_dict_path: str
    config: DistilBertConfig


def model_in_folder(folder: Path) -> Model:
    """The model that `save_pretrained` wrote to a folder.

    Raises:
        NoModelError: The folder does not hold one.
    """
    if not folder.is_dir():
        raise NoModelError(f"There is no folder {folder}")
    if not (folder / "config.json").is_file():
        raise NoModelError(f"{folder} is no folder of a model: it has no config.json")
    config = AutoConfig.from_pretrained(folder)
    if not isinstance(config, DistilBertConfig):
        raise NoModelError(f"{folder} holds a model of type {config.model_type}, not a distilbert")
    for name in WEIGHTS:
        if (folder / name).is_file():
            return Model(str(folder), str(folder / name), config)
    raise NoModelError(f"{folder} holds no weights: neither {' nor '.join(WEIGHTS)}")


def download(name: str, *files: str) -> Path:
    """The folder with files of a model on the hub; they are downloaded once.

    Args:
        name: The model.
        *files: Patterns of their names.

    Raises:
        NoModelError: The hub cannot be reached and the files were not downloaded before.
    """
    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except LocalEntryNotFoundError as error:
        raise NoModelError(f"{name} cannot be downloaded: the model hub cannot be reached from here") from error


def make_tiny_model(folder: Path) -> None:
    """Writes a small DistilBERT with random weights, and a tokenizer that splits words into their letters."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    config = DistilBertConfig(vocab_size=len(words), dim=64, n_layers=2, n_heads=4, hidden_dim=128)
    torch.manual_seed(0)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(words)}
    DistilBertTokenizer(vocab=vocabulary, model_max_length=config.max_position_embeddings).save_pretrained(folder)
