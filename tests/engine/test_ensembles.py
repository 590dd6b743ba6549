"""Several models over the same rows: side by side, sharing them, voting, and one after another."""

import pickle
import threading
import weakref
from collections import Counter

import numpy as np
import pytest

from runinference import (
    ConfigurationError,
    Engine,
    EnsembleModelHandler,
    InferenceError,
    KeyedModelHandler,
    Metrics,
    PredictionResult,
    infer,
    infer_table,
)
from runinference.testing.fakes import CountingHandler, FailingHandler, SleepingHandler

WORKERS = pytest.mark.parametrize("workers", [None, 0, 2])


class Says(CountingHandler):
    """Says what a function makes of each example."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def run_inference(self, batch, model, inference_args=None):
        self.log.called(len(batch))
        return [PredictionResult(example, self.function(example), "says") for example in batch]


class Reading:
    """Rows that count how often they are read."""

    def __init__(self, count):
        self.count, self.read = count, 0

    def __iter__(self):
        for n in range(self.count):
            self.read += 1
            yield n


@WORKERS
def test_every_row_goes_to_every_model_and_is_read_once(workers):
    a, b = CountingHandler(max_batch_size=7), Says(lambda x: -x, max_batch_size=64)
    rows = Reading(1000)
    results = list(infer(rows, EnsembleModelHandler({"a": a, "b": b}), workers=workers))
    assert results == [
        {"a": PredictionResult(n, 2 * n, "fake"), "b": PredictionResult(n, -n, "says")} for n in range(1000)
    ]
    assert rows.read == 1000
    assert max(a.log.batch_sizes) <= 7
    assert max(b.log.batch_sizes) > 7


@WORKERS
def test_common_pre_processing_runs_once_and_that_of_a_model_for_it_alone(workers):
    common, own = [], []
    a = CountingHandler().with_preprocess_fn(lambda x: own.append(x) or x + 1)
    handler = (
        EnsembleModelHandler({"a": a, "b": CountingHandler()})
        .with_preprocess_fn(lambda x: common.append(x) or x * 10)
        .with_postprocess_fn(lambda both: both["a"].inference - both["b"].inference)
    )
    assert list(infer(range(50), handler, workers=workers)) == [2] * 50
    assert sorted(common) == list(range(50))
    assert sorted(own) == [10 * n for n in range(50)]


@WORKERS
@pytest.mark.parametrize("ordered", [True, False])
def test_a_row_that_fails_in_one_model_fails_once(workers, ordered):
    a = FailingHandler({3, 40}, max_batch_size=8)
    b = FailingHandler({40, 77}, max_batch_size=5).with_preprocess_fn(_not_9)
    failures = []
    metrics = Metrics()
    handler = EnsembleModelHandler({"a": a, "b": b})
    results = list(
        infer(range(100), handler, workers=workers, ordered=ordered, on_failure=failures.append, metrics=metrics)
    )
    assert [result["b"].example for result in results] == [n for n in range(100) if n not in (3, 9, 40, 77)]
    assert sorted((failure.index, failure.stage) for failure in failures) == [
        (3, "inference"),
        (9, "preprocess"),
        (40, "inference"),
        (77, "inference"),
    ]


def _not_9(row):
    if row == 9:
        raise ValueError("not 9")
    return row


def test_a_post_processing_step_that_fails_names_its_row():
    handler = EnsembleModelHandler({"a": CountingHandler(), "b": CountingHandler()}).with_postprocess_fn(
        lambda both: 1 / both["a"].inference
    )
    failures = []
    results = list(infer([1, 0, 2], handler, on_failure=failures.append))
    assert results == [0.5, 0.25]
    assert [(failure.index, failure.example, failure.stage) for failure in failures] == [(1, 0, "postprocess")]


def test_the_first_failure_raises_after_the_results_before_it():
    results = infer(range(100), EnsembleModelHandler({"a": FailingHandler({50}), "b": CountingHandler()}))
    taken = []
    with pytest.raises(InferenceError, match="Row 50 failed"):
        taken.extend(result["a"].example for result in results)
    assert taken == list(range(50))


@WORKERS
def test_keys_travel_with_the_results_of_all_models(workers):
    handler = KeyedModelHandler(EnsembleModelHandler({"a": CountingHandler(), "b": Says(str)}))
    rows = [(f"key {n}", n) for n in range(100)]
    assert list(infer(rows, handler, workers=workers)) == [
        (key, {"a": PredictionResult(n, 2 * n, "fake"), "b": PredictionResult(n, str(n), "says")}) for key, n in rows
    ]


def test_submit_answers_when_all_models_have(in_time):
    with Engine(EnsembleModelHandler({"a": SleepingHandler(0.01), "b": CountingHandler()})) as engine:
        futures = [engine.submit(n) for n in range(20)]
        assert [future.result(10)["b"].inference for future in futures] == [2 * n for n in range(20)]
        assert engine.metrics()["num_inferences"] == 40
    with Engine(EnsembleModelHandler({"a": FailingHandler({1}), "b": CountingHandler()})) as engine:
        with pytest.raises(InferenceError, match="bad row 1"):
            engine.submit(1).result(10)
        assert engine.submit(2).result(10)["a"].inference == 4


def test_metrics_tell_the_models_apart():
    metrics = Metrics()
    list(
        infer(
            range(100),
            EnsembleModelHandler({"a": CountingHandler(), "b": FailingHandler({5})}),
            on_failure=lambda failure: None,
            metrics=metrics,
        )
    )
    flat = metrics.snapshot().to_dict()
    assert (flat["a-num_inferences"], flat["b-num_inferences"], flat["num_inferences"]) == (100, 99, 199)
    assert (flat["a-failed_batches_counter"], flat["b-failed_batches_counter"]) == (0, 1)


def test_models_run_at_the_same_time(in_time):
    meeting = threading.Barrier(2, timeout=10)

    class Meets(CountingHandler):
        def before(self, batch):
            meeting.wait()

    handler = EnsembleModelHandler({name: Meets(min_batch_size=4, max_batch_size=4) for name in "ab"})
    assert len(in_time(lambda: list(infer(range(40), handler)))) == 40


def test_one_after_another_both_models_are_busy_at_the_same_time(in_time):
    met = threading.Event()
    running = {"first": 0, "second": 0}

    def both(name):
        def before(batch):
            running[name] += 1
            if running["first"] and running["second"]:
                met.set()
            met.wait(0.05)  # Long enough for the other one to begin, if it may.
            running[name] -= 1

        return before

    first, second = CountingHandler(max_batch_size=4), CountingHandler(max_batch_size=4)
    first.before, second.before = both("first"), both("second")
    results = infer(infer(range(100), first), second.with_preprocess_fn(lambda result: result.inference))
    assert in_time(lambda: [result.inference for result in results]) == [4 * n for n in range(100)]
    assert met.is_set()


def test_models_whose_batches_differ_much_in_size_both_stay_busy(in_time):
    small_done = threading.Event()

    class Small(CountingHandler):
        def before(self, batch):
            if self.log.calls > 60:
                small_done.set()

    class Large(CountingHandler):
        def before(self, batch):
            assert small_done.wait(10)  # Which needs the small batches for these rows, and for more.

    handler = EnsembleModelHandler(
        {"small": Small(max_batch_size=8), "large": Large(min_batch_size=512, max_batch_size=512)}
    )
    assert len(in_time(lambda: list(infer(iter(range(2000)), handler)))) == 2000


@WORKERS
def test_rows_are_shared_out_as_asked(workers):
    a, b = CountingHandler(), CountingHandler()
    handler = EnsembleModelHandler({"a": a, "b": b}, split={"a": 9, "b": 1})
    results = list(infer(range(10_000), handler, workers=workers))
    assert [next(iter(result.values())).example for result in results] == list(range(10_000))
    assert all(len(result) == 1 for result in results)
    share = Counter(next(iter(result)) for result in results)
    assert abs(share["b"] - 1000) <= 5
    again = list(infer(range(10_000), handler, workers=workers))
    assert [list(result) for result in again] == [list(result) for result in results]


def test_a_key_always_goes_to_the_same_model():
    handler = KeyedModelHandler(
        EnsembleModelHandler({"a": CountingHandler(), "b": CountingHandler()}, split={"a": 1, "b": 1})
    )
    rows = [(f"user {n % 500}", n) for n in range(5000)]
    models = {}
    for key, result in infer(rows, handler):
        models.setdefault(key, set()).add(next(iter(result)))
    assert all(len(names) == 1 for names in models.values())
    share = Counter(next(iter(names)) for names in models.values())
    assert 200 < share["a"] < 300


@pytest.mark.parametrize(
    ("said", "weights", "voted"),
    [
        (["cat", "dog", "cat"], None, "cat"),
        (["dog", "cat", "bird"], None, "dog"),
        (["dog", "cat", "cat"], {"a": 3}, "dog"),
        ([np.int64(2), 3, np.array(3)], None, 3),
        ([True, False, False], None, False),
        ([None, None, 1], None, None),
    ],
)
def test_a_majority_is_counted(said, weights, voted):
    handler = EnsembleModelHandler(_models(said), vote="majority", weights=weights)
    (result,) = infer(["row"], handler)
    assert result == PredictionResult("row", voted, "majority of a, b, c")


@pytest.mark.parametrize(
    ("said", "weights", "mean"),
    [
        ([1, 2, 6], None, 3.0),
        ([1, 2, 6], {"c": 2}, 3.75),
        ([{"x": 1.0, "y": [1]}, {"x": 3.0, "y": [2]}, {"x": 5.0, "y": [6]}], None, {"x": 3.0, "y": [3.0]}),
    ],
)
def test_a_mean_is_taken(said, weights, mean):
    (result,) = infer(["row"], EnsembleModelHandler(_models(said), vote="mean", weights=weights))
    assert result.inference == mean


def test_a_mean_of_arrays_is_an_array():
    said = [np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32), np.array([5.0, 9.0], np.float32)]
    (result,) = infer(["row"], EnsembleModelHandler(_models(said), vote="mean"))
    np.testing.assert_allclose(result.inference, [3.0, 5.0])


@pytest.mark.parametrize(
    ("vote", "said", "message"),
    [
        ("majority", [np.zeros(3)] * 3, r"said a ndarray of shape \(3,\)"),
        ("majority", [[1, 2], [1, 2], [3]], "make it a label"),
        ("mean", [np.zeros(3), np.zeros(4), np.zeros(3)], "differ"),
        ("mean", [np.zeros(3), 1.0, 1.0], "differ"),
        ("mean", ["cat", "dog", "cat"], "majority"),
        ("mean", [{"x": 1}, {"y": 1}, {"x": 1}], "differ"),
    ],
)
def test_what_cannot_be_voted_on_is_set_aside_with_advice(vote, said, message):
    with pytest.raises(InferenceError, match=message):
        list(infer(["row"], EnsembleModelHandler(_models(said), vote=vote)))


def _models(said):
    return {name: Says(lambda _, value=value: value) for name, value in zip("abc", said, strict=True)}


def test_tables_hold_what_each_model_says():
    pa = pytest.importorskip("pyarrow")
    from sklearn.linear_model import LinearRegression

    from runinference import SklearnModelHandlerNumpy

    class Fitted(SklearnModelHandlerNumpy):
        def __init__(self, factor):
            super().__init__("unused.joblib")
            self.factor = factor

        def load_model(self):
            rows = np.arange(10.0).reshape(5, 2)
            return LinearRegression().fit(rows, rows.sum(axis=1) * self.factor)

    table = pa.table({"x": np.arange(1000.0), "y": np.ones(1000)})
    handler = EnsembleModelHandler({"a": Fitted(1), "b": Fitted(2)})
    batches = list(infer_table(table, handler))
    whole = pa.Table.from_batches(batches)
    assert whole["x"].to_pylist() == table["x"].to_pylist()
    a, b = (np.array([row[name] for row in whole["prediction"].to_pylist()]) for name in "ab")
    np.testing.assert_allclose(a, np.arange(1000.0) + 1)
    np.testing.assert_allclose(b, 2 * a)
    rows = pa.Table.from_batches(
        infer_table(table, EnsembleModelHandler({"a": Says(lambda row: row["x"]), "b": Says(str)}))
    )
    assert rows["prediction"].to_pylist()[3] == {"a": 3.0, "b": "{'x': 3.0, 'y': 1.0}"}
    voted = pa.Table.from_batches(
        infer_table(table, EnsembleModelHandler({"a": Fitted(1), "b": Fitted(3)}, vote="mean"))
    )
    np.testing.assert_allclose(voted["prediction"].to_numpy(), 2 * a)


@pytest.mark.parametrize(
    ("models", "arguments", "message"),
    [
        ({}, {}, "needs a dict"),
        ([CountingHandler()], {}, "needs a dict"),
        ({1: CountingHandler()}, {}, "name of a model must be a text"),
        ({"a": CountingHandler}, {}, "needs a model handler"),
        ({"a": KeyedModelHandler(CountingHandler())}, {}, "put KeyedModelHandler around"),
        ({"a": EnsembleModelHandler({"b": CountingHandler()})}, {}, "side by side"),
        ({"a": CountingHandler().with_no_batching()}, {}, "with_no_batching"),
        ({"a": CountingHandler()}, {"split": {"b": 1}}, "a model 'b' that there is not"),
        ({"a": CountingHandler()}, {"split": {"a": 0}}, "share above 0"),
        ({"a": CountingHandler()}, {"split": {"a": -1}}, "at least 0"),
        ({"a": CountingHandler()}, {"split": {"a": float("nan")}}, "at least 0"),
        ({"a": CountingHandler()}, {"split": {"a": 1}, "vote": "mean"}, "nothing to vote on"),
        ({"a": CountingHandler()}, {"vote": "median"}, "'majority' or 'mean'"),
        ({"a": CountingHandler()}, {"weights": {"a": 1}}, "weights count in a vote"),
    ],
)
def test_ensembles_that_cannot_work_are_refused(models, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        EnsembleModelHandler(models, **arguments)


def test_without_an_engine_of_this_package_the_models_run_one_after_another():
    handler = pickle.loads(pickle.dumps(EnsembleModelHandler({"a": CountingHandler(), "b": CountingHandler()})))
    assert handler.run_inference([1, 2], handler.load_model()) == [
        {name: PredictionResult(n, 2 * n, "fake") for name in "ab"} for n in (1, 2)
    ]
    assert weakref.ref(handler.load_model())  # Runners may keep no more than that.
    split = EnsembleModelHandler({"a": CountingHandler(), "b": CountingHandler()}, split={"b": 1})
    assert [list(row) for row in split.run_inference([1, 2], split.load_model())] == [["b"], ["b"]]


def test_an_ensemble_of_one_model_and_empty_input():
    assert list(infer([], EnsembleModelHandler({"a": CountingHandler()}))) == []
    assert list(infer([1], EnsembleModelHandler({"a": CountingHandler()}))) == [{"a": PredictionResult(1, 2, "fake")}]


def test_many_rows_keep_their_order():
    handler = EnsembleModelHandler({"a": CountingHandler(), "b": CountingHandler()})
    count = 0
    for result in infer(iter(range(200_000)), handler):
        assert result["a"].example == count
        count += 1
    assert count == 200_000
