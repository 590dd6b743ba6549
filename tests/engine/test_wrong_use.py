"""What cannot work is refused at once, with words that help."""

import numpy as np
import pytest

from runinference import ConfigurationError, Engine, ModelHandler, ModelLoadError, infer
from runinference.testing.fakes import CountingHandler

pytestmark = pytest.mark.core


class Duck:
    """Two methods and nothing else, as a handler of another library."""

    def load_model(self):
        return 3

    def run_inference(self, batch, model, inference_args=None):
        return [row * model + (inference_args or {}).get("plus", 0) for row in batch]


class Bare(Duck):
    def run_inference(self, batch, model):
        return [row * model for row in batch]


@pytest.mark.parametrize("workers", [0, 2, None])
@pytest.mark.parametrize("handler", [Duck(), Bare()])
def test_a_handler_needs_no_base_class(handler, workers):
    assert list(infer(range(50), handler, workers=workers)) == [3 * row for row in range(50)]


def test_failures_of_such_a_handler_are_set_aside_too():
    failures = []
    assert list(infer([1, None, 3], Duck(), on_failure=failures.append)) == [3, 9]
    assert (failures[0].index, failures[0].model_id) == (1, None)


def test_a_handler_need_not_call_super():
    class Forgets(ModelHandler):
        def __init__(self, factor):
            self.factor = factor

        def load_model(self):
            return self.factor

        def run_inference(self, batch, model, inference_args=None):
            return [row * model for row in batch]

    assert list(infer([1, 2], Forgets(4).with_postprocess_fn(str))) == ["4", "8"]


def test_inference_args_reach_the_handler():
    assert list(infer([1], Duck(), inference_args={"plus": 10})) == [13]


def test_inference_args_that_the_handler_cannot_take_are_refused():
    with pytest.raises(ConfigurationError, match=r"Bare.run_inference takes no inference_args, but got \{'a': 1\}"):
        infer([1], Bare(), inference_args={"a": 1})


def test_inference_args_may_be_taken_by_keyword_only():
    class Keyword(Duck):
        def run_inference(self, batch, model, *, inference_args=None):
            return [inference_args["plus"] for _ in batch]

    assert list(infer([1], Keyword(), inference_args={"plus": 10})) == [10]


def test_each_call_has_a_copy_of_the_inference_args():
    class Pops(Duck):
        def run_inference(self, batch, model, inference_args=None):
            plus = inference_args.pop("plus")
            return [row + plus for row in batch]

    given = {"plus": 1}
    results = infer(range(100), with_size(Pops(), 8), inference_args=given)
    assert list(results) == list(range(1, 101))
    assert given == {"plus": 1}


def with_size(handler, size):
    handler.batch_elements_kwargs = lambda: {"min_batch_size": size, "max_batch_size": size}
    return handler


def test_options_in_the_names_of_beam_are_honoured():
    class Sizes(Duck):
        def run_inference(self, batch, model, inference_args=None):
            return [len(batch)] * len(batch)

    assert list(infer(range(5), with_size(Sizes(), 3))) == [3, 3, 3, 2, 2]


def test_an_unknown_option_of_such_a_handler_is_refused():
    handler = Duck()
    handler.batch_elements_kwargs = lambda: {"max_batchsize": 3}
    with pytest.raises(ConfigurationError, match=r"Duck has no option 'max_batchsize'\. Did you mean 'max_batch_size'"):
        infer([1], handler)


@pytest.mark.parametrize("missing", ["load_model", "run_inference"])
def test_what_lacks_a_method_is_no_handler(missing):
    methods = {"load_model": lambda self: 1, "run_inference": lambda self, b, m: b}
    methods.pop(missing)
    with pytest.raises(ConfigurationError, match=rf"Half is not a model handler: it has no method {missing}\(\)"):
        infer([1], type("Half", (), methods)())


def test_a_class_instead_of_a_handler_is_noticed():
    with pytest.raises(ConfigurationError, match=r"CountingHandler is a class; pass an instance: CountingHandler\(…\)"):
        infer([1], CountingHandler)


@pytest.mark.parametrize("examples", ["text", b"bytes", {"a": 1}, 5, None])
def test_what_is_not_rows_is_refused(examples):
    with pytest.raises(ConfigurationError, match="examples must be an iterable of rows, got"):
        infer(examples, CountingHandler())


def test_an_array_without_rows_is_refused():
    with pytest.raises(ConfigurationError, match="examples must be an iterable of rows"):
        list(infer(np.array(5), CountingHandler()))


@pytest.mark.parametrize("argument", ["on_failure", "progress"])
def test_what_is_to_be_called_must_be_a_function(argument):
    with pytest.raises(ConfigurationError, match=f"{argument} must be a function, got 'text'"):
        Engine(CountingHandler(), **{argument: "text"})


@pytest.mark.parametrize("workers", [0, 2, None])
def test_a_model_that_cannot_be_loaded_is_one_error(workers):
    class Absent(CountingHandler):
        def load_model(self):
            raise FileNotFoundError("model.bin")

    failures = []
    with pytest.raises(
        ModelLoadError, match=r"Absent could not load its model: FileNotFoundError: model.bin"
    ) as raised:
        list(infer([1, 2], Absent(), on_failure=failures.append, workers=workers))
    assert isinstance(raised.value.__cause__, FileNotFoundError)
    assert failures == []


def test_the_environment_is_set_before_the_model_is_loaded(monkeypatch):
    import os

    monkeypatch.setenv("FAKE_DEVICES", "before")

    class Looks(CountingHandler):
        def load_model(self):
            self.seen = os.environ["FAKE_DEVICES"]
            return super().load_model()

    handler = Looks(env_vars={"FAKE_DEVICES": "0,1"})
    list(infer([1], handler))
    assert handler.seen == "0,1"
