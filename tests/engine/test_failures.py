"""Rows that fail are found and set aside; the rows around them have their results."""

import gc
import math
import weakref

import pytest

from runinference import (
    Failure,
    InferenceError,
    ModelFaultError,
    ModelHandler,
    PredictionResult,
    RowError,
    infer,
)
from runinference.batching import Rows
from runinference.engine.isolate import Isolator
from runinference.testing.fakes import FailingHandler

pytestmark = pytest.mark.core

FIXED = {"min_batch_size": 256, "max_batch_size": 256}


class Strict(ModelHandler):
    """Raises in code that is not part of the package, as a user's handler does."""

    def load_model(self):
        return {3, 4_000, 9_999}

    def run_inference(self, batch, model, inference_args=None):
        for row in batch:
            if row in model:
                raise LookupError(f"no entry for {row}")  # the line that is to be in the traceback
        return [PredictionResult(row, -row, "strict") for row in batch]


def test_three_bad_rows_of_ten_thousand_cost_three_rows():
    failures = []
    results = list(infer(range(10_000), Strict(**FIXED), on_failure=failures.append))
    good = [row for row in range(10_000) if row not in {3, 4_000, 9_999}]
    assert [result.example for result in results] == good
    assert [result.inference for result in results] == [-row for row in good]
    assert [failure.index for failure in failures] == [3, 4_000, 9_999]


def test_a_failure_says_what_where_and_why():
    failures = []
    list(infer(range(5_000), Strict(**FIXED), on_failure=failures.append))
    failure = failures[1]
    assert (failure.example, failure.index, failure.key) == (4_000, 4_000, None)
    assert (failure.stage, failure.error_type, failure.message) == ("inference", "LookupError", "no entry for 4000")
    assert failure.attempts >= 1
    assert "the line that is to be in the traceback" in failure.traceback
    assert "isolate.py" not in failure.traceback
    assert failure.traceback.rstrip().endswith("LookupError: no entry for 4000")
    assert failure.to_dict()["stage"] == "inference"


def test_an_exception_of_a_package_has_its_full_name():
    failures = []
    rows = infer([1, 2], FailingHandler([2], ModelBrokeError), on_failure=failures.append)
    assert len(list(rows)) == 1
    assert failures[0].error_type.endswith("test_failures.ModelBrokeError")


class ModelBrokeError(Exception):
    pass


@pytest.mark.parametrize("bad", [0, 1, 100, 127, 128, 254, 255])
def test_a_bad_row_costs_few_calls(bad):
    handler = FailingHandler([bad], **FIXED)
    list(infer(range(256), handler, on_failure=lambda failure: None))
    assert handler.log.calls - 1 <= 2 * math.log2(256)


def test_many_bad_rows_cost_no_more_each():
    bad = {7, 8, 100, 101, 102, 200, 255}
    handler = FailingHandler(bad, **FIXED)
    failures = []
    results = list(infer(range(256), handler, on_failure=failures.append))
    assert [failure.index for failure in failures] == sorted(bad)
    assert len(results) == 249
    assert handler.log.calls - 1 <= 2 * math.log2(256) * len(bad)


def test_any_two_bad_rows_are_found_and_no_row_is_lost():
    for first in range(13):
        for second in range(first, 13):
            found = Isolator(fails_on({first, second}), 0, lambda seconds: None).run(Rows(list(range(13)), range(13)))
            assert [failed.row.index[0] for failed in found.failed] == sorted({first, second})
            assert [i for part, _ in found.worked for i in part.index] == [
                i for i in range(13) if i not in {first, second}
            ]


def fails_on(bad):
    def call(rows):
        if bad.intersection(rows.index):
            raise ValueError
        return rows.data

    return call


def test_a_failure_that_depends_on_the_whole_batch_loses_no_row():
    """Two rows that only fail together both work alone."""

    def call(rows):
        if {2, 9} <= set(rows.index):
            raise ValueError
        return rows.data

    found = Isolator(call, 0, lambda seconds: None).run(Rows(list(range(16)), range(16)))
    assert [i for part, _ in found.worked for i in part.index] == list(range(16))


def test_a_model_that_fails_on_every_row_is_one_fault():
    handler = FailingHandler(lambda row: True, **FIXED)
    failures = []
    with pytest.raises(ModelFaultError, match=r"fails on every row: the first 16 .* ValueError: bad row") as raised:
        list(infer(range(10_000), handler, on_failure=failures.append))
    assert isinstance(raised.value.__cause__, ValueError)
    assert failures == []
    assert handler.log.calls < 100


def test_many_failures_are_no_fault_once_a_row_has_worked():
    failures = []
    results = list(infer(range(300), FailingHandler(lambda row: row > 0, **FIXED), on_failure=failures.append))
    assert ([result.example for result in results], len(failures)) == ([0], 299)


def test_a_few_rows_that_all_fail_are_failures():
    failures = []
    assert list(infer(range(5), FailingHandler(lambda row: True), on_failure=failures.append)) == []
    assert [failure.index for failure in failures] == list(range(5))


def test_the_failures_come_in_order_and_before_later_results():
    seen = []
    for result in infer(range(20), FailingHandler([3, 11], min_batch_size=4, max_batch_size=4), on_failure=seen.append):
        seen += [result]
    order = [item.index if isinstance(item, Failure) else item.example for item in seen]
    assert sorted(order) == list(range(20))
    assert order.index(3) < order.index(4)
    assert order.index(11) < order.index(12)


def test_what_on_failure_raises_ends_the_run():
    def too_many(failure):
        raise RuntimeError("too many failures")

    with pytest.raises(RuntimeError, match="too many failures"):
        list(infer(range(20), FailingHandler([3]), on_failure=too_many))


def test_kept_failures_do_not_keep_the_model():
    failures = []
    handler = FailingHandler([3])
    list(infer(range(10), handler, on_failure=failures.append))
    gc.collect()
    assert failures
    assert [model() for model in handler.log.models] == [None]


def test_attempts_count_the_calls_with_the_row_alone():
    failures = []
    handler = FailingHandler([0], min_batch_size=4, max_batch_size=4)
    list(infer(range(4), handler, on_failure=failures.append))
    assert failures[0].attempts == 1


def test_a_handler_that_cannot_count_bytes_still_predicts():
    class Uncounted(FailingHandler):
        def get_num_bytes(self, batch):
            return sum(row.nbytes for row in batch)

    assert len(list(infer([1, 2, 3], Uncounted([])))) == 3


def test_models_are_watched_by_weak_references():
    """The test above rests on this: without failures nothing keeps the model."""
    handler = FailingHandler([])
    assert len(list(infer(range(10), handler))) == 10
    assert isinstance(handler.log.models[0], weakref.ref)
    assert handler.log.models[0]() is None


@pytest.mark.timeout(1, method="signal")
def test_an_exception_raised_from_itself_is_one_failure():
    class FromItself(FailingHandler):
        def before(self, batch):
            try:
                super().before(batch)
            except ValueError as error:
                raise error from error

    failures = []
    assert len(list(infer(range(5), FromItself([3]), on_failure=failures.append, workers=0))) == 4
    assert [failure.index for failure in failures] == [3]


def test_an_exception_without_a_message_is_one_failure():
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    failures = []
    assert len(list(infer(range(5), FailingHandler([3], lambda row: MuteError()), on_failure=failures.append))) == 4
    assert [failure.index for failure in failures] == [3]


class Picky(ModelHandler):
    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        if any(row < 50 for row in batch):
            raise RowError("too small")
        return batch


def test_rows_that_are_surely_at_fault_never_count_against_the_model():
    failures = []
    assert list(infer(range(60), Picky(), on_failure=failures.append)) == list(range(50, 60))
    assert len(failures) == 50
    with pytest.raises(InferenceError, match=r"Row 0 failed in inference: .*RowError: too small"):
        list(infer(range(60), Picky()))
