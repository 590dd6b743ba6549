"""What every handler must do, as tests that a handler's author inherits."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Unpack, cast

import numpy as np
import pytest

from runinference.engine.engine import Engine
from runinference.engine.local import infer
from runinference.errors import ConfigurationError, MissingDependencyError, RunInferenceError
from runinference.handler import ModelHandler, num_bytes
from runinference.keyed import KeyedModelHandler, KeyModelMapping, KeyModelPathMapping
from runinference.metrics import Metrics
from runinference.options import HandlerOptions
from runinference.prediction import Failure, PredictionResult


class HandlerContract:
    """Tests of a handler; a subclass named `Test…` says which one, with what rows and what predictions.

    ```python
    class TestMyHandler(HandlerContract):
        def handler(self, **options):
            return MyHandler("model.bin", **options)

        def examples(self, count):
            return [np.full(3, i, np.float32) for i in range(count)]

        def expected(self, examples):
            return [example.sum() for example in examples]
    ```
    """

    def handler(self, **options: Unpack[HandlerOptions]) -> ModelHandler[Any, PredictionResult, Any]:
        """A new handler with `options`, to be given."""
        raise NotImplementedError

    def examples(self, count: int) -> list[Any]:
        """`count` examples, to be given; the first ones are the same for every count."""
        raise NotImplementedError

    def expected(self, examples: Sequence[Any]) -> list[Any]:
        """The right prediction for each example, to be given."""
        raise NotImplementedError

    def bad_example(self) -> Any:
        """A row that fails alone and makes a batch with it fail."""
        return None

    def honoured_args(self) -> tuple[dict[str, Any], list[Any]] | None:
        """Arguments for the model and what it then predicts for `examples(3)`; `None` where it takes none."""
        return None

    def refused_args(self) -> dict[str, Any]:
        """Arguments that the model cannot take."""
        return {"no_such_argument": 1}

    def other_model(self) -> tuple[str, list[Any]] | None:
        """The file of another model and what it predicts for `examples(3)`; `None` where it cannot be changed."""
        return None

    def package(self) -> tuple[str, str] | None:
        """The package that the model needs and the extra that installs it; `None` where it needs none."""
        return None

    def bytes_of(self, example: Any) -> int:
        """The bytes that an example holds."""
        return num_bytes(example)

    def model_bytes(self) -> int:
        """At least so many bytes are in the parameters of the model."""
        return 1

    def assert_same(self, found: Sequence[Any], expected: Sequence[Any]) -> None:
        """Fails unless the predictions are equal, but for rounding."""
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _assert_same(one, other)

    def predict(self, handler: Any, examples: Any, **arguments: Any) -> list[Any]:
        """The predictions of `handler` for `examples`."""
        return [result.inference for result in infer(examples, handler, **arguments)]

    def test_the_model_loads_and_predicts_without_an_engine(self) -> None:
        """The two methods work by themselves."""
        handler, examples = self.handler(), self.examples(3)
        results = list(handler.run_inference(examples, handler.load_model()))
        self.assert_same([result.inference for result in results], self.expected(examples))

    @pytest.mark.parametrize("count", [1, 2, 300])
    def test_every_row_has_its_prediction_in_order(self, count: int) -> None:
        """Each result holds its own example, and they come as the rows went in."""
        examples = self.examples(count)
        results = list(infer(examples, self.handler()))
        self.assert_same([result.inference for result in results], self.expected(examples))
        assert all(result.example is example for result, example in zip(results, examples, strict=True))

    def test_no_rows_give_no_results(self) -> None:
        """An empty input is not an error."""
        assert list(infer([], self.handler())) == []

    def test_keys_come_back_on_their_predictions(self) -> None:
        """A keyed handler works around this one."""
        examples = self.examples(5)
        pairs = [(f"key {number}", example) for number, example in enumerate(examples)]
        results = list(infer(pairs, KeyedModelHandler(self.handler())))
        assert [key for key, _ in results] == [key for key, _ in pairs]
        self.assert_same([result.inference for _, result in results], self.expected(examples))

    def test_pre_and_post_processing_surround_the_model(self) -> None:
        """A step before sees the row, a step after sees the result."""
        examples = self.examples(5)
        handler = self.handler().with_preprocess_fn(lambda row: row["in"])
        handler = handler.with_postprocess_fn(lambda result: PredictionResult("seen", result.inference))
        results = list(infer([{"in": example} for example in examples], handler))
        assert {result.example for result in results} == {"seen"}
        self.assert_same([result.inference for result in results], self.expected(examples))

    def test_ready_made_batches_are_run_as_they_are(self) -> None:
        """Each element of the input is a batch."""
        examples = self.examples(7)
        found = self.predict(self.handler().with_no_batching(), [examples[:4], examples[4:5], examples[5:]])
        self.assert_same(found, self.expected(examples))

    def test_inference_args_reach_the_model(self) -> None:
        """They change the predictions as they should."""
        case = self.honoured_args()
        if case is None:
            pytest.skip("the model takes no inference_args")
        arguments, expected = case
        self.assert_same(self.predict(self.handler(), self.examples(3), inference_args=arguments), expected)

    def test_inference_args_that_the_model_cannot_take_are_refused(self) -> None:
        """They are not swallowed."""
        with pytest.raises(RunInferenceError, match=next(iter(self.refused_args()))):
            self.predict(self.handler(), self.examples(3), inference_args=self.refused_args())

    def test_a_bad_row_is_set_aside_alone(self) -> None:
        """The rows around it have their predictions."""
        examples = self.examples(6)
        rows = [*examples[:3], self.bad_example(), *examples[3:]]
        failures: list[Failure] = []
        found = self.predict(self.handler(), rows, on_failure=failures.append)
        assert [(failure.index, failure.stage) for failure in failures] == [(3, "inference")]
        self.assert_same(found, self.expected(examples))

    def test_a_batch_has_the_bytes_of_its_examples(self) -> None:
        """Real bytes, without any overhead of Python or pickle."""
        examples = self.examples(5)
        assert self.handler().get_num_bytes(examples) == sum(map(self.bytes_of, examples))

    def test_the_bytes_of_the_model_are_measured(self) -> None:
        """The size of the parameters is in the metrics."""
        metrics = Metrics()
        list(infer(self.examples(1), self.handler(), metrics=metrics))
        measured = metrics.snapshot()["model_byte_size_MAX"]
        assert isinstance(measured, (int, float))
        assert self.model_bytes() <= measured < 100 * self.model_bytes() + 1_000_000

    def test_every_result_says_which_model_it_is_from(self) -> None:
        """The `model_id` is that of the handler, and there is one."""
        handler = self.handler()
        assert handler.get_model_id() is not None
        assert {result.model_id for result in infer(self.examples(9), handler)} == {handler.get_model_id()}

    def test_the_model_can_be_replaced_or_says_that_it_cannot(self) -> None:
        """The same model is never loaded again in the belief that it is another."""
        handler, case = self.handler(), self.other_model()
        if case is None:
            with pytest.raises(ConfigurationError, match="cannot change its model"):
                handler.update_model_path("another.model")
            return
        path, expected = case
        self.assert_same(self.predict(handler, self.examples(3)), self.expected(self.examples(3)))
        handler.update_model_path(path)
        results = list(infer(self.examples(3), handler))
        self.assert_same([result.inference for result in results], expected)
        assert {result.model_id for result in results} == {path}

    def test_the_model_is_exchanged_while_the_engine_runs(self) -> None:
        """From then on results are the other model's, and carry the name that the update gave it."""
        handler, case = KeyedModelHandler([KeyModelMapping(["key"], self.handler())]), self.other_model()
        if case is None:
            pytest.skip("the handler cannot change its model")
        path, expected = case
        rows = [("key", example) for example in self.examples(3)]
        with Engine(handler) as engine:
            before = [result.inference for _, result in engine.map(rows)]
            self.assert_same(before, self.expected(self.examples(3)))
            engine.update_model([KeyModelPathMapping(["key"], path, "the other")]).result()
            results = [result for _, result in engine.map(rows)]
        self.assert_same([result.inference for result in results], expected)
        assert {result.model_id for result in results} == {"the other"}

    def test_two_copies_run_side_by_side(self) -> None:
        """Each row is predicted once, by one or the other."""
        examples = self.examples(9)
        handler = self.handler(model_copies=2, max_batch_size=2)
        self.assert_same(self.predict(handler, examples), self.expected(examples))

    def test_a_package_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error says what to type."""
        case = self.package()
        if case is None:
            pytest.skip("the model needs no package")
        package, extra = case
        monkeypatch.setitem(sys.modules, package, None)
        text = rf'{package} is needed.*pip install "runinference\[{extra}\]"'
        with pytest.raises(MissingDependencyError, match=text):
            self.handler().load_model()

    def test_the_handler_pickles_before_it_loads(self) -> None:
        """It can be sent to another process."""
        examples = self.examples(3)
        handler = pickle.loads(pickle.dumps(self.handler(max_batch_size=2)))
        self.assert_same(self.predict(handler, examples), self.expected(examples))

    def test_a_misspelt_option_is_refused(self) -> None:
        """The error names the closest option."""
        with pytest.raises(ConfigurationError, match=r"'max_batch_sise'.*Did you mean 'max_batch_size'"):
            cast(Any, self.handler)(max_batch_sise=4)

    def test_the_batch_size_is_respected(self) -> None:
        """The base class gets the options."""
        metrics = Metrics()
        list(infer(self.examples(10), self.handler(min_batch_size=4, max_batch_size=4), metrics=metrics))
        snapshot = metrics.snapshot()
        assert (snapshot["batch_size_COUNT"], snapshot["batch_size_MAX"]) == (3, 4)

    def test_results_stay_the_same_after_later_batches(self) -> None:
        """No buffer is used again for the next batch."""
        examples = self.examples(32)
        results = infer(examples, self.handler(min_batch_size=4, max_batch_size=4))
        first = [next(results) for _ in range(4)]
        before = copy.deepcopy([result.inference for result in first])
        assert len(list(results)) == 28
        self.assert_same([result.inference for result in first], before)

    def test_a_pickled_result_does_not_carry_its_batch(self) -> None:
        """Its size does not grow with the batch that it was made in."""
        alone = next(iter(infer(self.examples(1), self.handler())))
        of_many = next(iter(infer(self.examples(512), self.handler(min_batch_size=512, max_batch_size=512))))
        assert len(pickle.dumps(of_many)) <= len(pickle.dumps(alone)) + 64


def _assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, Mapping):
        assert list(found) == list(expected)
        for name in expected:
            _assert_same(found[name], expected[name])
    elif isinstance(expected, (list, tuple)):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _assert_same(one, other)
    elif isinstance(expected, (float, np.floating)) or hasattr(expected, "shape"):
        assert np.shape(found) == np.shape(expected)
        # A batch of another size adds up 32-bit numbers in another order, which shows so much in sums of about 1.
        np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-5, atol=5e-6)
    else:
        assert found == expected
