"""Several copies of one model, and one copy for several users."""

import copy
import gc
import threading

import pytest

from runinference import ConfigurationError, Engine, KeyedModelHandler, KeyModelMapping, Metrics, infer
from runinference.testing.fakes import CountingHandler, FailingHandler, FileModelHandler


class Meets(CountingHandler):
    """Each call waits for one on another copy."""

    def __init__(self, **options):
        super().__init__(**options)
        self.meeting = threading.Barrier(2, timeout=10)
        self.models = set()

    def run_inference(self, batch, model, inference_args=None):
        self.models.add(id(model))
        self.meeting.wait()
        return super().run_inference(batch, model, inference_args)


def test_copies_run_at_the_same_time_and_the_order_is_kept(in_time):
    handler = Meets(min_batch_size=5, max_batch_size=5, model_copies=2)
    results = in_time(lambda: list(infer(range(100), handler)))
    assert [result.example for result in results] == list(range(100))
    assert len(handler.models) == 2
    assert handler.log.loads == 2


def test_each_copy_is_made_for_its_place():
    places = []

    class Placed(CountingHandler):
        def for_copy(self, copy, copies):
            clone = super().for_copy(copy, copies)
            places.append((copy, copies))
            return clone

    metrics = Metrics()
    list(infer(range(1000), Placed(model_copies=3, max_batch_size=10), metrics=metrics))
    assert places == [(0, 3), (1, 3), (2, 3)]
    assert metrics.snapshot()["num_inferences"] == 1000


def test_engines_of_one_handler_share_its_copies():
    class Placed(CountingHandler):
        def for_copy(self, copy_number, copies):
            return copy.copy(self)

    handler = Placed(model_copies=2, max_batch_size=4)
    with Engine(handler) as one, Engine(handler) as other:
        for engine in (one, other, one):
            assert len(list(engine.map(range(100)))) == 100
        assert handler.log.loads == 2


def test_one_copy_is_the_handler_itself():
    class Placed(CountingHandler):
        def for_copy(self, copy, copies):
            raise AssertionError("there is only one")

    assert len(list(infer(range(10), Placed(model_copies=1)))) == 10


def test_without_threads_the_copies_still_give_every_row_once():
    handler = CountingHandler(model_copies=2)
    assert [result.example for result in infer(range(100), handler, workers=0)] == list(range(100))


def test_rows_that_fail_on_a_copy_are_set_aside():
    failures = []
    handler = FailingHandler({7, 50}, model_copies=2, max_batch_size=8)
    results = list(infer(range(100), handler, on_failure=failures.append))
    assert len(results) == 98
    assert sorted(failure.example for failure in failures) == [7, 50]


def test_copies_are_all_exchanged(tmp_path):
    for factor in (2, 3):
        (tmp_path / str(factor)).write_text(str(factor))
    handler = FileModelHandler(tmp_path / "2", model_copies=2, max_batch_size=4)
    with Engine(handler) as engine:
        assert {result.inference // result.example for result in engine.map(range(1, 100))} == {2}
        engine.update_model(tmp_path / "3").result(10)
        assert {result.inference // result.example for result in engine.map(range(1, 100))} == {3}
        gc.collect()
        assert sum(reference() is not None for reference in handler.log.models) <= 4
    gc.collect()
    assert sum(reference() is not None for reference in handler.log.models) == 0


def test_models_of_keys_may_have_copies(in_time):
    handler = KeyedModelHandler([KeyModelMapping(["a"], Meets(min_batch_size=5, max_batch_size=5, model_copies=2))])
    assert len(in_time(lambda: list(infer([("a", n) for n in range(100)], handler)))) == 100


def test_copies_are_released_with_the_engine():
    handler = CountingHandler(model_copies=2)
    list(infer(range(100), handler))
    gc.collect()
    assert [reference for reference in handler.log.models if reference() is not None] == []


def test_engines_of_one_identifier_share_a_model_though_their_handlers_are_different_objects():
    first = CountingHandler()
    second = copy.copy(first)
    with Engine(first, model_identifier="m") as one, Engine(second, model_identifier="m") as other:
        assert len(list(one.map(range(5)))) + len(list(other.map(range(5)))) == 10
        assert first.log.loads == 1
        one.close()
        assert len(list(other.map(range(5)))) == 5
        assert first.log.loads == 1
    gc.collect()
    assert first.log.models[0]() is None


def test_many_threads_that_ask_at_once_load_one_copy():
    handler = CountingHandler()
    gate = threading.Barrier(8, timeout=10)

    def run(counts):
        gate.wait()
        engine = Engine(copy.copy(handler), model_identifier="one for all")
        engines.append(engine)
        counts.append(len(list(engine.map(range(50)))))

    engines, counts = [], []
    threads = [threading.Thread(target=run, args=(counts,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert counts == [50] * 8
    assert handler.log.loads == 1
    for engine in engines:
        engine.close()


def test_one_identifier_for_two_models_does_not_mix_them_up(tmp_path):
    for factor in (2, 3):
        (tmp_path / str(factor)).write_text(str(factor))
    with (
        Engine(FileModelHandler(tmp_path / "2"), model_identifier="m") as two,
        Engine(FileModelHandler(tmp_path / "3"), model_identifier="m") as three,
    ):
        assert [result.inference for result in [*two.map([1]), *three.map([1])]] == [2, 3]


@pytest.mark.parametrize("model", [{"a": 1}, [1, 2], (1, 2), 5, "text", None])
def test_any_object_may_be_a_shared_model(model):
    class Any(CountingHandler):
        def load_model(self):
            self.log.batch_sizes.append(0)
            return model

        def run_inference(self, batch, loaded, inference_args=None):
            assert loaded is model
            return list(batch)

    handler = Any()
    with Engine(handler, model_identifier="x") as one, Engine(handler, model_identifier="x") as other:
        assert list(one.map([1])) == list(other.map([1])) == [1]
    assert handler.log.batch_sizes == [0]


@pytest.mark.parametrize("identifier", ["", 5])
def test_an_identifier_is_a_text(identifier):
    with pytest.raises(ConfigurationError, match="model_identifier"):
        Engine(CountingHandler(), model_identifier=identifier)
