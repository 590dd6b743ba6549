"""Sentences with a masked word through a BERT in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.own import own_lines
from runinference.benchmarks.data.sentences import make_sentences
from runinference.benchmarks.models.bert import BERT, masked_words_flops
from runinference.benchmarks.models.devices import beams_device
from runinference.benchmarks.models.pretrained import PretrainedModel
from runinference.benchmarks.models.tokens import TokenizeMasked, find_tokenizer
from runinference.benchmarks.workers import check_reach
from runinference.errors import ConfigurationError
from runinference.packages import require


class PytorchLanguageModeling(Benchmark):
    """Which word is masked? Sentences through a BERT of transformers, tokenizing included.

    The sentences are made of common words, each different, with 5 to 60 tokens, 19 in the mean. `--input` is text
    files, or their URL, with a sentence on each line; as many are taken as are asked for, or all that are there. The
    last word but one is masked, which the last but a full stop is.

    Weights are random, with a vocabulary of as many words as BERT's. `--weights` is the state dict of a
    `BertForMaskedLM` of that size, a file or URL, or a folder with such a model and its tokenizer.

    Beam's handler is set up as in Beam's example for language modeling: one sentence at a time, of which all scores
    are returned; the word is found afterwards. Ours computes the scores of the masked word only. Both tokenize with
    the same function.
    """

    name = "pytorch-language-modeling"
    title = "PyTorch language modeling"
    models = tuple(BERT.models)
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
        """The sentences."""
        tokenize = self._tokenize()
        if self.settings.input is None:
            return make_sentences(self.settings.examples)
        lines = own_lines(self.settings.input, self.settings.examples)
        most = self._model().config().max_position_embeddings
        for line, length in zip(lines, tokenize.lengths(lines), strict=True):
            if length > most:
                raise ConfigurationError(
                    f"A line of {self.settings.input!r} has {length:,} tokens; the model takes at most {most:,}. "
                    f"Leave it out: {line[:60]!r}…"
                )
        return lines

    def handler(self) -> Any:
        """Ours, of which only the likeliest word leaves the device."""
        from runinference.handlers.pytorch.handlers import PytorchModelHandlerKeyedTensor
        from runinference.handlers.pytorch.masked import MaskedTokens

        tokenize = self._tokenize()
        output_fn = MaskedTokens(tokenize.mask_token_id)
        options = {"device": self.settings.device, "output_fn": output_fn, **self.settings.handler_options}
        return PytorchModelHandlerKeyedTensor(*self._model().arguments(), **options).with_preprocess_fn(tokenize)

    def beams_handler(self) -> Any:
        """Beam's, with the batches of its example."""
        beam = require("apache_beam.ml.inference.pytorch_inference", "beam", "run Beam's own handler")
        tokenize = self._tokenize()
        handler = beam.PytorchModelHandlerKeyedTensor(
            *self._model().arguments(), beams_device(self.settings), max_batch_size=1
        )
        find = partial(find_masked_word, tokenize.mask_token_id)
        return handler.with_preprocess_fn(tokenize).with_postprocess_fn(find)

    def answer(self, inference: Any) -> int:
        """The token of the word."""
        return int(inference["token_ids"][0, 0])

    def beams_answer(self, inference: Any) -> int:
        """The token of the word, which `find_masked_word` found."""
        return int(inference)

    def num_bytes(self, examples: Sequence[str]) -> int:
        """The bytes of the sentences in UTF-8."""
        return sum(len(text.encode()) for text in examples)

    def flops(self, examples: Sequence[str]) -> float:
        """Those of the layers, and of the scores of the masked words."""
        return masked_words_flops(self._model().config(), self._tokenize().lengths(examples))

    def _model(self) -> PretrainedModel:
        return PretrainedModel(BERT, self.settings)

    def _tokenize(self) -> TokenizeMasked:
        return TokenizeMasked(find_tokenizer(self.settings))


def find_masked_word(mask_token_id: int, result: Any) -> int:
    """The likeliest token at the mask, out of the scores of all tokens.

    Args:
        mask_token_id: What stands for a masked word.
        result: Beam's `PredictionResult` for a sentence.
    """
    masked = result.example["input_ids"] == mask_token_id
    return int(result.inference["logits"][masked][0].argmax())
