"""Small transformers with random weights that classify: their file, and handlers for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from apache_beam.ml.inference import pytorch_inference
from transformers import BertConfig, BertForSequenceClassification

from harness import data
from harness.machine import versions
from runinference import PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor

VOCABULARY = 1000


@dataclass(frozen=True)
class Classifier:
    """A BERT with 10 classes.

    Attributes:
        layers: Its layers.
        width: Of each of them.
    """

    layers: int
    width: int

    def of_tensors(self) -> PytorchModelHandlerTensor:
        """Our handler for tokens alone."""
        return PytorchModelHandlerTensor(*self._model(), device="CPU")

    def of_sentences(self) -> PytorchModelHandlerKeyedTensor:
        """Our handler for what a tokenizer gives."""
        return PytorchModelHandlerKeyedTensor(*self._model(), device="CPU")

    def beams_of_tensors(self) -> pytorch_inference.PytorchModelHandlerTensor:
        """Beam's handler for tokens alone."""
        return pytorch_inference.PytorchModelHandlerTensor(*self._model(), device="CPU")

    def beams_of_sentences(self, **options: Any) -> pytorch_inference.PytorchModelHandlerKeyedTensor:
        """Beam's handler for what a tokenizer gives."""
        return pytorch_inference.PytorchModelHandlerKeyedTensor(*self._model(), device="CPU", **options)

    def _model(self) -> tuple[str, type[BertForSequenceClassification], dict[str, BertConfig]]:
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.width // 32,
            intermediate_size=4 * self.width,
            num_labels=10,
            initializer_range=0.1,  # Else all sentences are given one class.
        )

        def write(path: Path) -> None:
            torch.manual_seed(0)
            torch.save(BertForSequenceClassification(config).state_dict(), path)

        version = versions(["transformers"])["transformers"]
        name = f"classifier-{self.layers}x{self.width}-transformers-{version}.pth"
        return str(data.made_once(name, write)), BertForSequenceClassification, {"config": config}


def label(result: Any) -> int:
    """The likeliest class."""
    return int(result.inference["logits"].argmax())
