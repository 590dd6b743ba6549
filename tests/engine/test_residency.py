"""Which of many models are in memory: no more than allowed, none for ever, none while it is used."""

import threading
import time

import pytest

from runinference import Engine, EngineClosedError, KeyedModelHandler, KeyModelMapping, Metrics, infer
from runinference.models.residency import Residency
from runinference.testing.fakes import CountingHandler


class Model:
    """Takes note of what is done to it."""

    def __init__(self, num_bytes=None, log=None, load_s=0.0, error=None):
        self.num_bytes = None
        self.known_after_load = num_bytes
        self.log = [] if log is None else log
        self.load_s, self.error = load_s, error
        self.loaded = False

    def load(self):
        if self.error is not None:
            raise self.error
        if self.loaded:
            return 0.0
        self.log.append(("load", self))
        self.num_bytes, self.loaded = self.known_after_load, True
        return self.load_s

    def evict(self):
        self.log.append(("evict", self))
        self.loaded = False


def test_the_least_recently_used_model_makes_room():
    residency, log = Residency(2, None), []
    a, b, c = (Model(log=log) for _ in range(3))
    for model in (a, b, a, c):
        residency.enter(model)
        residency.leave(model)
    assert [(what, model) for what, model in log] == [("load", a), ("load", b), ("evict", b), ("load", c)]
    assert len(residency) == 2


def test_a_model_in_use_never_leaves_and_who_waits_for_it_gets_in_when_it_is_done(in_time):
    residency = Residency(1, None)
    a, b = Model(), Model()
    residency.enter(a)
    entered = threading.Event()

    def enter():
        residency.enter(b)
        entered.set()

    threading.Thread(target=enter, daemon=True).start()
    assert not entered.wait(0.05)
    assert a.loaded
    assert residency.should_leave(a)
    residency.leave(a)
    assert entered.wait(10)
    assert not a.loaded


def test_who_is_waited_for_may_stay_as_long_as_loading_took():
    residency = Residency(1, None)
    a, b = Model(load_s=1000.0), Model()
    residency.enter(a)
    thread = threading.Thread(target=lambda: residency.enter(b), daemon=True)
    thread.start()
    time.sleep(0.02)
    assert not residency.should_leave(a)
    residency.leave(a)
    thread.join(10)
    assert not residency.should_leave(b)  # Nobody waits.


def test_bytes_are_counted_once_they_are_known():
    residency, log = Residency(None, 100), []
    a, b, c = Model(40, log), Model(40, log), Model(90, log)
    for model in (a, b, c):
        residency.enter(model)
        residency.leave(model)
    assert [what for what, _ in log] == ["load", "load", "evict", "load", "evict"]
    assert len(residency) == 1
    log.clear()
    residency.enter(a)
    assert log == [("evict", c), ("load", a)]


def test_a_model_that_is_larger_than_the_limit_runs_alone():
    residency = Residency(None, 100)
    small, large = Model(60), Model(1000)
    for model in (small, large, small):
        residency.enter(model)
        residency.leave(model)
        assert len(residency) == 1
    assert small.loaded
    assert not large.loaded


def test_a_load_that_fails_leaves_room_for_others():
    residency = Residency(1, None)
    with pytest.raises(OSError, match="gone"):
        residency.enter(Model(error=OSError("gone")))
    assert len(residency) == 0
    residency.enter(Model())


def test_nobody_waits_for_a_place_that_never_comes():
    residency = Residency(1, None)
    residency.enter(Model())
    errors = []

    def enter():
        try:
            residency.enter(Model())
        except EngineClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    time.sleep(0.02)
    residency.close()
    thread.join(10)
    assert len(errors) == 1


class Weighed(CountingHandler):
    """Knows how many of its kind are in memory."""

    def __init__(self, loaded, load_s=0.0, **options):
        super().__init__(**options)
        self.loaded, self.load_s = loaded, load_s

    def load_model(self):
        time.sleep(self.load_s)
        model = super().load_model()
        with self.loaded.lock:
            self.loaded.references.append(self.log.models[-1])
            alive = sum(reference() is not None for reference in self.loaded.references)
            self.loaded.most = max(self.loaded.most, alive)
        return model


class Loaded:
    def __init__(self):
        self.lock, self.references, self.most = threading.Lock(), [], 0


def keyed(models, loaded, load_s=0.0, limit=2, **options):
    return KeyedModelHandler(
        [KeyModelMapping([key], Weighed(loaded, load_s, **options)) for key in range(models)],
        max_models_per_worker_hint=limit,
    )


@pytest.mark.parametrize("workers", [None, 0, 2])
def test_no_more_models_than_allowed_are_in_memory_and_no_row_is_lost(workers):
    loaded = Loaded()
    rows = [(n * 7 % 5, n) for n in range(5000)]
    metrics = Metrics()
    with Engine(keyed(5, loaded, max_batch_size=20), workers=workers, metrics=metrics) as engine:
        results = list(engine.map(rows))
        assert 0 < engine.metrics()["models_in_memory"] <= 2
    assert [(key, result.example) for key, result in results] == rows
    assert loaded.most <= 2
    flat = metrics.snapshot().to_dict()
    assert flat["model_evictions"] >= 3
    assert flat["model_reloads"] == flat["load_model_latency_milli_secs_COUNT"] - 5
    assert sum(flat[f"{key}-model_reloads"] for key in range(5)) == flat["model_reloads"]


def test_models_that_all_fit_are_loaded_once():
    loaded = Loaded()
    metrics = Metrics()
    rows = [(n % 3, n) for n in range(3000)]
    list(infer(rows, keyed(3, loaded, limit=3, max_batch_size=20), metrics=metrics))
    flat = metrics.snapshot().to_dict()
    assert (flat["model_evictions"], flat["model_reloads"], len(loaded.references)) == (0, 0, 3)


def test_models_that_take_long_to_load_are_not_exchanged_for_every_batch():
    loaded = Loaded()
    metrics = Metrics()
    rows = [(n % 4, n) for n in range(4000)]
    list(infer(rows, keyed(4, loaded, load_s=0.02, limit=1, max_batch_size=10, min_batch_size=10), metrics=metrics))
    assert metrics.snapshot()["inference_calls"] == 400
    assert len(loaded.references) <= 200


def test_other_models_run_while_one_is_loaded(in_time):
    loading, others_ran = threading.Event(), threading.Event()

    class Slow(CountingHandler):
        def load_model(self):
            loading.set()
            assert others_ran.wait(10)
            return super().load_model()

    class Quick(CountingHandler):
        def before(self, batch):
            if loading.is_set():
                others_ran.set()

    handler = KeyedModelHandler(
        [KeyModelMapping(["slow"], Slow()), KeyModelMapping(["quick"], Quick(max_batch_size=5))],
        max_models_per_worker_hint=2,
    )

    def rows():
        yield "slow", 0
        while not others_ran.is_set():
            yield "quick", 1
            time.sleep(0.001)

    assert len(in_time(lambda: list(infer(rows(), handler)))) >= 2


def test_a_limit_of_bytes_is_kept(in_time):
    class Heavy(CountingHandler):
        def get_model_bytes(self, model):
            return 400

    handler = KeyedModelHandler(
        [KeyModelMapping([key], Heavy(max_batch_size=10)) for key in range(4)], max_model_bytes=1000
    )
    with Engine(handler) as engine:
        assert len(in_time(lambda: list(engine.map([(n % 4, n) for n in range(400)])))) == 400
        assert engine.metrics()["models_in_memory"] <= 2
        assert engine.metrics()["model_evictions"] >= 2
