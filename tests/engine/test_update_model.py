"""A new model takes over while rows are running, or does not, and no row notices."""

import gc
import itertools
import logging
import os
import threading
import time
import weakref

import pytest

from runinference import (
    ConfigurationError,
    Engine,
    EngineClosedError,
    EnsembleModelHandler,
    KeyedModelHandler,
    KeyModelMapping,
    KeyModelPathMapping,
    ModelFaultError,
    ModelLoadError,
)
from runinference.engine import update
from runinference.testing.fakes import CountingHandler, FileModelHandler

WORKERS = pytest.mark.parametrize("workers", [None, 0, 2])


@pytest.fixture
def model(tmp_path):
    """Writes a model that multiplies with a number; returns its path."""

    def write(factor, name=None):
        path = tmp_path / (name or f"model-{factor}")
        path.write_text(str(factor))
        return str(path)

    return write


class Stream:
    """Rows that come one by one for as long as it is open."""

    def __init__(self, pause_s=0.001):
        self.pause_s, self.given, self.open = pause_s, 0, True

    def __iter__(self):
        for n in itertools.count(1):
            if not self.open:
                return
            time.sleep(self.pause_s)
            self.given = n
            yield n

    def wait_for(self, rows):
        target = self.given + rows
        until = time.monotonic() + 10
        while self.given < target:
            assert time.monotonic() < until, "the stream stands still"
            time.sleep(0.001)


class Consumer(threading.Thread):
    """Takes the results of a stream."""

    def __init__(self, engine, stream):
        super().__init__(daemon=True)
        self.engine, self.stream, self.results, self.error = engine, stream, [], None
        self.start()
        until = time.monotonic() + 10
        while not self.results:  # So that the first model is loaded.
            assert time.monotonic() < until, self.error
            time.sleep(0.001)

    def run(self):
        try:
            for result in self.engine.map(self.stream):
                self.results.append(result)
        except BaseException as error:
            self.error = error

    def end(self):
        self.stream.open = False
        self.join(10)
        assert not self.is_alive()
        assert self.error is None
        return self.results


def versions(results):
    """The models in the order in which they ran, each once for a run of rows."""
    return [os.path.basename(path) for path, _ in itertools.groupby(result.model_id for result in results)]


def check_rows(results, stream):
    """No row is lost, doubled or out of order, and each is what the model said that it names."""
    assert [result.example for result in results] == list(range(1, stream.given + 1))
    for result in results:
        assert result.inference == result.example * int(os.path.basename(result.model_id).partition("-")[2])


@WORKERS
def test_a_new_model_takes_over_between_two_batches(model, workers):
    handler = FileModelHandler(model(2), max_batch_size=8)
    stream = Stream()
    with Engine(handler, workers=workers) as engine:
        consumer = Consumer(engine, stream)
        stream.wait_for(50)
        assert engine.update_model(model(3)).result(10) == [model(3)]
        stream.wait_for(50)
        results = consumer.end()
        check_rows(results, stream)
        assert versions(results) == ["model-2", "model-3"]
        assert engine.metrics()["model_updates"] == 1
        assert engine.metrics()["failed_model_updates"] == 0
        assert engine.metrics()["load_model_latency_milli_secs_COUNT"] == 2


def test_fifty_models_in_a_row_leave_nothing_behind(model):
    handler = FileModelHandler(model(2), max_batch_size=4)
    stream = Stream(0.0005)
    with Engine(handler) as engine:
        consumer = Consumer(engine, stream)
        stream.wait_for(10)
        threads = None
        for factor in range(3, 53):
            engine.update_model(model(factor)).result(10)
            while versions(consumer.results[-1:]) != [f"model-{factor}"]:
                stream.wait_for(1)
            threads = threads or threading.active_count()
        assert threading.active_count() <= threads
        results = consumer.end()
        check_rows(results, stream)
        assert versions(results) == [f"model-{factor}" for factor in range(2, 53)]
        gc.collect()
        alive = [reference for reference in handler.log.models if reference() is not None]
        assert len(handler.log.models) == 51
        assert len(alive) <= 2  # The one that serves, and the one before until a batch has worked.
    gc.collect()
    assert [reference for reference in handler.log.models if reference() is not None] == []


def test_while_the_new_model_loads_the_old_one_serves(model):
    loading, go_on = threading.Event(), threading.Event()

    class Slow(FileModelHandler):
        def load_model(self):
            if self.get_model_id().endswith("3"):
                loading.set()
                assert go_on.wait(10)
            return super().load_model()

    stream = Stream()
    with Engine(Slow(model(2))) as engine:
        consumer = Consumer(engine, stream)
        stream.wait_for(10)
        updated = engine.update_model(model(3))
        assert loading.wait(10)
        before = len(consumer.results)
        stream.wait_for(100)
        assert len(consumer.results) > before + 50
        assert not updated.done()
        go_on.set()
        updated.result(10)
        stream.wait_for(20)
        check_rows(consumer.end(), stream)


@WORKERS
@pytest.mark.parametrize("content", ["", "half a numb", None])
def test_a_model_that_cannot_be_loaded_leaves_the_old_one_serving(model, workers, content, caplog):
    stream = Stream()
    broken = model(9)
    if content is None:
        os.remove(broken)
    else:
        with open(broken, "w") as file:
            file.write(content)
    with Engine(FileModelHandler(model(2)), workers=workers) as engine:
        consumer = Consumer(engine, stream)
        stream.wait_for(20)
        with pytest.raises(ModelLoadError):
            engine.update_model(broken).result(10)
        stream.wait_for(20)
        results = consumer.end()
        check_rows(results, stream)
        assert versions(results) == ["model-2"]
        assert engine.metrics()["failed_model_updates"] == 1
        assert engine.metrics()["model_updates"] == 0
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "model-9 does not work, so" in lines[0]
    assert "model-2 serves on: " in lines[0]


def test_a_model_that_fails_on_rows_that_worked_before_never_serves(model):
    stream = Stream()
    handler = FileModelHandler(model(2), bad={3: range(1, 10_000)})
    with Engine(handler) as engine:
        consumer = Consumer(engine, stream)
        stream.wait_for(20)
        with pytest.raises(ValueError, match="model 3 fails"):
            engine.update_model(model(3)).result(10)
        stream.wait_for(20)
        results = consumer.end()
        check_rows(results, stream)
        assert versions(results) == ["model-2"]
        assert engine.metrics()["failed_examples"] == 0


@WORKERS
def test_a_model_that_fails_on_its_first_batch_goes_and_the_old_one_runs_that_batch(model, workers, caplog):
    handler = FileModelHandler(model(2), bad={3: range(100, 10_000)}, max_batch_size=8)
    with Engine(handler, workers=workers) as engine:
        assert len(list(engine.map(range(1, 50)))) == 49
        engine.update_model(model(3)).result(10)
        results = list(engine.map(range(100, 200)))
        assert {result.model_id for result in results} == {model(2)}
        assert [result.inference for result in results] == [2 * n for n in range(100, 200)]
        assert engine.metrics()["failed_model_updates"] == 1
        assert engine.metrics()["failed_examples"] == 0
        assert {result.model_id for result in engine.map(range(1, 5))} == {model(2)}
    assert sum("does not work" in record.getMessage() for record in caplog.records) == 1


def test_rows_that_fail_on_both_models_are_no_reason_to_go_back(model):
    handler = FileModelHandler(model(2), bad={2: [7], 3: [7]}, max_batch_size=8)
    failures = []
    with Engine(handler, on_failure=failures.append) as engine:
        assert len(list(engine.map([1, 2]))) == 2
        engine.update_model(model(3)).result(10)
        assert list(engine.map([7])) == []
        assert {result.model_id for result in engine.map([1, 2, 7, 3])} == {model(3)}
    assert [failure.model_id for failure in failures] == [model(3), model(3)]


def test_a_model_with_the_wrong_number_of_predictions_goes_too(model):
    class Loses(FileModelHandler):
        def run_inference(self, batch, model, inference_args=None):
            results = super().run_inference(batch, model, inference_args)
            return results[1:] if int(model.weights[0]) == 3 and 100 in batch else results

    with Engine(Loses(model(2))) as engine:
        assert len(list(engine.map(range(5)))) == 5
        engine.update_model(model(3)).result(10)
        assert [result.inference for result in engine.map([100, 101])] == [200, 202]
        assert {result.model_id for result in engine.map([1])} == {model(2)}
    with Engine(Loses(model(2))) as engine:
        assert len(list(engine.map(range(5)))) == 5
        engine.update_model(model(3)).result(10)
        assert {result.model_id for result in engine.map([1])} == {model(3)}
        with pytest.raises(ModelFaultError, match="returned 1 predictions for a batch of 2"):
            list(engine.map([100, 101]))


def test_an_update_before_the_first_row_is_loaded_instead_of_the_first_model(model):
    handler = FileModelHandler(model(2))
    with Engine(handler) as engine:
        assert engine.update_model(model(3)).result(10) == [model(3)]
        assert handler.log.loads == 0
        assert {result.model_id for result in engine.map([1, 2])} == {model(3)}
        assert handler.log.loads == 1


def test_a_broken_update_before_the_first_row_falls_back_on_the_first_model(model, caplog):
    with Engine(FileModelHandler(model(2))) as engine:
        engine.update_model(model("broken")).result(10)
        assert {result.model_id for result in engine.map([1, 2])} == {model(2)}
        assert engine.metrics()["failed_model_updates"] == 1


def test_going_back_to_an_earlier_model_is_an_update_like_any_other(model):
    with Engine(FileModelHandler(model(2))) as engine:
        seen = []
        for factor in (2, 3, 2, 2, 3):
            engine.update_model(model(factor)).result(10)
            seen += [result.inference for result in engine.map([1])]
        assert seen == [2, 3, 2, 2, 3]


def test_several_updates_at_once_come_in_one_after_another(model):
    with Engine(FileModelHandler(model(2))) as engine:
        list(engine.map([1]))
        futures = [engine.update_model(model(factor)) for factor in (3, 4, 5)]
        assert [future.result(10) for future in futures] == [[model(factor)] for factor in (3, 4, 5)]
        assert [result.inference for result in engine.map([1])] == [5]
        assert engine.metrics()["model_updates"] == 3


def test_submitted_rows_run_on_the_new_model(model):
    with Engine(FileModelHandler(model(2))) as engine:
        assert engine.submit(5).result(10).inference == 10
        engine.update_model(model(3)).result(10)
        assert engine.submit(5).result(10).inference == 15


def test_where_both_do_not_fit_the_old_model_leaves_first(model, monkeypatch, caplog):
    monkeypatch.setattr(update, "fits", lambda num_bytes: False)
    most = []

    class Weighed(FileModelHandler):
        def load_model(self):
            loaded = super().load_model()
            gc.collect()
            most.append(sum(reference() is not None for reference in self.log.models))
            return loaded

    stream = Stream()
    with Engine(Weighed(model(2), max_batch_size=8)) as engine:
        consumer = Consumer(engine, stream)
        stream.wait_for(30)
        engine.update_model(model(3)).result(10)
        stream.wait_for(30)
        with pytest.raises(ModelLoadError):
            engine.update_model(model("broken")).result(10)
        stream.wait_for(30)
        results = consumer.end()
    check_rows(results, stream)
    assert versions(results) == ["model-2", "model-3"]
    assert max(most) == 1
    assert sum("not enough memory for two versions" in record.getMessage() for record in caplog.records) == 2


def test_a_new_model_that_runs_out_of_memory_beside_the_old_one_is_loaded_alone(model, caplog):
    class Large(FileModelHandler):
        def load_model(self):
            gc.collect()
            if any(reference() is not None for reference in self.log.models):
                raise MemoryError("no room for two")
            return super().load_model()

    with Engine(Large(model(2))) as engine:
        assert [result.inference for result in engine.map([1])] == [2]
        assert engine.update_model(model(3)).result(10) == [model(3)]
        assert [result.inference for result in engine.map([1])] == [3]
    assert "not enough memory for two versions" in caplog.text


def test_models_of_keys_are_exchanged_and_keys_that_shared_a_model_part(model):
    handler = KeyedModelHandler(
        [KeyModelMapping(["de", "at"], FileModelHandler(model(2))), KeyModelMapping(["fr"], FileModelHandler(model(3)))]
    )
    rows = [("de", 1), ("at", 1), ("fr", 1)]

    def said(engine):
        return [result.inference for _, result in engine.map(rows)]

    with Engine(handler) as engine:
        assert said(engine) == [2, 2, 3]
        engine.update_model([KeyModelPathMapping(["fr"], model(5))]).result(10)
        assert said(engine) == [2, 2, 5]
        ids = engine.update_model([KeyModelPathMapping(["at"], model(7), "austria")]).result(10)
        assert ids == ["austria"]
        assert said(engine) == [2, 7, 5]
        assert [result.model_id for _, result in engine.map(rows)][1] == "austria"
        engine.update_model([KeyModelPathMapping(["de"], model(11)), KeyModelPathMapping(["at"], model(13))]).result(10)
        assert said(engine) == [11, 13, 5]
        flat = engine.metrics().to_dict()
        assert (flat["de-model_updates"], flat["at-model_updates"], flat["fr-model_updates"]) == (1, 2, 1)


def test_keys_part_while_rows_are_running(model):
    handler = KeyedModelHandler([KeyModelMapping(list(range(4)), FileModelHandler(model(2), max_batch_size=4))])

    class Pairs(Stream):
        def __iter__(self):
            return ((n % 4, n) for n in super().__iter__())

    stream = Pairs()
    with Engine(handler) as engine:
        consumer = Consumer(engine, stream)
        stream.wait_for(40)
        engine.update_model([KeyModelPathMapping([1], model(3))]).result(10)
        stream.wait_for(40)
        engine.update_model([KeyModelPathMapping([0], model(5))]).result(10)
        stream.wait_for(40)
        results = consumer.end()
    check_rows([result for _, result in results], stream)
    last = {key: result.inference // result.example for key, result in results}
    assert last == {0: 5, 1: 3, 2: 2, 3: 2}


def test_models_of_an_ensemble_are_exchanged_by_name(model):
    ensemble = EnsembleModelHandler({"a": FileModelHandler(model(2)), "b": FileModelHandler(model(3))})
    with Engine(ensemble) as engine:
        engine.update_model([KeyModelPathMapping(["b"], model(5))]).result(10)
        (result,) = engine.map([1])
        assert (result["a"].inference, result["b"].inference) == (2, 5)


@pytest.mark.parametrize(
    ("handler", "new", "message"),
    [
        ("one", "", "by its path or URL, got ''"),
        ("one", [], "one model for all rows"),
        ("one", [KeyModelPathMapping(["a"], "x")], "one model for all rows"),
        ("keys", "x", "several models"),
        ("keys", [], "names no key"),
        ("keys", [KeyModelPathMapping([], "x")], "names no key"),
        ("keys", [KeyModelPathMapping(["a"], "")], "by its path or URL, got ''"),
        ("keys", [KeyModelPathMapping(["a"], None)], "by its path or URL, got None"),
        ("keys", [KeyModelPathMapping(["aa"], "x")], "names 'aa', for which there is no model. Did you mean 'a'"),
        ("keys", [KeyModelPathMapping(["a"], "x"), KeyModelPathMapping(["a"], "y")], "names 'a' twice"),
        ("fixed", "x", "CountingHandler cannot change its model"),
    ],
)
def test_updates_that_cannot_work_are_refused_at_once(model, handler, new, message):
    handlers = {
        "one": lambda: FileModelHandler(model(2)),
        "keys": lambda: KeyedModelHandler(
            [KeyModelMapping(["a"], FileModelHandler(model(2))), KeyModelMapping(["b"], FileModelHandler(model(3)))]
        ),
        "fixed": CountingHandler,
    }
    with Engine(handlers[handler]()) as engine, pytest.raises(ConfigurationError, match=message.replace(".", r"\.")):
        engine.update_model(new)


def test_a_closed_engine_takes_no_new_model_and_forgets_one_that_is_on_its_way(model):
    loading, go_on = threading.Event(), threading.Event()

    class Slow(FileModelHandler):
        def load_model(self):
            if self.get_model_id().endswith("3"):
                loading.set()
                assert go_on.wait(10)
            return super().load_model()

    handler = Slow(model(2))
    engine = Engine(handler)
    list(engine.map([1]))
    late = engine.update_model(model(3))
    assert loading.wait(10)
    later = engine.update_model(model(4))
    engine.close()
    go_on.set()
    with pytest.raises(EngineClosedError):
        later.result(10)
    late.exception(10)
    gc.collect()
    assert [reference for reference in handler.log.models if reference() is not None] == []
    with pytest.raises(EngineClosedError):
        engine.update_model(model(3))


def test_a_model_that_two_engines_share_stays_with_the_one_that_was_not_updated(model):
    handler = FileModelHandler(model(2))
    with Engine(handler) as one, Engine(handler) as other:
        assert [result.inference for result in [*one.map([1]), *other.map([1])]] == [2, 2]
        shared = weakref.ref(handler.log.models[0]())
        one.update_model(model(3)).result(10)
        assert [result.inference for result in [*one.map([1]), *other.map([1])]] == [3, 2]
        gc.collect()
        assert shared() is not None
    assert handler.log.loads == 2
