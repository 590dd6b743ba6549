"""Keys travel with the examples and come back on the predictions."""

import pytest

from runinference import ConfigurationError, KeyedModelHandler, MaybeKeyedModelHandler, PredictionResult, infer
from runinference.testing.fakes import CountingHandler, FailingHandler

pytestmark = pytest.mark.core

WORKERS = pytest.mark.parametrize("workers", [0, 2, None])


@WORKERS
def test_keys_come_back_in_order(workers):
    pairs = [(f"k{row}", row) for row in range(100)]
    results = list(infer(pairs, KeyedModelHandler(CountingHandler(max_batch_size=16)), workers=workers))
    assert [(key, result.inference) for key, result in results] == [(f"k{row}", 2 * row) for row in range(100)]


def test_the_model_sees_no_keys():
    class NoKeys(CountingHandler):
        def before(self, batch):
            assert all(isinstance(row, int) for row in batch)

        def get_num_bytes(self, batch):
            return super().get_num_bytes(batch) if all(isinstance(row, int) for row in batch) else 1 / 0

    handler = KeyedModelHandler(NoKeys())
    assert len(list(infer([("k", 1), ("k", 2)], handler))) == 2
    assert handler.get_num_bytes([("key", 1)]) == 8


@pytest.mark.parametrize("key", [None, 0, "", ("a", 1), frozenset("ab"), 1.5, b"x"])
def test_any_key_will_do(key):
    ((found, result),) = infer([(key, 4)], KeyedModelHandler(CountingHandler()))
    assert (found, result.inference) == (key, 8)


@WORKERS
def test_a_failure_has_the_key_and_the_example_apart(workers):
    failures = []
    pairs = [(f"k{row}", row) for row in range(20)]
    results = list(infer(pairs, KeyedModelHandler(FailingHandler([7])), on_failure=failures.append, workers=workers))
    assert [key for key, _ in results] == [f"k{row}" for row in range(20) if row != 7]
    assert [(f.key, f.example, f.index, f.stage) for f in failures] == [("k7", 7, 7, "inference")]


@WORKERS
@pytest.mark.parametrize(
    ("row", "kind"),
    [(5, "int"), ((1, 2, 3), "tuple"), (["k", 1], "list"), (PredictionResult(1, 2), "a PredictionResult")],
)
def test_a_row_that_is_not_a_pair_is_set_aside(row, kind, workers):
    failures = []
    results = list(
        infer(
            [("a", 1), row, ("b", 2)], KeyedModelHandler(CountingHandler()), on_failure=failures.append, workers=workers
        )
    )
    assert [key for key, _ in results] == ["a", "b"]
    (failure,) = failures
    assert (failure.index, failure.stage, failure.key, failure.example) == (1, "preprocess", None, row)
    assert failure.message == f"KeyedModelHandler needs (key, example) pairs, got {kind}"


@WORKERS
def test_steps_inside_see_examples_and_steps_outside_see_pairs(workers):
    inner = CountingHandler().with_preprocess_fn(lambda row: row + 1).with_postprocess_fn(lambda r: r.inference)
    handler = (
        KeyedModelHandler(inner)
        .with_preprocess_fn(lambda pair: (pair[0].upper(), pair[1]))
        .with_postprocess_fn(lambda pair: f"{pair[0]}={pair[1]}")
    )
    assert list(infer([("a", 1), ("b", 2)], handler, workers=workers)) == ["A=4", "B=6"]


@WORKERS
def test_rows_with_and_without_keys_come_back_the_way_they_came(workers):
    results = list(infer([("a", 1), 2, ("b", 3)], MaybeKeyedModelHandler(CountingHandler()), workers=workers))
    assert [results[0][0], results[0][1].inference] == ["a", 2]
    assert results[1] == PredictionResult(2, 4, "fake")
    assert results[2][0] == "b"


def test_a_named_tuple_is_an_example_and_not_a_key():
    first = PredictionResult("twice", 3)

    class Unpacks(CountingHandler):
        def run_inference(self, batch, model, inference_args=None):
            return [row.inference for row in batch]

    assert list(infer([first, ("k", first)], MaybeKeyedModelHandler(Unpacks()))) == [3, ("k", 3)]


class Pairs(CountingHandler):
    def run_inference(self, batch, model, inference_args=None):
        return [("label", row) for row in batch]


def test_predictions_that_are_pairs_are_not_taken_apart():
    handler = KeyedModelHandler(Pairs().with_postprocess_fn(lambda prediction: prediction[0]))
    assert list(infer([("k", 2)], handler)) == [("k", "label")]


def test_predictions_that_are_pairs_are_not_taken_for_keys():
    handler = MaybeKeyedModelHandler(Pairs().with_postprocess_fn(lambda prediction: prediction[0]))
    assert list(infer([1, ("k", 2)], handler)) == ["label", ("k", "label")]


def test_batches_of_pairs_are_run_as_they_are():
    handler = CountingHandler()
    results = infer([[("a", 1), ("b", 2)], [("c", 3)]], KeyedModelHandler(handler).with_no_batching())
    assert [(key, result.inference) for key, result in results] == [("a", 2), ("b", 4), ("c", 6)]
    assert handler.log.batch_sizes == [2, 1]


def test_options_and_metrics_are_those_of_the_inner_handler():
    class Named(CountingHandler):
        def get_metrics_namespace(self):
            return "inner"

    handler = KeyedModelHandler(Named(max_batch_size=4, model_copies=2))
    assert handler.batch_elements_kwargs() == {"max_batch_size": 4}
    assert (handler.get_metrics_namespace(), handler.get_model_id(), handler.model_copies()) == ("inner", "fake", 2)
    changed = handler.with_options(max_batch_size=7)
    assert changed.batch_elements_kwargs() == {"max_batch_size": 7}
    assert handler.batch_elements_kwargs() == {"max_batch_size": 4}


def test_lengths_are_measured_on_the_example():
    handler = CountingHandler(batch_length_fn=len, max_batch_weight=6)
    results = list(infer([("key", "abc"), ("k", "de"), ("x", "f")], KeyedModelHandler(handler)))
    assert [key for key, _ in results] == ["key", "k", "x"]
    assert handler.log.batch_sizes == [2, 1]


def test_the_handler_works_without_an_engine():
    handler = KeyedModelHandler(Pairs())
    assert handler.run_inference([("k", 1)], handler.load_model()) == [("k", ("label", 1))]


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ([CountingHandler()], "needs a list of KeyModelMapping"),
        (KeyedModelHandler(CountingHandler()), "is keyed already"),
        ("text", "needs a model handler, got 'text'"),
    ],
)
def test_what_cannot_have_keys_is_refused(inner, message):
    with pytest.raises(ConfigurationError, match=message):
        KeyedModelHandler(inner)


def test_a_handler_without_our_base_class_can_have_keys():
    class Duck:
        def load_model(self):
            return 3

        def run_inference(self, batch, model, inference_args=None):
            return [row * model for row in batch]

    assert list(infer([("k", 1)], KeyedModelHandler(Duck()))) == [("k", 3)]
