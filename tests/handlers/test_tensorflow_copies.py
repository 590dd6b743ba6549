"""Several copies of a TensorFlow model at the same time."""

import keras
import numpy as np
import pytest

from runinference import ModelType, TFModelHandlerNumpy, TFModelHandlerTensor, infer

# Keras itself hands numpy an object without the newer form of __array__ when it writes a model.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
WEIGHTS = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)


@keras.saving.register_keras_serializable("tests")
class Shifts(keras.layers.Layer):
    """Adds 100 in training."""

    def call(self, x, training=False):
        return x + 100 if training else x


def make_model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False), Shifts()])


@pytest.fixture(scope="module")
def handlers(tmp_path_factory):
    """A handler for every kind of file."""
    folder = tmp_path_factory.mktemp("models")
    model = make_model()
    model.set_weights([WEIGHTS])
    model.save(folder / "model.keras")
    model.export(folder / "saved", verbose=False)
    model.save_weights(folder / "model.weights.h5")
    weights = (str(folder / "model.weights.h5"), ModelType.SAVED_WEIGHTS, make_model)
    return {
        "keras": lambda **options: TFModelHandlerNumpy(str(folder / "model.keras"), **options),
        "saved model": lambda **options: TFModelHandlerTensor(str(folder / "saved"), **options),
        "weights": lambda **options: TFModelHandlerNumpy(*weights, **options),
    }


ALL = pytest.mark.parametrize("name", ["keras", "saved model", "weights"])


def rows(count, seed):
    return list(np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32))


@ALL
def test_two_copies_run_at_the_same_time(handlers, name, side_by_side):
    batches = [rows(7, 0), rows(4, 1)]
    for batch, rounds in zip(batches, side_by_side(handlers[name](), batches, times=8), strict=True):
        for found in rounds:
            np.testing.assert_allclose(np.array(found), np.array(batch) @ WEIGHTS, rtol=1e-5, atol=1e-6)


def test_two_copies_may_have_arguments_of_their_own(handlers, side_by_side):
    arguments = [{"training": True}, {"training": False}]
    found = side_by_side(handlers["keras"](), [rows(4, 0)] * 2, arguments, times=8)
    for shift, rounds in zip((100, 0), found, strict=True):
        for each in rounds:
            np.testing.assert_allclose(each, np.array(rows(4, 0)) @ WEIGHTS + shift, rtol=1e-5, atol=1e-5)


@ALL
def test_an_engine_with_two_copies_predicts_what_one_does(handlers, name):
    found = [np.asarray(result.inference) for result in infer(rows(300, 0), handlers[name](model_copies=2))]
    np.testing.assert_allclose(found, np.array(rows(300, 0)) @ WEIGHTS, rtol=1e-5, atol=1e-6)
