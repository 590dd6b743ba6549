"""Texts through a DistilBERT in PyTorch that tells whether they are positive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.own import own_lines
from runinference.benchmarks.data.sentences import make_sentences
from runinference.benchmarks.models.devices import beams_device
from runinference.benchmarks.models.distilbert import DISTILBERT, MOST_TOKENS, sentiment_flops
from runinference.benchmarks.models.outputs import best_class
from runinference.benchmarks.models.pretrained import PretrainedModel
from runinference.benchmarks.models.tokens import Tokenize, find_tokenizer
from runinference.benchmarks.workers import check_reach
from runinference.packages import require


class PytorchSentiment(Benchmark):
    """Is a text positive or negative? Texts through a DistilBERT of transformers, tokenizing included.

    The texts are sentences of common words, each different, with 5 to 60 tokens, 19 in the mean. `--input` is text
    files, or their URL, with a text on each line; as many are taken as are asked for, or all that are there. They are
    cut off after 128 tokens.

    Weights are random, and balanced so that both labels occur. `--weights` is the state dict of a
    `DistilBertForSequenceClassification` with two labels, a file or URL, or a folder with such a model and its
    tokenizer.

    Beam's handler is set up as in Beam's example for sentiment, in batch mode: each text is filled up to 128 tokens,
    and batches are of the size that Beam finds. Ours pads to the longest of a batch, whose texts are of like length.
    """

    name = "pytorch-sentiment"
    title = "PyTorch sentiment"
    models = tuple(DISTILBERT.models)
    extras = ("huggingface",)
    # Random weights leave calls so close that the order of additions decides some.
    equal = 0.999

    def prepare(self) -> None:
        """Makes the weights and the vocabulary."""
        weights, *_ = self._model().arguments()
        check_reach(self.settings, weights)
        self._tokenize().load()
        self.examples()

    def examples(self) -> Sequence[str]:
        """The texts."""
        if self.settings.input is not None:
            return own_lines(self.settings.input, self.settings.examples)
        return make_sentences(self.settings.examples)

    def handler(self) -> Any:
        """Ours, of which only the label leaves the device."""
        from runinference.handlers.pytorch.handlers import PytorchModelHandlerKeyedTensor

        options = {"device": self.settings.device, "output_fn": best_class, **self.settings.handler_options}
        handler = PytorchModelHandlerKeyedTensor(*self._model().arguments(), **options)
        return handler.with_preprocess_fn(self._tokenize())

    def beams_handler(self) -> Any:
        """Beam's, with the padding and the batches of its example."""
        beam = require("apache_beam.ml.inference.pytorch_inference", "beam", "run Beam's own handler")
        handler = beam.PytorchModelHandlerKeyedTensor(*self._model().arguments(), beams_device(self.settings))
        return handler.with_preprocess_fn(self._tokenize(padded=True))

    def answer(self, inference: Any) -> int:
        """The number of the label."""
        return int(inference)

    def beams_answer(self, inference: Any) -> int:
        """The number of the label with the higher score."""
        return int(inference["logits"].argmax())

    def num_bytes(self, examples: Sequence[str]) -> int:
        """The bytes of the texts in UTF-8."""
        return sum(len(text.encode()) for text in examples)

    def flops(self, examples: Sequence[str]) -> float:
        """Those of the layers and of the classifier."""
        return sentiment_flops(self._model().config(), self._tokenize().lengths(examples))

    def _model(self) -> PretrainedModel:
        return PretrainedModel(DISTILBERT, self.settings)

    def _tokenize(self, *, padded: bool = False) -> Tokenize:
        return Tokenize(find_tokenizer(self.settings), MOST_TOKENS, padded)
