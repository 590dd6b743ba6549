"""The TensorFlow handlers keep the contract of handlers, with real models of every kind of file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from runinference import ConfigurationError, ModelType, PredictionResult, TFModelHandlerNumpy, TFModelHandlerTensor
from runinference.testing.handler_contract import HandlerContract

# Keras itself hands numpy an object without the newer form of __array__ when it writes a model.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@keras.saving.register_keras_serializable("tests")
class Shift(keras.layers.Layer):
    """Adds 100 in training."""

    def call(self, x, training=False):
        return x + 100 if training else x


def make_model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), Shift()])


def made(seed):
    model = make_model()
    model.set_weights([np.random.default_rng(seed).normal(size=w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every kind of file, of two models that differ in their weights only."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        model = made(seed)
        model.save(folder / f"{seed}.keras")
        model.export(folder / f"{seed}", verbose=False)
        model.save_weights(folder / f"{seed}.weights.h5")
        tf.train.Checkpoint(model).write(str(folder / f"{seed}.checkpoint"))
    return folder


class KerasFile(HandlerContract):
    """Rows as arrays of three features, and a `.keras` file."""

    suffix = ".keras"

    @pytest.fixture(autouse=True)
    def files(self, folder):
        self.folder = folder
        self.weights = [np.asarray(weight) for weight in made(0).get_weights()]

    def path(self, seed=0):
        return f"{self.folder / str(seed)}{self.suffix}"

    def handler(self, **options):
        return TFModelHandlerNumpy(self.path(), **options)

    def examples(self, count):
        return list(np.random.default_rng(1).normal(size=(count, 3)))

    def expected(self, examples):
        return self.rows(made(0), examples)

    def rows(self, model, examples):
        kernel, bias = model.get_weights()
        return list(np.float32(np.array(examples, np.float32) @ kernel + bias))

    def honoured_args(self):
        return {"training": True}, [row + 100 for row in self.expected(self.examples(3))]

    def bytes_of(self, example):
        return 24

    def model_bytes(self):
        return 32

    def other_model(self):
        return self.path(1), self.rows(made(1), self.examples(3))

    def package(self):
        return "tensorflow", "tensorflow"


class TestNumpyKerasFile(KerasFile):
    pass


class TestNumpySavedModel(KerasFile):
    suffix = ""

    def honoured_args(self):
        return None


class TestNumpyWeights(KerasFile):
    suffix = ".weights.h5"

    def handler(self, **options):
        return TFModelHandlerNumpy(self.path(), ModelType.SAVED_WEIGHTS, make_model, **options)


class TestTensorCheckpoint(KerasFile):
    suffix = ".checkpoint"

    def handler(self, **options):
        return TFModelHandlerTensor(self.path(), ModelType.SAVED_WEIGHTS, make_model, **options)

    def examples(self, count):
        return [tf.constant(row, tf.float32) for row in super().examples(count)]

    def expected(self, examples):
        return list(map(tf.constant, super().expected([example.numpy() for example in examples])))

    def other_model(self):
        path, expected = self.path(1), self.rows(made(1), [example.numpy() for example in self.examples(3)])
        return path, list(map(tf.constant, expected))

    def bad_example(self):
        return tf.zeros(4)

    def bytes_of(self, example):
        return 12


def run_by_beam(model, batch, inference_args, model_id):
    """A function with Beam's signature, which makes the results itself."""
    rows = model(np.stack(batch), **inference_args).numpy()
    return [PredictionResult(example, row, model_id) for example, row in zip(batch, rows, strict=True)]


class TestNumpyOwnFunction(KerasFile):
    def handler(self, **options):
        return TFModelHandlerNumpy(self.path(), inference_fn=run_by_beam, **options)

    def refused_args(self):
        return {"no_such_argument": np.zeros(1)}

    def test_inference_args_that_the_model_cannot_take_are_refused(self):
        pytest.skip("a function of one's own decides itself")


@pytest.mark.parametrize("kind", [TFModelHandlerNumpy, TFModelHandlerTensor])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_type": "SAVED_MODEL"}, "model_type must be one of ModelType.SAVED_MODEL, ModelType.SAVED_WEIGHTS"),
        ({"model_type": ModelType.SAVED_WEIGHTS}, "SAVED_WEIGHTS needs create_model_fn"),
        ({"create_model_fn": make_model}, "create_model_fn has no effect without ModelType.SAVED_WEIGHTS"),
        ({"inference_fn": 3}, "inference_fn must be a function, got 3"),
        ({"inference_fn": print, "signature": "s"}, "signature has no effect with an inference_fn"),
        ({"max_batch_sise": 3}, "Did you mean 'max_batch_size'"),
        *(
            ({"model_type": ModelType.SAVED_WEIGHTS, "create_model_fn": make_model, name: value}, f"{name} has no eff")
            for name, value in {"signature": "s", "custom_weights": "w.h5", "load_model_args": {"a": 1}}.items()
        ),
    ],
)
def test_arguments_that_cannot_work_are_refused(kind, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        kind("model.keras", **arguments)
