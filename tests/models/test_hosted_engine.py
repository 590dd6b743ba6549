"""An engine whose model other processes hold."""

import os
import threading

import hosted_handlers as handlers
import pytest
from hosted_world import ON_LINUX, a_world

from runinference import ConfigurationError, Engine, KeyedModelHandler, KeyModelMapping
from runinference.handler import ModelHandler

pytestmark = ON_LINUX


@pytest.fixture
def world(monkeypatch):
    with a_world(monkeypatch) as world:
        yield world


class Careful(handlers.Shared):
    """Doubles numbers; dies of -1, hangs on -2 and refuses -3."""

    def run_inference(self, batch, model, inference_args=None):
        if -1 in batch:
            os._exit(7)
        if -2 in batch:
            threading.Event().wait()
        if -3 in batch:
            raise ValueError("minus three")
        return super().run_inference(batch, model, inference_args)


def test_the_model_runs_in_another_process_which_ends_with_the_engine(world):
    handler = handlers.Hosted(world.folder)
    with Engine(handler, hosted_as="model") as engine:
        results = list(engine.map(range(100)))
        assert [value for value, _ in results] == [2 * row for row in range(100)]
        assert {pid for _, pid in results} == set(handler.loads())
        assert os.getpid() not in handler.loads()
        assert engine.metrics()["model_byte_size_MAX"] == 8000
    world.wait_until_nothing_is_left()


def test_engines_that_say_the_same_share_it(world):
    handler = handlers.Hosted(world.folder)
    with Engine(handler, hosted_as="model") as one, Engine(handlers.Hosted(world.folder), hosted_as="model") as other:
        assert list(one.map([1])) == list(other.map([1]))
    assert len(handler.loads()) == 1


def test_copies_run_at_the_same_time_each_in_a_process(world):
    handler = handlers.Meeting(world.folder, model_copies=2, max_batch_size=1)
    with Engine(handler, hosted_as="model") as engine:
        assert set(engine.map(range(2))) == set(handler.loads())
    assert len(handler.loads()) == 2


@pytest.mark.parametrize(
    ("bad", "error_type", "options"),
    [
        (-1, "ModelProcessDiedError", {}),
        (-2, "InferenceTimeoutError", {"timeout_s": 2.0}),
        (-3, "ValueError", {}),
    ],
    ids=["dies", "hangs", "raises"],
)
def test_a_row_on_which_its_process_fails_is_set_aside_alone(world, bad, error_type, options):
    failures = []
    engine = Engine(Careful(world.folder), hosted_as="model", on_failure=failures.append, **options)
    with engine:
        results = list(engine.map([1, bad, 3]))
    assert [value for value, _ in results] == [2, 6]
    assert [failure.example for failure in failures] == [bad]
    assert failures[0].error_type.endswith(error_type)


def test_another_version_takes_over(world):
    handler = Versioned("first")
    with Engine(handler, hosted_as="model") as engine:
        assert list(engine.map([0])) == ["first"]
        engine.update_model("second").result(60)
        assert list(engine.map([0])) == ["second"]


class Versioned(ModelHandler):
    """Answers with the path of its model."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def load_model(self):
        return self.path

    def run_inference(self, batch, model, inference_args=None):
        return [model for _ in batch]

    def get_model_id(self):
        return self.path

    def update_model_path(self, model_path=None):
        self.path = model_path or self.path


class Nameless(Versioned):
    """Does not say which model it has, as handlers that were written for Beam."""

    get_model_id = ModelHandler.get_model_id


def test_another_version_of_a_model_without_a_name_takes_over(world):
    with Engine(Nameless("first"), hosted_as="model") as engine:
        assert list(engine.map([0])) == ["first"]
        engine.update_model("second").result(60)
        assert list(engine.map([0])) == ["second"]


def test_of_several_models_those_are_held_that_a_function_names(world):
    shared, own = handlers.Shared(world.folder), handlers.Shared(world.folder)
    keyed = KeyedModelHandler([KeyModelMapping(["shared"], shared), KeyModelMapping(["own"], own)])
    with Engine(keyed, hosted_as=lambda handler: "model" if handler is shared else None) as engine:
        (_, (_, elsewhere)), (_, (_, here)) = engine.map([("shared", 1), ("own", 1)])
    assert here == os.getpid() != elsewhere


def test_a_handler_that_cannot_be_sent_is_refused(world):
    handler = handlers.Shared(world.folder)
    handler.lock = threading.Lock()
    with Engine(handler, hosted_as="model") as engine, pytest.raises(ConfigurationError, match="pickle"):
        list(engine.map([1]))


def test_an_empty_name_is_refused():
    with pytest.raises(ConfigurationError, match="hosted_as must be a text"):
        Engine(Versioned("first"), hosted_as="")
