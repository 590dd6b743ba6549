"""Sentences that are made of common words, always the same ones."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from runinference.benchmarks.data.words import (
    ADJECTIVES,
    ADVERBS,
    CONJUNCTIONS,
    NOUNS,
    OF_ANY,
    OF_ONE,
    OF_SEVERAL,
    PREPOSITIONS,
    VERBS,
)

# Tokens with those that mark the start and the end: as of sentences in news and reviews, 20 in the mean.
_MEDIAN, _SPREAD = 17, 0.55
_SHORTEST, _LONGEST = 5, 60
# The start, the end, and the full stop.
_OTHER_TOKENS = 3


def make_sentences(count: int) -> list[str]:
    """The first `count` of a series of sentences, of which no two are the same.

    Each ends with a noun and a full stop, and has 5 to 60 tokens with the vocabulary of
    [vocabulary][runinference.benchmarks.data.wordpiece.vocabulary].
    """
    sentences: dict[str, None] = {}
    while len(sentences) < count:
        attempt = 0
        while (sentence := _sentence(len(sentences), attempt)) in sentences:
            attempt += 1
        sentences[sentence] = None
    return list(sentences)


def _sentence(index: int, attempt: int) -> str:
    dice = random.Random(f"{index}/{attempt}")
    length = int(dice.lognormvariate(math.log(_MEDIAN), _SPREAD))
    left = min(max(length, _SHORTEST), _LONGEST) - _OTHER_TOKENS
    words = []
    for word, ending in _words(dice):
        if left == 1:
            break
        # A word with an ending is two tokens; the last one is kept for the noun at the end.
        words.append(word + ending if left > 2 else word)
        left -= 2 if ending and left > 2 else 1
    return " ".join([*words, dice.choice(NOUNS), "."])


def _words(dice: random.Random) -> Iterator[tuple[str, str]]:
    """Words with their endings, clause after clause."""
    while True:
        yield from _noun(dice)
        yield dice.choice(VERBS), "ed"
        if dice.random() < 0.3:
            yield dice.choice(ADVERBS), ""
        yield dice.choice(PREPOSITIONS), ""
        yield from _noun(dice)
        yield dice.choice(CONJUNCTIONS), ""


def _noun(dice: random.Random) -> Iterator[tuple[str, str]]:
    several = dice.random() < 0.3
    yield dice.choice(OF_ANY + (OF_SEVERAL if several else OF_ONE)), ""
    if dice.random() < 0.5:
        yield dice.choice(ADJECTIVES), ""
    yield dice.choice(NOUNS), "s" if several else ""
