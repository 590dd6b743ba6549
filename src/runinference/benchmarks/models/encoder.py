"""What transformers cost that encode text."""

from __future__ import annotations

from collections.abc import Iterable


def encoder_flops(lengths: Iterable[int], layers: int, width: int, inner: int) -> float:
    """Operations of the layers for texts, padding left out.

    Args:
        lengths: Tokens of each text.
        layers: How many layers.
        width: Numbers for each token.
        inner: Numbers for each token within the feed-forward part.
    """
    # For each token: the query, key, value and output of the attention, and two products of the feed-forward part.
    # For each pair of tokens: the scores, and the mean that they weigh.
    of_token, of_pair = 4 * width**2 + 2 * width * inner, 2 * width
    return 2.0 * layers * sum(of_token * length + of_pair * length**2 for length in lengths)
