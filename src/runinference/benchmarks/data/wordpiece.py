"""A WordPiece vocabulary of the size of BERT's, for models whose weights are random."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Final

from runinference.benchmarks.data import words
from runinference.benchmarks.data.made import made_once

VOCABULARY_SIZE: Final = 30_522
# Where BERT's vocabulary has them.
_SPECIAL: Final = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
_VOWELS: Final = frozenset("aeiouy")
_CONFIG: Final = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}


def vocabulary() -> list[str]:
    """The pieces: common words whole, and of others up to three letters at a time."""
    first = (_SPECIAL.get(number, f"[unused{number}]") for number in range(max(_SPECIAL) + 1))
    pieces = dict.fromkeys([*first, *_pieces()])
    return list(islice(pieces, VOCABULARY_SIZE))


def tokenizer_folder() -> Path:
    """A folder with that vocabulary, from which transformers loads a tokenizer."""
    text = "\n".join(vocabulary()) + "\n"

    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / "vocab.txt").write_text(text, encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(_CONFIG), encoding="utf-8")

    return made_once(f"wordpiece-{hashlib.sha256(text.encode()).hexdigest()[:12]}", write)


def _pieces() -> Iterator[str]:
    """Pieces in the order of their importance; more than there is room for."""
    letters = string.ascii_lowercase
    single = string.digits + letters
    yield from string.punctuation
    yield from single
    yield from (f"##{letter}" for letter in single)
    kinds = (
        *(words.OF_ONE, words.OF_SEVERAL, words.OF_ANY, words.PREPOSITIONS, words.CONJUNCTIONS),
        *(words.ADVERBS, words.ADJECTIVES, words.NOUNS, words.VERBS),
    )
    yield from (word for kind in kinds for word in kind)
    pairs = ["".join(pair) for pair in product(letters, repeat=2)]
    triples = ["".join(triple) for triple in product(letters, repeat=3)]
    # Most of what is in a word has a vowel.
    for pieces in (pairs, [t for t in triples if _VOWELS & set(t)], triples):
        yield from pieces
        yield from (f"##{piece}" for piece in pieces)
