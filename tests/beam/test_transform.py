"""The transform on the local runner: arguments, steps, dead letters, metrics."""

import random
import threading

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.testing.util import assert_that, equal_to

from runinference import (
    ConfigurationError,
    EnsembleModelHandler,
    KeyedModelHandler,
    KeyModelMapping,
    MaybeKeyedModelHandler,
    ModelFaultError,
    ModelHandler,
    ModelLoadError,
)
from runinference.beam import RunInference
from runinference.testing.fakes import CountingHandler, FailingHandler


class Double(ModelHandler):
    """Gives bare predictions; fails on text."""

    def load_model(self):
        return 2

    def run_inference(self, batch, model, inference_args=None):
        factor = model * (inference_args or {}).get("times", 1)
        for example in batch:
            if isinstance(example, str):
                raise ValueError(f"bad {example}")
        return [example * factor for example in batch]


def counters(pipeline, name=None):
    query = MetricsFilter() if name is None else MetricsFilter().with_name(name)
    return {result.key.metric.name: result.result for result in pipeline.result.metrics().query(query)["counters"]}


def distributions(pipeline):
    found = pipeline.result.metrics().query(MetricsFilter())["distributions"]
    return {(result.key.metric.namespace, result.key.metric.name): result.result for result in found}


@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_each_element_has_its_prediction(count):
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create(list(range(count))) | RunInference(CountingHandler())
        pairs = results | beam.Map(lambda result: (result.example, result.inference))
        assert_that(pairs, equal_to([(number, 2 * number) for number in range(count)]))


def test_keys_stay_with_their_predictions():
    with beam.Pipeline() as pipeline:
        rows = [(f"key {number % 3}", number) for number in range(20)]
        results = pipeline | beam.Create(rows) | RunInference(KeyedModelHandler(Double()))
        assert_that(results, equal_to([(key, 2 * number) for key, number in rows]))


def test_rows_with_and_without_a_key_may_be_mixed():
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([1, ("a", 2)]) | RunInference(MaybeKeyedModelHandler(Double()))
        assert_that(results, equal_to([2, ("a", 4)]))


def test_a_model_for_each_key():
    handler = KeyedModelHandler(
        [KeyModelMapping(["a"], Double()), KeyModelMapping(["b", "c"], Double().with_postprocess_fn(lambda x: -x))]
    )
    with beam.Pipeline() as pipeline:
        results, failed = (
            pipeline
            | beam.Create([("a", 1), ("b", 2), ("c", 3), ("d", 4)])
            | RunInference(handler).with_exception_handling()
        )
        assert_that(results, equal_to([("a", 2), ("b", -4), ("c", -6)]))
        assert_that(failed.failed_inferences | beam.Keys(), equal_to([("d", 4)]), label="failed")
    assert counters(pipeline)["num_inferences"] == 3
    assert counters(pipeline)["b-num_inferences"] == 2


def test_an_ensemble_gives_a_dict_for_each_element():
    handler = EnsembleModelHandler({"a": Double(), "b": Double().with_preprocess_fn(lambda x: x + 1)})
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([1, 2]) | RunInference(handler)
        assert_that(results, equal_to([{"a": 2, "b": 4}, {"a": 4, "b": 6}]))


def test_steps_run_in_the_order_of_beam_and_are_seen_in_the_graph():
    handler = (
        Double()
        .with_preprocess_fn(lambda x: x + 1)
        .with_preprocess_fn(lambda x: x * 10)
        .with_postprocess_fn(lambda x: x - 1)
        .with_postprocess_fn(str)
    )
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([1]) | "Infer" >> RunInference(handler)
        assert_that(results, equal_to(["21"]))
    labels = labels_of(pipeline)
    for step in ("Preprocess-0", "Preprocess-1", "Postprocess-0", "Postprocess-1"):
        assert f"Infer/BeamML_RunInference_{step}" in labels
    assert "Infer/BeamML_RunInference" in labels


def labels_of(pipeline):
    labels = set()

    class Visitor(beam.pipeline.PipelineVisitor):
        def enter_composite_transform(self, node):
            labels.add(node.full_label)

        def visit_transform(self, node):
            labels.add(node.full_label)

    pipeline.visit(Visitor())
    return labels


def test_steps_of_an_inner_handler_see_the_example_and_those_outside_the_pair():
    inner = Double().with_preprocess_fn(lambda x: x + 1).with_postprocess_fn(lambda x: x / 2)
    outer = (
        KeyedModelHandler(inner)
        .with_preprocess_fn(lambda pair: (pair[0].upper(), pair[1]))
        .with_postprocess_fn(lambda pair: f"{pair[0]}={pair[1]}")
    )
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([("a", 1), ("b", 2)]) | RunInference(outer)
        assert_that(results, equal_to(["A=2.0", "B=3.0"]))


def test_ready_made_batches():
    handler = Double().with_no_batching().with_preprocess_fn(lambda batch: batch[::-1])
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([[1, 2], [], [3]]) | RunInference(handler)
        assert_that(results, equal_to([2, 4, 6]))
    assert distributions(pipeline)["RunInference", "inference_request_batch_size"].count == 2


def test_of_a_ready_made_batch_the_failing_example_alone_is_a_dead_letter():
    with beam.Pipeline() as pipeline:
        results, failed = (
            pipeline
            | beam.Create([[1, "x", 3], [4]])
            | RunInference(Double().with_no_batching()).with_exception_handling()
        )
        assert_that(results, equal_to([2, 6, 8]))
        assert_that(failed.failed_inferences | beam.Keys(), equal_to(["x"]), label="failed")


def test_only_the_failing_element_is_a_dead_letter_with_its_reason():
    with beam.Pipeline() as pipeline:
        results, failed = pipeline | beam.Create([*range(100), "x"]) | RunInference(Double()).with_exception_handling()
        assert_that(results, equal_to([2 * number for number in range(100)]))

        def check(letters):
            ((element, (kind, shown, trace)),) = letters
            assert (element, kind, shown) == ("x", ValueError, "ValueError('bad x')")
            assert trace[0].startswith("Traceback")
            assert trace[-1] == "ValueError: bad x\n"
            assert not any("site-packages" in line for line in trace)

        assert_that(failed.failed_inferences, check, label="failed")
    assert counters(pipeline)["num_inferences"] == 100
    assert counters(pipeline)["failed_batches_counter"] == 1
    assert counters(pipeline)["failed_examples"] == 1


def test_dead_letters_of_a_batch_as_beam_gives_them():
    with beam.Pipeline() as pipeline:
        _, failed = (
            pipeline | beam.Create([1, "x", 2, "x"]) | RunInference(Double()).with_exception_handling(per_batch=True)
        )
        assert_that(failed.failed_inferences | beam.Keys(), equal_to([["x", "x"]]))


def keys_of(pairs, label):
    return pairs | f"keys {label}" >> beam.Keys()


def test_each_step_has_its_own_dead_letters():
    def fails_on(bad):
        def fn(x):
            if x == bad:
                raise KeyError(bad)
            return x

        return fn

    handler = (
        Double()
        .with_preprocess_fn(fails_on(2))
        .with_preprocess_fn(fails_on(1))
        .with_postprocess_fn(fails_on(6))
        .with_postprocess_fn(fails_on(8))
    )
    with beam.Pipeline() as pipeline:
        results, failed = pipeline | beam.Create([1, 2, 3, 4, 5, "x"]) | RunInference(handler).with_exception_handling()
        assert_that(results, equal_to([10]))
        assert_that(failed.failed_inferences | beam.Keys(), equal_to(["x"]), label="inference")
        for step, bad in enumerate([1, 2]):
            assert_that(keys_of(failed.failed_preprocessing[step], f"{step}"), equal_to([bad]), label=f"before {step}")
        for step, bad in enumerate([6, 8]):
            assert_that(keys_of(failed.failed_postprocessing[step], f"-{step}"), equal_to([bad]), label=f"after {step}")


@pytest.mark.parametrize(("threshold", "fails"), [(0.25, False), (0.2, True), (0, True), (1, False)])
def test_the_threshold_counts_elements(threshold, fails):
    def run():
        with beam.Pipeline() as pipeline:
            transform = RunInference(Double()).with_exception_handling(threshold=threshold)
            _ = pipeline | beam.Create([1, 2, 3, "x"]) | transform

    if fails:
        with pytest.raises(ValueError, match=rf"exceeded threshold: 1 / 4 = 0.25 > {threshold}"):
            run()
    else:
        run()


def test_without_exception_handling_the_exception_of_the_handler_fails_the_pipeline():
    with pytest.raises(ValueError, match="bad x"), beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([1, "x"]) | RunInference(Double())


def test_only_exceptions_of_the_given_class_are_handled():
    with pytest.raises(ValueError, match="bad x"), beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([1, "x"]) | RunInference(Double()).with_exception_handling(exc_class=KeyError)


def test_a_call_that_takes_too_long_is_a_dead_letter_and_the_rest_goes_on():
    with beam.Pipeline() as pipeline:
        results, failed = (
            pipeline | beam.Create([1, -2, 3]) | RunInference(Hangs()).with_exception_handling(timeout=0.5)
        )
        assert_that(results, equal_to([1, 3]))

        def check(letters):
            ((element, (kind, *_)),) = letters
            assert (element, issubclass(kind, TimeoutError)) == (-2, True)

        assert_that(failed.failed_inferences, check, label="failed")


class Hangs(ModelHandler):
    def load_model(self):
        return threading.Event()

    def run_inference(self, batch, model, inference_args=None):
        if min(batch) < 0:
            model.wait(5)
        return batch


class NeverLoads(Double):
    def load_model(self):
        threading.Event().wait(5)
        return 2


def test_elements_that_wait_for_a_model_which_is_not_loaded_in_time_are_dead_letters():
    with beam.Pipeline() as pipeline:
        results, failed = (
            pipeline | beam.Create([1, 2]) | RunInference(NeverLoads()).with_exception_handling(timeout=0.3)
        )
        assert_that(results, equal_to([]))
        reasons = failed.failed_inferences | beam.MapTuple(lambda element, reason: (element, reason[1]))
        text = "InferenceTimeoutError('The model was not loaded within 0.3 s')"
        assert_that(reasons, equal_to([(1, text), (2, text)]), label="failed")


def test_the_monitoring_transform_sees_predictions_before_postprocessing():
    class Watch(beam.PTransform):
        def expand(self, predictions):
            assert_that(predictions, equal_to([2, 4]), label="watched")

    transform = RunInference(Double().with_postprocess_fn(str)).with_monitoring_transform(Watch())
    with beam.Pipeline() as pipeline:
        assert_that(pipeline | beam.Create([1, 2]) | transform, equal_to(["2", "4"]))
    assert "monitoring_transform" in transform.annotations()


def test_what_changes_a_transform_leaves_the_first_one_alone():
    plain = RunInference(Double())
    handled = plain.with_exception_handling()
    with beam.Pipeline() as pipeline:
        examples = pipeline | beam.Create([1])
        assert isinstance(examples | "plain" >> plain, beam.PCollection)
        assert len(examples | "handled" >> handled) == 2


def test_one_transform_may_be_applied_twice():
    transform = RunInference(Double())
    with beam.Pipeline() as pipeline:
        first = pipeline | "a" >> beam.Create([1]) | "first" >> transform
        second = first | "second" >> transform
        assert_that(second, equal_to([4]))


def test_arguments_of_the_model():
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([1]) | RunInference(Double(), inference_args={"times": 10})
        assert_that(results, equal_to([20]))


def test_arguments_of_the_model_from_a_side_input():
    with beam.Pipeline() as pipeline:
        arguments = pipeline | "arguments" >> beam.Create([("times", 10)])
        results = pipeline | beam.Create([1]) | RunInference(Double(), inference_args=beam.pvalue.AsDict(arguments))
        assert_that(results, equal_to([20]))


def test_the_standard_metrics_with_their_names_and_namespaces():
    with beam.Pipeline() as pipeline:
        rows = [np.zeros(4, np.float32) for _ in range(10)]
        _ = pipeline | beam.Create(rows) | RunInference(CountingHandler())
    assert counters(pipeline)["num_inferences"] == 10
    found = distributions(pipeline)
    assert found["RunInference", "inference_request_batch_size"].sum == 10
    assert found["RunInference", "inference_request_batch_byte_size"].sum == 10 * 16
    assert found["RunInference", "model_byte_size"].max == 8
    assert found["RunInference", "load_model_latency_milli_secs"].count == 1
    assert found["RunInference", "inference_batch_latency_micro_secs"].count >= 1
    assert found["BatchElements", "batch_size"].sum == 10
    assert ("BatchElements", "msec_per_batch") in found


def test_metrics_in_a_namespace_of_ones_own():
    with beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([1]) | RunInference(Double(), metrics_namespace="mine")
    assert {name for name, _ in distributions(pipeline)} == {"mine", "BatchElements"}


class Counts(Double):
    """Counts for itself, before and while its predictions are taken."""

    def run_inference(self, batch, model, inference_args=None):
        Metrics.counter("mine", "calls").inc()
        for example in batch:
            Metrics.distribution("mine", "examples").update(example)
            yield example * model


@pytest.mark.parametrize("timeout", [None, 30])
def test_what_a_handler_counts_itself_is_counted(timeout):
    with beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([1, 2, 3]) | RunInference(Counts()).with_exception_handling(timeout=timeout)
    assert counters(pipeline)["calls"] >= 1
    assert distributions(pipeline)["mine", "examples"].sum == 6


class CountsAlone(Double):
    def override_metrics(self, metrics_namespace=""):
        return True


def test_a_handler_that_reports_all_metrics_itself_is_left_to_it():
    with beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([1]) | RunInference(CountsAlone())
    assert counters(pipeline) == {}


def test_a_handler_of_beam_runs_as_it_is():
    base = pytest.importorskip("apache_beam.ml.inference.base")

    class Theirs(base.ModelHandler):
        def load_model(self):
            return 2

        def run_inference(self, batch, model, inference_args=None):
            return [base.PredictionResult(example, example * model) for example in batch]

    handler = base.KeyedModelHandler(Theirs()).with_postprocess_fn(lambda pair: (pair[0], pair[1].inference))
    with beam.Pipeline() as pipeline:
        assert_that(pipeline | beam.Create([("a", 1)]) | RunInference(handler), equal_to([("a", 2)]))


def test_the_transform_from_a_function_for_other_languages():
    transform = RunInference.from_callable(CountingHandler, max_batch_size=3)
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([1]) | transform | beam.Map(lambda result: result.inference)
        assert_that(results, equal_to([2]))


def test_hints_for_the_machine_reach_the_step():
    class Hungry(Double):
        def get_resource_hints(self):
            return {"min_ram": "1GB"}

    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([1]) | RunInference(Hungry())
        assert b"1000000000" in results.producer.transform.get_resource_hints().values()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inference_batch_size": 32}, "has no argument 'inference_batch_size'"),
        ({"model_identifer": "a"}, "Did you mean 'model_identifier'"),
        ({"watchin": "a"}, r"no argument 'watchin'\.$"),
        ({"interval": 3}, "interval has no effect without watch_model_pattern"),
        ({"model_manager_args": {"a": 1}}, "model_manager_args has no effect"),
        ({"watch_model_pattern": "models/*"}, "Double cannot change its model while running"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        RunInference(Double(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 2}, "threshold is a share between 0 and 1, got 2"),
        ({"threshold": "half"}, "threshold is a share"),
        ({"timeout": 0}, "timeout must be seconds above 0"),
    ],
)
def test_wrong_exception_handling_is_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        RunInference(Double()).with_exception_handling(**arguments)


@pytest.mark.parametrize("wrong", [Double, "model.pkl", None])
def test_what_is_no_handler_is_refused(wrong):
    with pytest.raises(ConfigurationError, match=r"handler|class"):
        RunInference(wrong)


def test_a_handler_that_cannot_be_sent_to_workers_is_refused_with_the_attribute_to_blame():
    handler = Double()
    handler.client = type("Client", (), {})()
    handler.client.rows = (row for row in [1, 2])
    with pytest.raises(ConfigurationError, match=r"Double .*: its attribute client\.rows is a generator"):
        RunInference(handler)


def test_a_step_before_the_model_that_returns_nothing_is_an_error():
    with pytest.raises(TypeError, match="'forgets' returned nothing"), beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([1]) | RunInference(Double().with_preprocess_fn(forgets))


def forgets(x):
    x + 1


def test_an_element_without_a_key_is_a_dead_letter_of_a_keyed_handler():
    with beam.Pipeline() as pipeline:
        results, failed = (
            pipeline | beam.Create([("a", 1), 2]) | RunInference(KeyedModelHandler(Double())).with_exception_handling()
        )
        assert_that(results, equal_to([("a", 2)]))
        assert_that(failed.failed_inferences | beam.Keys(), equal_to([2]), label="failed")


def test_a_ready_made_batch_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="needs elements that are batches"), beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([5]) | RunInference(Double().with_no_batching())


class Lost(Double):
    def load_model(self):
        raise FileNotFoundError("models/lost.pt")


@pytest.mark.parametrize("handled", [False, True])
def test_a_model_that_is_not_there_fails_the_pipeline(handled):
    transform = RunInference(Lost())
    if handled:
        transform = transform.with_exception_handling()
    with pytest.raises(ModelLoadError, match=r"models/lost\.pt"), beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([1]) | transform


def test_elements_of_unequal_length_are_batched_by_length():
    class Padded(CountingHandler):
        def run_inference(self, batch, model, inference_args=None):
            return [max(map(len, batch)) - len(each) for each in batch]

    handler = Padded(batch_length_fn=len, min_batch_size=8, max_batch_size=8)
    rows = ["x" * length for length in range(1, 9) for _ in range(8)]
    random.Random(0).shuffle(rows)
    with beam.Pipeline() as pipeline:
        padding = pipeline | beam.Create(rows, reshuffle=False) | RunInference(handler)
        assert_that(padding | beam.Filter(lambda each: each > 4), equal_to([]))


def test_a_limit_of_weight_is_kept():
    class Weights(CountingHandler):
        def run_inference(self, batch, model, inference_args=None):
            return [sum(batch)] * len(batch)

    handler = Weights(max_batch_weight=10, element_size_fn=int)
    with beam.Pipeline() as pipeline:
        results = pipeline | beam.Create([6, 6, 3, 3, 3], reshuffle=False) | RunInference(handler)
        assert_that(results | beam.Filter(lambda weight: weight > 10), equal_to([]))


def test_failures_alike_are_dead_letters_however_many_there_are():
    with beam.Pipeline() as pipeline:
        results, failed = pipeline | beam.Create(["x"] * 40 + [1]) | RunInference(Double()).with_exception_handling()
        assert_that(results, equal_to([2]))
        assert_that(failed.failed_inferences | beam.Keys(), equal_to(["x"] * 40), label="failed")


def test_without_exception_handling_a_model_that_never_works_says_so():
    with pytest.raises((ValueError, ModelFaultError)), beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create(["x"] * 40) | RunInference(Double())


def test_failing_rows_of_a_fake_are_set_aside():
    with beam.Pipeline() as pipeline:
        results, failed = (
            pipeline | beam.Create(list(range(50))) | RunInference(FailingHandler([7])).with_exception_handling()
        )
        assert_that(results | beam.Map(lambda r: r.example), equal_to([n for n in range(50) if n != 7]))
        assert_that(failed.failed_inferences | beam.Keys(), equal_to([7]), label="failed")


def test_an_element_in_several_windows_is_run_once_and_is_in_all_of_them():
    windows = beam.window.SlidingWindows(size=30, period=10)
    with beam.Pipeline() as pipeline:
        results = (
            pipeline
            | beam.Create([beam.window.TimestampedValue(number, 100) for number in range(5)])
            | beam.Map(lambda each: each)
            | beam.WindowInto(windows)
            | RunInference(Double())
            | beam.Map(lambda value, window=beam.DoFn.WindowParam: (value, int(window.start)))
        )
        assert_that(results, equal_to([(2 * number, start) for number in range(5) for start in (80, 90, 100)]))
    assert counters(pipeline)["num_inferences"] == 5
