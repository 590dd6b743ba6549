"""2,000 sentences of 5 to 60 tokens through a transformer of 4 layers, 256 wide, that classifies.

Contestants, each a whole pipeline that is made, started, and loads its model:

- `ours`: sentences of like length share a padded batch, which is what the handler does if nothing is said.
- `Beam's, one by one`: batches of one sentence, the way of Beam's example for sentences of several lengths.
- `Beam's, padded`: batches as Beam forms them, of sentences that all are padded to 60 tokens before.
- `infer`: ours without a pipeline; it loads the model too.

Tokenizing is left out for all, and so is padding for the one that needs it done before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from apache_beam.ml.inference.base import RunInference as BeamsRunInference

from beam_cases.classifier import VOCABULARY, Classifier, label
from beam_cases.pipeline import results
from harness import compute
from harness.contest import Contest, Work
from harness.result import Result, Settings
from harness.sentences import Sentence, make_sentences
from runinference import infer
from runinference.beam import RunInference

_TARGET = 3.0
_LONGEST = 60


def run(settings: Settings) -> list[Result]:
    """The target is against the way of Beam's example."""
    compute.prepare()
    classifier = Classifier(layers=2, width=64) if settings.quick else Classifier(layers=4, width=256)
    sentences = make_sentences(100 if settings.quick else 2000, VOCABULARY)
    padded = [_padded(sentence) for sentence in sentences]

    def beams(rows: Sequence[Sentence], **options: int) -> list[Any]:
        return results(rows, lambda: BeamsRunInference(classifier.beams_of_sentences(**options)))

    contestants = {
        "ours": lambda: results(sentences, lambda: RunInference(classifier.of_sentences())),
        "Beam's, one by one": partial(beams, sentences, max_batch_size=1),
        "Beam's, padded": partial(beams, padded),
        "infer": lambda: list(infer(sentences, classifier.of_sentences())),
    }
    works = {name: Work(len(sentences), once, label) for name, once in contestants.items()}
    contest = Contest.hold("text", works, settings.repeat)
    return [
        contest.against("ours", "Beam's, one by one", _TARGET),
        contest.against("ours", "Beam's, padded"),
        contest.against("ours", "infer"),
    ]


def _padded(sentence: Sentence) -> Sentence:
    missing = _LONGEST - len(sentence["input_ids"])
    return {name: torch.nn.functional.pad(tensor, (0, missing)) for name, tensor in sentence.items()}
