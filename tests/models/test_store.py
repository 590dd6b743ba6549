"""Loaded models: once, shared, and gone with their last user."""

import gc
import multiprocessing
import os
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from runinference import ConfigurationError, ModelLoadError
from runinference.models.lease import ModelLease
from runinference.models.store import Loaded, ModelStore
from runinference.testing.fakes import CountingHandler, FakeModel

pytestmark = pytest.mark.core


def nothing(loaded):
    pass


def test_many_threads_load_once():
    store, loads, told = ModelStore(), [], []
    ready = threading.Barrier(32)

    def load():
        loads.append(1)
        time.sleep(0.05)
        return object()

    def user(_):
        ready.wait(10)
        return store.acquire("key", load, told.append).model

    with ThreadPoolExecutor(32) as pool:
        models = set(map(id, pool.map(user, range(32))))
    assert (len(models), len(loads), len(told), len(store)) == (1, 1, 1, 1)
    assert told[0].load_s >= 0.05


def test_other_keys_do_not_wait():
    store, slow = ModelStore(), threading.Event()

    def load_slowly():
        assert slow.wait(30)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.acquire, "slow", load_slowly, nothing)
        assert store.acquire("quick", lambda: "quick", nothing).model == "quick"
        assert not waiting.done()
        slow.set()
        assert waiting.result(10).model == "slow"


def test_the_last_user_lets_go():
    store = ModelStore()
    loaded = store.acquire("key", FakeModel, nothing)
    model = weakref.ref(loaded.model)
    assert store.acquire("key", FakeModel, nothing) is loaded
    store.release("key", loaded)
    assert len(store) == 1
    store.release("key", loaded)
    del loaded
    gc.collect()
    assert (model(), len(store)) == (None, 0)


def test_a_discarded_model_is_given_to_nobody_and_its_release_does_not_touch_the_next():
    store = ModelStore()
    hung = store.acquire("key", FakeModel, nothing)
    store.discard("key", hung)
    fresh = store.acquire("key", FakeModel, nothing)
    assert fresh.model is not hung.model
    store.release("key", hung)
    store.discard("key", hung)
    assert store.acquire("key", FakeModel, nothing) is fresh


@pytest.mark.parametrize("model", [{"a": 1}, (1, 2), [3], None, 0, "text", {1}])
def test_any_object_may_be_a_model(model):
    store = ModelStore()
    assert store.acquire("key", lambda: model, nothing).model is model
    assert store.acquire("key", lambda: "another", nothing).model is model


def test_a_failed_load_is_not_remembered():
    store = ModelStore()
    with pytest.raises(OSError, match="gone"):
        store.acquire("key", fail, nothing)
    assert len(store) == 0
    assert store.acquire("key", lambda: 5, nothing).model == 5


def fail():
    raise OSError("gone")


def test_who_waits_for_a_load_that_fails_tries_again():
    store, first, tried = ModelStore(), threading.Event(), []

    def load():
        tried.append(1)
        if len(tried) == 1:
            assert first.wait(30)
            raise OSError("gone")
        return "second"

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(store.acquire, "key", load, nothing)
        while not tried:
            time.sleep(0.001)
        other = pool.submit(store.acquire, "key", load, nothing)
        first.set()
        assert isinstance(one.exception(10), OSError)
        assert other.result(10).model == "second"
    assert len(store) == 1


def test_releasing_what_nobody_has_is_harmless():
    store = ModelStore()
    store.release("key", Loaded(model=1, load_s=0.0))
    assert len(store) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_starts_with_an_empty_store():
    store = ModelStore()
    store.acquire("key", lambda: "of the parent", nothing)
    with store._lock:  # Held by another thread of the parent at the moment of the fork.
        context = multiprocessing.get_context("fork")
        receive, send = context.Pipe(duplex=False)
        child = context.Process(target=in_child, args=(store, send))
        child.start()
    assert receive.poll(30), "the child hangs"
    assert receive.recv() == (0, "of the child")
    child.join(30)
    assert store.acquire("key", lambda: "again", nothing).model == "of the parent"


def in_child(store, send):
    before = len(store)
    send.send((before, store.acquire("key", lambda: "of the child", nothing).model))


def test_a_lease_loads_at_first_need_and_only_once():
    handler, store = CountingHandler(), ModelStore()
    lease = ModelLease(handler, store, nothing)
    assert handler.log.loads == 0
    assert lease.model() is lease.model()
    assert handler.log.loads == 1
    lease.release()
    lease.release()
    assert len(store) == 0
    lease.model()
    assert handler.log.loads == 2


def test_errors_of_ours_pass_and_others_say_which_handler():
    class Absent(CountingHandler):
        def load_model(self):
            raise self.error

    handler = Absent()
    handler.error = ConfigurationError("as it is")
    with pytest.raises(ConfigurationError, match="as it is"):
        ModelLease(handler, ModelStore(), nothing).model()
    handler.error = KeyError("layer.1")
    with pytest.raises(ModelLoadError, match=r"Absent could not load its model: KeyError: 'layer.1'"):
        ModelLease(handler, ModelStore(), nothing).model()
