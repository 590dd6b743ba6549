"""The TensorFlow handlers: what models take and return, and one trace for all batch sizes."""

import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from runinference import (
    InferenceError,
    ModelFaultError,
    TFModelHandlerNumpy,
    TFModelHandlerTensor,
    infer,
)
from runinference.handlers.results import make_results

# Keras itself hands numpy an object without the newer form of __array__ when it writes a model.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
BOTH = pytest.mark.parametrize("kind", [TFModelHandlerNumpy, TFModelHandlerTensor])

traces = []


@keras.saving.register_keras_serializable("tests")
class CountsTraces(keras.layers.Layer):
    def call(self, x):
        traces.append(tuple(x.shape))
        return x * 2


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A model that does not tell its inputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1, kernel_initializer="ones")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x, factor=1.0):
        traces.append(tuple(x.shape))
        return self.dense(x) * factor


class Scales(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.ones((3, 1)))

    @tf.function
    def __call__(self, x, training=False):
        return tf.squeeze(x @ self.weight, 1) * (5.0 if training else 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def two_inputs():
    left, right = keras.Input((2,), name="left"), keras.Input((1,), name="right", dtype="int32")
    joined = keras.layers.Concatenate()([left, keras.ops.cast(right, "float32")])
    return {"left": left, "right": right}, joined


@pytest.fixture(scope="module")
def several(folder):
    """Two inputs and two outputs, in each form that Keras has for them."""
    inputs, joined = two_inputs()
    sums = keras.layers.Dense(1, kernel_initializer="ones", name="total")(joined)
    double = keras.layers.Dense(2, kernel_initializer="ones", name="double")(joined)
    paths = {}
    for name, taken, given in (
        ("dicts", inputs, {"total": sums, "double": double}),
        ("lists", list(inputs.values()), [sums, double]),
    ):
        paths[name] = str(folder / f"{name}.keras")
        keras.Model(taken, given).save(paths[name])
    paths["folder"] = str(folder / "several")
    keras.Model(inputs, {"total": sums, "double": double}).export(paths["folder"], verbose=False)
    return paths


@pytest.fixture(scope="module")
def doubling(folder):
    path = str(folder / "doubling.keras")
    keras.Sequential([keras.Input((3,)), CountsTraces()]).save(path)
    return path


@pytest.fixture(scope="module")
def restored(folder):
    """A SavedModel that can be called, for training and not."""
    module, path = Scales(), str(folder / "callable")
    for training in (False, True):
        module.__call__.get_concrete_function(tf.TensorSpec((None, 3)), training=training)
    tf.saved_model.save(module, path)
    return path


def rows(count, width=3, dtype=np.float32):
    return list(np.random.default_rng(1).normal(size=(count, width)).astype(dtype))


def predict(handler, examples, **arguments):
    return [result.inference for result in infer(examples, handler, **arguments)]


def pairs(count):
    return [{"left": np.array([i, 1.0]), "right": np.array([i])} for i in range(count)]


@BOTH
def test_a_model_is_traced_once_for_all_batch_sizes(doubling, kind):
    handler = kind(doubling)
    model = handler.load_model()
    traces.clear()
    for count in (1, 2, 7, 300, 1):
        results = list(handler.run_inference(rows(count), model))
        np.testing.assert_allclose([np.asarray(r.inference) for r in results], 2 * np.array(rows(count)), rtol=1e-6)
    assert traces == [(None, 3)]


def test_a_model_that_does_not_tell_its_inputs_is_traced_once_for_each_shape_and_argument():
    handler = TFModelHandlerNumpy("none")
    model = Subclassed()
    model.build((None, 3))
    traces.clear()
    for count in (1, 2, 7, 300):
        results = handler.run_inference(rows(count, dtype=np.float64), model)
        np.testing.assert_allclose([r.inference[0] for r in results], np.sum(rows(count), axis=1), rtol=1e-5)
    assert traces == [(None, 3)]
    for factor in (3.0, 3.0, np.full(1, 3.0, np.float32), np.full(1, 4.0, np.float32)):
        (result,) = handler.run_inference(rows(1), model, {"factor": factor})
        np.testing.assert_allclose(result.inference, np.sum(rows(1), keepdims=True)[0] * factor, rtol=1e-5)
    assert len(traces) == 3


def test_a_model_may_branch_on_its_values():
    class Branches(tf.Module):
        def __call__(self, x):
            if tf.reduce_sum(x) > 0:
                x = x * 10
            return x

    for rows_, factor in ((np.ones((2, 3), np.float32), 10), (-np.ones((3, 3), np.float32), 1)):
        results = TFModelHandlerNumpy("none").run_inference(list(rows_), Branches())
        np.testing.assert_array_equal([result.inference for result in results], rows_ * factor)


def test_several_threads_share_a_trace(doubling):
    handler = TFModelHandlerNumpy(doubling)
    model = handler.load_model()
    traces.clear()
    found, barrier = {}, threading.Barrier(4)

    def work(number):
        barrier.wait()
        for _ in range(20):
            found[number] = [r.inference for r in handler.run_inference(rows(number + 1), model)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_allclose(found[number], 2 * np.array(rows(number + 1)), rtol=1e-6)
    assert len(traces) <= 4  # Threads that come first together may trace each for itself.


def test_what_was_traced_dies_with_its_model(doubling):
    handler = TFModelHandlerNumpy(doubling)
    model = handler.load_model()
    list(handler.run_inference(rows(2), model))
    assert b"keras" not in pickle.dumps(handler).replace(b"doubling.keras", b"")
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_the_loaded_model_is_a_keras_model_that_can_be_saved_after_it_ran(doubling, tmp_path):
    handler = TFModelHandlerNumpy(doubling)
    model = handler.load_model()
    list(handler.run_inference(rows(2), model))
    assert isinstance(model, keras.Model)
    model.save(tmp_path / "again.keras")
    assert len(predict(TFModelHandlerNumpy(str(tmp_path / "again.keras")), rows(2))) == 2
    assert isinstance(copy.deepcopy(handler), TFModelHandlerNumpy)


@pytest.mark.parametrize("form", ["dicts", "lists", "folder"])
def test_several_inputs_are_given_by_name_and_several_outputs_come_apart_by_row(several, form):
    found = predict(TFModelHandlerNumpy(several[form]), pairs(5))
    assert len(found) == 5
    for i, row in enumerate(found):
        total, double = (row["total"], row["double"]) if isinstance(row, dict) else row
        np.testing.assert_allclose(total, [2 * i + 1])
        np.testing.assert_allclose(double, [2 * i + 1] * 2)
    assert {type(row) for row in found} == {tuple if form == "lists" else dict}


@pytest.mark.parametrize("form", ["dicts", "lists"])
def test_tensors_come_apart_like_arrays(several, form):
    examples = [{name: tf.constant(value) for name, value in pair.items()} for pair in pairs(3)]
    found = predict(TFModelHandlerTensor(several[form]), examples)
    leaves = [leaf for row in found for leaf in (row.values() if isinstance(row, dict) else row)]
    assert len(leaves) == 6
    assert all(tf.is_tensor(leaf) for leaf in leaves)
    np.testing.assert_allclose(leaves[2], [3])


def test_a_dict_with_a_wrong_name_is_told(several):
    handler = TFModelHandlerNumpy(several["dicts"])
    with pytest.raises(InferenceError, match="takes the inputs 'left', 'right', but an example does not have 'right'"):
        predict(handler, [{"left": np.zeros(2), "rihgt": np.zeros(1)}])
    with pytest.raises(InferenceError, match="an example has 'other', which is none of them"):
        predict(handler, [{**pairs(1)[0], "other": 1}])
    with pytest.raises(InferenceError, match="has 2 inputs, so an example must be a dict with 'left', 'right'; got nd"):
        predict(handler, rows(1))


def test_a_saved_model_that_can_be_called_takes_its_own_arguments(restored):
    handler = TFModelHandlerNumpy(restored)
    model = handler.load_model()
    for count in (1, 2, 7, 300):
        found = [r.inference for r in handler.run_inference(rows(count), model)]
        np.testing.assert_allclose(found, np.sum(rows(count), axis=1), rtol=1e-4, atol=1e-5)
    function = next(iter(model.__dict__["_runinference_calls"][None]._functions.values()))
    assert function.experimental_get_tracing_count() == 1
    found = predict(handler, rows(4), inference_args={"training": True})
    np.testing.assert_allclose(found, 5 * np.sum(rows(4), axis=1), rtol=1e-4, atol=1e-5)
    assert handler.get_model_bytes(model) == 12


@pytest.mark.parametrize(
    ("name", "takes"), [("doubling", "mask, training"), ("restored", "training"), ("several", "left, right")]
)
def test_an_argument_that_the_model_lacks_is_refused_by_name(request, name, takes):
    path = request.getfixturevalue(name)
    handler = TFModelHandlerNumpy(path["folder"] if name == "several" else path)
    with pytest.raises(ModelFaultError, match=rf"has no argument 'trainin'\..*It takes: {takes}"):
        predict(handler, rows(2), inference_args={"trainin": True})


def test_arguments_of_the_caller_are_left_alone(doubling):
    handler, arguments = TFModelHandlerNumpy(doubling), {"training": True}
    list(handler.run_inference(rows(2), handler.load_model(), arguments))
    assert arguments == {"training": True}


@BOTH
def test_ready_made_batches_may_be_arrays_or_tensors(doubling, kind):
    for batch in (np.array(rows(4)), tf.constant(np.array(rows(4)))):
        found = predict(kind(doubling).with_no_batching(), [batch])
        np.testing.assert_allclose([np.asarray(row) for row in found], 2 * np.array(rows(4)), rtol=1e-6)


def test_a_function_of_ones_own_may_return_what_models_return(doubling):
    def run(model, batch, inference_args, model_id):
        outputs = model(tf.stack(batch))
        return {
            "tensor": outputs,
            "dict": {"a": outputs, "b": outputs[:, 0]},
            "list": list(outputs),
            "results": make_results(batch, outputs.numpy(), model_id),
            "generator": (row for row in outputs),
        }[inference_args["form"]]

    for kind in (TFModelHandlerNumpy, TFModelHandlerTensor):
        for form in ("tensor", "dict", "list", "results", "generator"):
            results = list(infer(rows(3), kind(doubling, inference_fn=run), inference_args={"form": form}))
            assert {result.model_id for result in results} == {doubling}
            for row, result in zip(rows(3), results, strict=True):
                value = result.inference["a"] if form == "dict" else result.inference
                np.testing.assert_allclose(value, 2 * row, rtol=1e-6)


def test_metrics_go_where_dashboards_look():
    assert TFModelHandlerNumpy("none").get_metrics_namespace() == "BeamML_TF_Numpy"
    assert TFModelHandlerTensor("none").get_metrics_namespace() == "BeamML_TF_Tensor"


def test_a_handler_is_made_and_pickled_without_tensorflow():
    code = (
        "import pickle, sys; from runinference import ModelType, TFModelHandlerNumpy;"
        "pickle.loads(pickle.dumps(TFModelHandlerNumpy('m', ModelType.SAVED_WEIGHTS, print)));"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
