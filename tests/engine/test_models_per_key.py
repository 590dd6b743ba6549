"""A model for each key: routing, batches, order, failures and metrics."""

import pickle
import threading
import time
import weakref

import pytest

from runinference import (
    ConfigurationError,
    Engine,
    InferenceError,
    KeyedModelHandler,
    KeyModelMapping,
    Metrics,
    ModelLoadError,
    infer,
)
from runinference.keyed import MaybeKeyedModelHandler
from runinference.prediction import PredictionResult
from runinference.testing.fakes import CountingHandler, FailingHandler, SleepingHandler

WORKERS = pytest.mark.parametrize("workers", [None, 0, 2])


class Times(CountingHandler):
    """Multiplies."""

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def run_inference(self, batch, model, inference_args=None):
        return super().run_inference(batch, model, {"factor": self.factor, **(inference_args or {})})

    def get_model_id(self):
        return f"times {self.factor}"


def three_models(keys=100, **options):
    handlers = [Times(factor, **options) for factor in (2, 3, 5)]
    mappings = [
        KeyModelMapping([key for key in range(keys) if key % 3 == number], handler)
        for number, handler in enumerate(handlers)
    ]
    return KeyedModelHandler(mappings), handlers


@WORKERS
def test_each_row_runs_on_the_model_of_its_key_and_the_order_is_kept(workers):
    handler, _ = three_models()
    rows = [(n * 7 % 100, n) for n in range(5000)]
    results = list(infer(rows, handler, workers=workers))
    assert [key for key, _ in results] == [key for key, _ in rows]
    assert [result.inference for _, result in results] == [n * (2, 3, 5)[key % 3] for key, n in rows]
    assert {result.model_id for _, result in results} == {"times 2", "times 3", "times 5"}


@WORKERS
def test_batches_form_over_all_keys_of_a_model(workers):
    handler, inner = three_models(min_batch_size=50, max_batch_size=50)
    rows = [(n % 100, n) for n in range(30_000)]
    metrics = Metrics()
    assert len(list(infer(rows, handler, workers=workers, metrics=metrics))) == 30_000
    counts = [sum(1 for key, _ in rows if key % 3 == number) for number in range(3)]
    assert [each.log.calls for each in inner] == [-(-count // 50) for count in counts]
    assert metrics.snapshot()["inference_calls"] == sum(-(-count // 50) for count in counts)


def test_each_model_has_its_own_batching_options():
    small, large = Times(2, max_batch_size=3), Times(3, min_batch_size=40, max_batch_size=40)
    handler = KeyedModelHandler([KeyModelMapping(["s"], small), KeyModelMapping(["l"], large)])
    assert len(list(infer([("sl"[n % 2], n) for n in range(400)], handler))) == 400
    assert max(small.log.batch_sizes) <= 3
    assert large.log.batch_sizes == [40] * 5


@WORKERS
def test_a_row_whose_key_has_no_model_is_set_aside_alone(workers):
    handler, _ = three_models(keys=6)
    rows = [(n % 6, n) for n in range(100)]
    rows[40], rows[41], rows[42] = ("nobody", 40), 41, ([], 42)
    failures = []
    results = list(infer(rows, handler, workers=workers, on_failure=failures.append))
    assert [result.example for _, result in results] == [n for n in range(100) if n not in (40, 41, 42)]
    assert [(failure.index, failure.stage) for failure in failures] == [(n, "preprocess") for n in (40, 41, 42)]
    assert failures[0].key == "nobody"
    assert failures[0].message == "There is no model for the key 'nobody'. Keys with a model: 0, 3, 1, 4, 2, 5"
    assert "(key, example) pairs, got int" in failures[1].message


def test_an_unknown_key_names_the_one_that_is_nearest():
    handler = KeyedModelHandler([KeyModelMapping(["german"], Times(2)), KeyModelMapping(["french"], Times(3))])
    with pytest.raises(InferenceError, match=r"no model for the key 'frensh'\. Did you mean 'french'"):
        list(infer([("frensh", 1)], handler))


@WORKERS
def test_rows_that_fail_in_one_model_leave_the_others_alone(workers):
    handler = KeyedModelHandler(
        [KeyModelMapping(["a"], FailingHandler({30})), KeyModelMapping(["b"], FailingHandler({71}))]
    )
    failures = []
    rows = [("ab"[n % 2], n) for n in range(100)]
    results = list(infer(rows, handler, workers=workers, on_failure=failures.append))
    assert [(failure.key, failure.example) for failure in failures] == [("a", 30), ("b", 71)]
    assert len(results) == 98


def test_functions_of_a_model_see_the_example_and_those_around_all_models_see_the_pair():
    a = Times(10).with_preprocess_fn(lambda x: x + 1).with_postprocess_fn(lambda result: result.inference)
    b = Times(100)
    handler = (
        KeyedModelHandler([KeyModelMapping(["a"], a), KeyModelMapping(["b"], b)])
        .with_preprocess_fn(lambda pair: (pair[0].lower(), pair[1]))
        .with_postprocess_fn(lambda pair: {"key": pair[0], "value": pair[1]})
    )
    assert list(infer([("A", 1), ("B", 2)], handler)) == [
        {"key": "a", "value": 20},
        {"key": "b", "value": PredictionResult(2, 200, "times 100")},
    ]


def test_a_key_that_is_rare_does_not_hold_back_the_others_for_ever():
    often, rare = Times(2, min_batch_size=10, max_batch_size=10), Times(3, min_batch_size=1000, max_batch_size=1000)
    handler = KeyedModelHandler([KeyModelMapping(["often"], often), KeyModelMapping(["rare"], rare)])
    read = []

    def rows():
        yield "rare", 0
        for n in range(1, 200_000):
            read.append(n)
            yield "often", n

    results = infer(rows(), handler)
    assert next(results) == ("rare", PredictionResult(0, 0, "times 3"))
    assert len(read) < 100_000
    results.close()


def test_metrics_are_there_in_total_and_for_each_model():
    handler, _ = three_models(keys=6, max_batch_size=10)
    metrics = Metrics()
    list(infer([(n % 6, n) for n in range(600)], handler, metrics=metrics))
    flat = metrics.snapshot().to_dict()
    assert flat["num_inferences"] == 600
    assert [flat[f"{key}-num_inferences"] for key in range(3)] == [200, 200, 200]
    assert flat["0-inference_batch_latency_micro_secs_COUNT"] == flat["0-inference_calls"]
    assert flat["load_model_latency_milli_secs_COUNT"] == 3
    assert flat["1-load_model_latency_milli_secs_COUNT"] == 1
    assert "3-num_inferences" not in flat
    shown = str(metrics.snapshot())
    assert "Models" in shown
    assert metrics.snapshot().namespace == "runinference"


def test_metrics_of_models_survive_pickling_and_merging():
    handler, _ = three_models(keys=3)
    merged = Metrics()
    for _ in range(2):
        metrics = Metrics()
        list(infer([(n % 3, n) for n in range(30)], handler, metrics=metrics))
        merged.merge(pickle.loads(pickle.dumps(metrics)))
    flat = merged.snapshot().to_dict()
    assert flat["num_inferences"] == 60
    assert flat["2-num_inferences"] == 20
    merged.part("2").count("num_inferences", 5)
    assert merged.snapshot()["num_inferences"] == 65


def test_submit_finds_the_model_of_the_key(in_time):
    handler, _ = three_models()
    with Engine(handler) as engine:
        futures = [engine.submit((key, 10)) for key in range(6)]
        assert [future.result(10)[1].inference for future in futures] == [20, 30, 50, 20, 30, 50]
        with pytest.raises(InferenceError, match="no model for the key 'x'"):
            engine.submit(("x", 1)).result(10)


def test_models_that_wait_run_side_by_side(in_time):
    meeting = threading.Barrier(2, timeout=10)

    class Meets(CountingHandler):
        def before(self, batch):
            meeting.wait()

    handler = KeyedModelHandler([KeyModelMapping([name], Meets(max_batch_size=4)) for name in "ab"])
    assert len(in_time(lambda: list(infer([("ab"[n % 2], n) for n in range(80)], handler)))) == 80


def test_a_stream_that_stalls_still_gives_what_is_done(in_time):
    go_on = threading.Event()

    def rows():
        yield from (("ab"[n % 2], n) for n in range(10))
        go_on.wait()

    handler = KeyedModelHandler([KeyModelMapping([name], CountingHandler()) for name in "ab"])
    results = infer(rows(), handler)
    assert in_time(lambda: [next(results)[1].example for _ in range(10)]) == list(range(10))
    go_on.set()
    assert list(results) == []


def test_results_that_nobody_takes_hold_the_models_back():
    inner = [Times(2, min_batch_size=5, max_batch_size=5), Times(3, min_batch_size=5, max_batch_size=5)]
    handler = KeyedModelHandler([KeyModelMapping(["a"], inner[0]), KeyModelMapping(["b"], inner[1])])
    results = infer((("ab"[n % 2], n) for n in range(100_000)), handler)
    next(results)
    time.sleep(0.2)
    assert sum(each.log.calls for each in inner) < 20
    results.close()


def test_a_slow_model_holds_the_others_back_instead_of_filling_the_memory():
    slow, fast = SleepingHandler(0.3, min_batch_size=5, max_batch_size=5), Times(2, min_batch_size=5, max_batch_size=5)
    handler = KeyedModelHandler([KeyModelMapping(["slow"], slow), KeyModelMapping(["fast"], fast)])

    def rows():
        yield from (("slow", n) for n in range(5))
        yield from (("fast", n) for n in range(100_000))

    results = infer(rows(), handler)
    next(results)
    assert fast.log.calls < 20
    results.close()


@pytest.mark.parametrize("count", [0, 1])
@WORKERS
def test_empty_input_and_a_single_row(workers, count):
    handler, _ = three_models()
    assert len(list(infer([(5, 1)] * count, handler, workers=workers))) == count


def test_a_load_that_fails_is_raised(in_time):
    class Broken(CountingHandler):
        def load_model(self):
            raise OSError("disk on fire")

    handler = KeyedModelHandler([KeyModelMapping(["a"], CountingHandler()), KeyModelMapping(["b"], Broken())])
    with pytest.raises(ModelLoadError, match="disk on fire"):
        in_time(lambda: list(infer([("ab"[n % 2], n) for n in range(100)], handler)))


@pytest.mark.parametrize(
    ("mappings", "message"),
    [
        ([], "given an empty list"),
        ([KeyModelMapping([], CountingHandler())], "model 0 has no keys"),
        ([KeyModelMapping(["a"], CountingHandler()), KeyModelMapping(["a"], CountingHandler())], "'a' has two models"),
        ([KeyModelMapping([["list"]], CountingHandler())], "not hashable"),
        ([KeyModelMapping(["a"], CountingHandler)], "needs a model handler"),
        ([KeyModelMapping(["a"], KeyedModelHandler(CountingHandler()))], "keyed already"),
        ([("a", CountingHandler())], "needs a list of KeyModelMapping"),
        ([KeyModelMapping(["a"], CountingHandler().with_no_batching())], "with_no_batching"),
    ],
)
def test_models_and_keys_that_cannot_work_are_refused(mappings, message):
    with pytest.raises(ConfigurationError, match=message):
        KeyedModelHandler(mappings)


@pytest.mark.parametrize("limit", ["max_models_per_worker_hint", "max_model_bytes"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "2"])
def test_limits_are_whole_numbers_above_0(limit, value):
    with pytest.raises(ConfigurationError, match=limit):
        KeyedModelHandler([KeyModelMapping(["a"], CountingHandler())], **{limit: value})


def test_a_limit_of_models_has_no_effect_with_one_handler():
    with pytest.raises(ConfigurationError, match="no effect with one model"):
        KeyedModelHandler(CountingHandler(), max_models_per_worker_hint=2)


def test_rows_that_may_have_no_key_cannot_choose_a_model():
    with pytest.raises(ConfigurationError, match="takes one handler"):
        MaybeKeyedModelHandler([KeyModelMapping(["a"], CountingHandler())])


def test_arguments_are_checked_for_every_model():
    class Strict(CountingHandler):
        def validate_inference_args(self, inference_args):
            if inference_args and "factor" not in inference_args:
                raise ConfigurationError("only factor")

    handler = KeyedModelHandler([KeyModelMapping(["a"], CountingHandler()), KeyModelMapping(["b"], Strict())])
    with pytest.raises(ConfigurationError, match="only factor"):
        infer([], handler, inference_args={"x": 1})


def test_without_an_engine_of_this_package_each_model_is_called_once_for_all_its_keys():
    handler, inner = three_models(keys=6)
    handler = pickle.loads(pickle.dumps(handler))
    results = handler.run_inference([(n % 6, n) for n in range(12)], handler.load_model())
    assert [(key, result.inference) for key, result in results] == [(n % 6, n * (2, 3, 5)[n % 3]) for n in range(12)]
    assert [mapping.mh.log.calls for mapping in handler.mappings] == [1, 1, 1]
    assert handler.get_metrics_namespace() == "BeamML_KeyedModels"
    assert weakref.ref(handler.load_model())  # Runners may keep no more than that.
    assert [each.log.calls for each in inner] == [0, 0, 0]


@WORKERS
def test_loading_is_not_part_of_the_first_batch(workers):
    class SlowToLoad(CountingHandler):
        def load_model(self):
            time.sleep(0.5)
            return super().load_model()

    handler = KeyedModelHandler([KeyModelMapping([key], SlowToLoad()) for key in "ab"])
    metrics = Metrics()
    list(infer([("ab"[n % 2], n) for n in range(100)], handler, workers=workers, metrics=metrics))
    flat = metrics.snapshot().to_dict()
    assert flat["inference_batch_latency_micro_secs_MAX"] < 1e3 * flat["load_model_latency_milli_secs_MIN"]
