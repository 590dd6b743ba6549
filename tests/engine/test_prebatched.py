"""Input whose elements are batches already."""

import numpy as np
import pytest

from runinference import ConfigurationError, infer
from runinference.testing.fakes import CountingHandler, FailingHandler

pytestmark = pytest.mark.core

WORKERS = pytest.mark.parametrize("workers", [0, 2, None])


@WORKERS
def test_lists_are_run_as_they_are(workers):
    handler = CountingHandler().with_no_batching()
    batches = [[1, 2, 3], [], [4], [5, 6]]
    assert [result.inference for result in infer(batches, handler, workers=workers)] == [2, 4, 6, 8, 10, 12]
    assert handler.log.batch_sizes == [3, 1, 2]


@WORKERS
def test_arrays_are_run_as_they_are(workers):
    handler = CountingHandler().with_no_batching()
    batches = iter([np.ones((3, 2)), np.zeros((1, 2))])
    results = list(infer(batches, handler, workers=workers))
    assert [result.inference.tolist() for result in results] == [[2, 2]] * 3 + [[0, 0]]
    assert handler.log.batch_sizes == [3, 1]


@WORKERS
@pytest.mark.parametrize("kind", [list, np.array])
def test_a_bad_row_in_a_batch_is_set_aside_alone(workers, kind):
    failures = []
    handler = FailingHandler([5]).with_no_batching()
    batches = [kind([1, 2, 3]), kind([4, 5, 6])]
    results = list(infer(batches, handler, on_failure=failures.append, workers=workers))
    assert [result.example for result in results] == [1, 2, 3, 4, 6]
    assert [(failure.index, failure.example) for failure in failures] == [(4, 5)]


@WORKERS
def test_preprocessing_sees_the_batch_and_postprocessing_the_result(workers):
    handler = CountingHandler().with_no_batching()
    handler = handler.with_preprocess_fn(lambda batch: [row + 1 for row in batch])
    handler = handler.with_postprocess_fn(lambda result: result.inference)
    assert list(infer([[0, 1], [2]], handler, workers=workers)) == [2, 4, 6]


def test_preprocessing_that_fails_sets_the_batch_aside():
    failures = []
    handler = CountingHandler().with_no_batching().with_preprocess_fn(lambda batch: batch if 3 not in batch else 1 / 0)
    results = list(infer([[1, 2], [3, 4], [5]], handler, on_failure=failures.append))
    assert [result.example for result in results] == [1, 2, 5]
    assert [(failure.index, failure.example, failure.stage) for failure in failures] == [
        (2, 3, "preprocess"),
        (3, 4, "preprocess"),
    ]


def test_preprocessing_must_keep_the_number_of_rows():
    failures = []
    handler = CountingHandler().with_no_batching().with_preprocess_fn(lambda batch: batch[:1])
    assert list(infer([[1, 2]], handler, on_failure=failures.append)) == []
    assert "made 1 rows out of a batch of 2" in failures[0].message


@pytest.mark.parametrize("row", [1, "text", {"a": 1}])
def test_elements_that_are_no_batches_are_refused(row):
    with pytest.raises(ConfigurationError, match=f"needs elements that are batches.*got {type(row).__name__}"):
        list(infer([row], CountingHandler().with_no_batching()))
