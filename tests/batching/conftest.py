"""Rows and batchers as pure numbers."""

import pytest

from runinference.batching import Rows


@pytest.fixture
def rows():
    """Makes rows `start` to `start + len(sizes)`, each row holding its own position."""

    def make(sizes, start=0):
        sizes = list(sizes)
        index = range(start, start + len(sizes))
        return Rows(list(index), index, sizes=sizes)

    return make


@pytest.fixture
def drain():
    """All batches that a batcher gives: ready at `now`, or with `now=None` what is left at the end."""

    def run(batcher, now=None):
        batches = []
        while (batch := batcher.flush() if now is None else batcher.poll(now)) is not None:
            assert len(batch.rows) > 0
            batches.append(batch)
        return batches

    return run
