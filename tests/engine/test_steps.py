"""Pre- and post-processing around the model."""

import pytest

from runinference import ConfigurationError, infer
from runinference.testing.fakes import CountingHandler

pytestmark = pytest.mark.core

WORKERS = pytest.mark.parametrize("workers", [0, 2, None])


@WORKERS
def test_the_step_added_last_before_and_the_step_added_first_after_run_first(workers):
    handler = (
        CountingHandler()
        .with_preprocess_fn(lambda text: text + "b")
        .with_preprocess_fn(lambda text: text + "a")
        .with_postprocess_fn(lambda result: [result.inference, "first"])
        .with_postprocess_fn(lambda result: [*result, "second"])
    )
    assert list(infer(["x"], handler, workers=workers)) == [["xabxab", "first", "second"]]


@WORKERS
def test_a_row_whose_preprocessing_fails_is_set_aside_as_it_came_in(workers):
    failures = []
    handler = CountingHandler().with_preprocess_fn(lambda row: 100 // row["value"])
    rows = [{"value": value} for value in [1, 2, 0, 4]]
    results = list(infer(rows, handler, on_failure=failures.append, workers=workers))
    assert [result.inference for result in results] == [200, 100, 50]
    (failure,) = failures
    assert (failure.stage, failure.index, failure.example) == ("preprocess", 2, {"value": 0})
    assert failure.error_type == "ZeroDivisionError"


@WORKERS
def test_preprocessing_that_returns_nothing_is_a_failure_that_names_the_function(workers):
    def forgets_to_return(row):
        row + 1

    failures = []
    handler = CountingHandler().with_preprocess_fn(forgets_to_return)
    assert list(infer([1], handler, on_failure=failures.append, workers=workers)) == []
    assert failures[0].stage == "preprocess"
    assert failures[0].message == "The pre-processing function 'forgets_to_return' returned nothing"


@WORKERS
def test_a_row_whose_postprocessing_fails_is_set_aside_as_it_came_in(workers):
    failures = []
    handler = CountingHandler().with_preprocess_fn(int).with_postprocess_fn(lambda result: 100 // result.inference)
    results = list(infer(["1", "0", "5"], handler, on_failure=failures.append, workers=workers))
    assert results == [50, 10]
    assert [(failure.stage, failure.index, failure.example) for failure in failures] == [("postprocess", 1, "0")]


def test_postprocessing_may_return_none():
    assert list(infer([1, 2], CountingHandler().with_postprocess_fn(lambda result: None))) == [None, None]


def test_failures_of_all_stages_come_in_the_order_of_the_rows():
    def before(row):
        if row % 10 == 1:
            raise ValueError("before")
        return row

    def after(result):
        if result.example % 10 == 2:
            raise ValueError("after")
        return result.example

    class Inside(CountingHandler):
        def before(self, batch):
            if any(row % 10 == 3 for row in batch):
                raise ValueError("inside")

    failures = []
    handler = Inside(max_batch_size=16).with_preprocess_fn(before).with_postprocess_fn(after)
    results = list(infer(range(100), handler, on_failure=failures.append))
    assert results == [row for row in range(100) if row % 10 not in (1, 2, 3)]
    assert [failure.index for failure in failures] == [row for row in range(100) if row % 10 in (1, 2, 3)]
    assert [failure.stage for failure in failures[:3]] == ["preprocess", "postprocess", "inference"]


def test_a_handler_with_a_step_is_another_handler():
    plain = CountingHandler()
    assert plain.with_postprocess_fn(lambda result: "changed") is not plain
    assert next(infer([1], plain)).inference == 2


@pytest.mark.parametrize("add", ["with_preprocess_fn", "with_postprocess_fn"])
def test_a_step_must_be_a_function(add):
    with pytest.raises(ConfigurationError, match="must be a function, got 'text'"):
        getattr(CountingHandler(), add)("text")


def test_a_row_that_cannot_be_weighed_is_set_aside():
    failures = []
    handler = CountingHandler(max_batch_weight=3, element_size_fn=lambda row: None if row == 2 else 1)
    results = list(infer(range(5), handler, on_failure=failures.append))
    assert [result.example for result in results] == [0, 1, 3, 4]
    assert [failure.stage for failure in failures] == ["preprocess"]


def test_a_weighing_function_that_raises_sets_its_row_aside():
    failures = []
    handler = CountingHandler(max_batch_weight=3, element_size_fn=lambda row: 1 if row != 2 else 1 / 0)
    assert len(list(infer(range(5), handler, on_failure=failures.append))) == 4
    assert [(failure.index, failure.stage) for failure in failures] == [(2, "preprocess")]
