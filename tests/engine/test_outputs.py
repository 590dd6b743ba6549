"""What a handler returns: as many predictions as rows, at once or lazily."""

import numpy as np
import pytest

from runinference import ModelFaultError, ModelHandler, OutputCountError, infer
from runinference.handlers.results import make_results

pytestmark = pytest.mark.core


class Returns(ModelHandler):
    def __init__(self, make, **options):
        super().__init__(**options)
        self.make = make

    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        return self.make(batch)


@pytest.mark.parametrize("wrong", [lambda batch: batch[:-1], lambda batch: [], lambda batch: iter(batch[1:])])
def test_too_few_predictions_are_an_error_with_both_numbers(wrong):
    handler = Returns(wrong, min_batch_size=8, max_batch_size=8)
    with pytest.raises(OutputCountError, match=r"Returns returned \d predictions for a batch of 8 rows"):
        list(infer(range(20), handler, on_failure=lambda failure: None))


def test_too_many_predictions_are_an_error_with_both_numbers():
    handler = Returns(lambda batch: [*batch, 0], min_batch_size=8, max_batch_size=8)
    with pytest.raises(OutputCountError, match=r"9 predictions for a batch of 8 rows \(rows 0 to 7 of the input\)"):
        list(infer(range(20), handler, on_failure=lambda failure: None))


@pytest.mark.parametrize(
    ("output", "kind"), [(None, "NoneType"), ({"a": 1}, "dict"), ("text", "str"), (b"bytes", "bytes")]
)
def test_what_is_no_list_of_predictions_is_an_error(output, kind):
    with pytest.raises(OutputCountError, match=f"returned {kind} for a batch; it must return one prediction for each"):
        list(infer(range(4), Returns(lambda batch: output), on_failure=lambda failure: None))


@pytest.mark.parametrize("output", [3.0, np.float64(3.0), np.array(3.0)])
def test_one_number_for_a_batch_is_an_error_of_the_model(output):
    with pytest.raises(OutputCountError):
        list(infer(range(4), Returns(lambda batch: output), on_failure=lambda failure: None))


@pytest.mark.parametrize(
    "shape",
    [list, tuple, iter, np.array, lambda batch: (row for row in batch), lambda batch: dict.fromkeys(batch, 0).keys()],
)
def test_any_iterable_of_predictions_will_do(shape):
    assert list(infer(range(20), Returns(shape))) == list(range(20))


def test_a_lazy_output_that_fails_half_way_costs_only_its_row():
    def lazily(batch):
        for row in batch:
            yield 100 // (row - 5)

    failures = []
    results = list(infer(range(10), Returns(lazily, min_batch_size=10, max_batch_size=10), on_failure=failures.append))
    assert results == [100 // (row - 5) for row in range(10) if row != 5]
    assert [(failure.index, failure.error_type) for failure in failures] == [(5, "ZeroDivisionError")]
    assert "100 // (row - 5)" in failures[0].traceback


def test_a_count_error_in_the_middle_keeps_the_results_before():
    handler = Returns(lambda batch: batch if batch[0] < 8 else [], min_batch_size=4, max_batch_size=4)
    results = []
    with pytest.raises(ModelFaultError):
        results.extend(infer(range(20), handler))
    assert results == list(range(8))


def test_results_of_a_mapping_are_one_dict_for_each_row():
    results = make_results(["a", "b"], {"label": ["x", "y"], "score": np.array([1.0, 2.0])}, "m")
    assert [result.inference for result in results] == [{"label": "x", "score": 1.0}, {"label": "y", "score": 2.0}]


def test_a_mapping_with_a_column_of_another_length_names_it():
    with pytest.raises(OutputCountError, match=r"output \['score'\] has 1 entries for a batch of 2 rows"):
        make_results(["a", "b"], {"label": ["x", "y"], "score": [1.0]})


@pytest.mark.parametrize(("predictions", "number"), [([1], "1"), ([1, 2, 3], "3"), (iter([1]), "1")])
def test_results_need_as_many_predictions_as_examples(predictions, number):
    with pytest.raises(OutputCountError, match=f"{number} predictions for a batch of 2 rows"):
        make_results(["a", "b"], predictions)


@pytest.mark.parametrize("one", [3.0, np.array(3.0)])
def test_results_are_not_made_of_one_number(one):
    with pytest.raises(OutputCountError, match="returned one"):
        make_results(["a"], one)
