"""Rows as the TensorFlow handlers take them: their types, shapes and bytes, and those that cannot work."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from runinference import InferenceError, ModelFaultError, TFModelHandlerNumpy, TFModelHandlerTensor, infer

# Keras itself hands numpy an object without the newer form of __array__ when it writes a model.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
BOTH = pytest.mark.parametrize("kind", [TFModelHandlerNumpy, TFModelHandlerTensor])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def saved(folder, name, *layers):
    path = folder / f"{name}.keras"
    keras.Sequential(list(layers)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def doubling(folder):
    return saved(folder, "doubling", keras.Input((3,)), keras.layers.Rescaling(2.0))


def rows(count, width=3, dtype=np.float32):
    return list(np.random.default_rng(1).normal(size=(count, width)).astype(dtype))


def predict(handler, examples, **arguments):
    return [result.inference for result in infer(examples, handler, **arguments)]


@BOTH
@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8, bool])
def test_numbers_are_cast_to_what_the_model_takes(doubling, kind, dtype):
    examples = list((np.arange(12).reshape(4, 3) % 2).astype(dtype))
    found = predict(kind(doubling), [tf.constant(e) for e in examples] if kind is TFModelHandlerTensor else examples)
    np.testing.assert_array_equal([np.asarray(row) for row in found], 2.0 * np.array(examples))


def test_rows_of_several_types_go_together(doubling):
    mixed = [np.ones(3), np.ones(3, np.float32), [1, 1, 1], tf.ones(3), np.ones(3, np.int64)]
    for kind in (TFModelHandlerNumpy, TFModelHandlerTensor):
        np.testing.assert_array_equal([np.asarray(row) for row in predict(kind(doubling), mixed)], 2)


def test_a_fraction_is_not_cut_to_a_whole_number(folder):
    failures = []
    whole = saved(folder, "whole", keras.Input((1,), dtype="int32"), keras.layers.Flatten())
    assert len(predict(TFModelHandlerNumpy(whole), [1, 2.0, 0.5, 3], on_failure=failures.append)) == 3
    assert "takes int32, which cannot hold 0.5" in failures[0].message


def test_not_a_number_is_an_input_like_another(doubling):
    found = predict(TFModelHandlerNumpy(doubling), [np.array([np.nan, 1, 2])])
    np.testing.assert_array_equal(found, [[np.nan, 2, 4]])


@BOTH
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, r"takes numbers \(float32\), got NoneType"),
        ("text", r"takes numbers \(float32\), got str"),
        (np.zeros(4), r"takes examples of shape \(3,\), got \(4,\)"),
        (np.zeros((2, 3)), r"takes examples of shape \(3,\), got \(2, 3\)"),
        (5.0, r"takes examples of shape \(3,\), got \(\)"),
        (np.array(["1", "2", "3"]), r"takes numbers \(float32\), got str"),
        ({"a": 1}, r"takes examples of shape \(3,\), got \(1,\)"),
    ],
)
def test_a_row_that_does_not_fit_is_set_aside_alone(doubling, kind, bad, message):
    failures = []
    found = predict(kind(doubling), [*rows(4), bad, *rows(4)], on_failure=failures.append)
    assert len(found) == 8
    (failure,) = failures
    assert failure.index == 4
    assert re.search(message, failure.message), failure.message


def test_rows_of_two_lengths_are_told_and_still_run(folder):
    path = saved(folder, "any-length", keras.Input((None,)), keras.layers.Rescaling(2.0))
    handler = TFModelHandlerNumpy(path)
    model = handler.load_model()
    with pytest.raises(ValueError, match=r"arrays of a batch must have one shape, got \(3,\), \(4,\)"):
        handler.run_inference([np.zeros(3), np.zeros(4)], model)
    assert [row.shape for row in predict(handler, [np.zeros(3), np.zeros(4)])] == [(3,), (4,)]


def test_all_rows_of_a_wrong_shape_are_a_fault_of_the_whole(doubling):
    with pytest.raises(ModelFaultError, match=r"fails on every row.*takes examples of shape \(3,\), got \(5,\)"):
        predict(TFModelHandlerNumpy(doubling), rows(100, 5), on_failure=print)


def test_a_fixed_number_of_rows_is_told_and_can_be_met(folder):
    path = saved(folder, "one", keras.Input(batch_shape=(1, 3)), keras.layers.Rescaling(2.0))
    with pytest.raises(ModelFaultError, match=r"fixed shape \(1, 3\), but the batch has .* max_batch_size of 1"):
        predict(TFModelHandlerNumpy(path), rows(64))
    assert len(predict(TFModelHandlerNumpy(path, max_batch_size=1), rows(5))) == 5


def test_texts_are_rows(folder):
    class Length(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def __call__(self, texts):
            return tf.strings.length(texts), tf.strings.upper(texts)

    path = str(folder / "texts")
    tf.saved_model.save(Length(), path)
    handler = TFModelHandlerNumpy(path)
    examples = ["a", b"bcd\0", "", tf.constant("ef")]
    assert predict(handler, examples) == [(1, b"A"), (4, b"BCD\0"), (0, b""), (2, b"EF")]
    assert handler.get_num_bytes(examples) == 7
    with pytest.raises(InferenceError, match="takes texts or bytes, got numbers of type float64"):
        predict(handler, [1.5])


def test_bytes_of_tensors_texts_and_dicts_are_counted():
    handler = TFModelHandlerTensor("none")
    example = tf.train.Example(features=tf.train.Features())
    batch = [tf.zeros((2, 3)), tf.constant(["ab", "c"]), {"a": np.zeros(2), "b": tf.zeros(1, tf.int64)}, example]
    assert [handler.get_num_bytes([one]) for one in batch] == [24, 3, 24, example.ByteSize()]
    assert handler.get_num_bytes([np.array(["ab", b"c"], object)]) == 3
    assert handler.get_num_bytes([]) == 0


def test_a_ragged_output_has_a_row_for_each_row():
    class Splits(tf.Module):
        def __call__(self, texts):
            return tf.strings.split(texts)

    found = {}
    for kind in (TFModelHandlerNumpy, TFModelHandlerTensor):
        results = kind("none").run_inference(["a b", "c"], Splits())
        found[kind] = [np.asarray(result.inference).tolist() for result in results]
    assert found[TFModelHandlerNumpy] == found[TFModelHandlerTensor] == [[b"a", b"b"], [b"c"]]


def test_an_output_without_rows_is_told(folder):
    class Loss(tf.Module):
        def __call__(self, x):
            return {"mean": tf.reduce_mean(x), "double": x * 2}

    with pytest.raises(ModelFaultError, match=r"output \['mean'\] is one .* for the whole batch"):
        TFModelHandlerNumpy("none").run_inference(rows(2), Loss())


def test_out_of_memory_is_told_apart_so_that_the_batch_is_halved():
    def allocate(values):
        if len(values) > 2:
            raise MemoryError("Cannot allocate")  # Which TensorFlow turns into the error that its allocators raise.
        return values

    class Hungry(tf.Module):
        def __call__(self, x):
            return tf.ensure_shape(tf.numpy_function(allocate, [x], tf.float32), [None, 3])

    handler = TFModelHandlerNumpy("none")
    with pytest.raises(MemoryError, match=r"(?s)batch of 3 rows does not fit into memory.*Cannot allocate"):
        handler.run_inference(rows(3), Hungry())
    assert len(handler.run_inference(rows(2), Hungry())) == 2
