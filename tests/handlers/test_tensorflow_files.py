"""Where TensorFlow models come from: SavedModels and signatures, Keras files, weights, and what is wrong there."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from runinference import (
    InferenceError,
    ModelFaultError,
    ModelLoadError,
    ModelType,
    TFModelHandlerNumpy,
    TFModelHandlerTensor,
    infer,
)
from runinference.jobs.resolve import resolve_handler

# Keras itself hands numpy an object without the newer form of __array__ when it writes a model.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
FEATURES = {"age": tf.io.FixedLenFeature([], tf.float32), "name": tf.io.FixedLenFeature([], tf.string, "")}


class Scores(tf.Module):
    """Four signatures: of serialised examples, of two inputs, of a value for all rows, and of a fixed shape."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def of_examples(self, serialised):
        parsed = tf.io.parse_example(serialised, FEATURES)
        return {"score": parsed["age"] * self.weight, "name": parsed["name"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([], tf.float32, "scale")])
    def scaled(self, x, scale):
        return {"only": x * scale * self.weight}


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder, module = str(tmp_path_factory.mktemp("scores") / "1"), Scores()
    tf.saved_model.save(module, folder, {"serving_default": module.of_examples, "scaled": module.scaled})
    return folder


def dense(width=3, layers=1):
    return keras.Sequential([keras.Input((width,)), *(keras.layers.Dense(2) for _ in range(layers))])


def dense_of_four():
    return dense(4)


def two_layers():
    return dense(layers=2)


def unbuilt():
    return keras.Sequential([keras.layers.Dense(2)])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One model in each form."""
    folder, model = tmp_path_factory.mktemp("files"), dense()
    for name in ("model.keras", "model.h5"):
        model.save(folder / name)
    model.save_weights(folder / "model.weights.h5")
    model.export(folder / "exported", verbose=False)
    tf.train.Checkpoint(model).write(str(folder / "root"))
    (folder / "kept").mkdir()
    tf.train.Checkpoint(model=model).save(str(folder / "kept" / "ckpt"))
    lambdas = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    for name in ("lambda.keras", "lambda.h5"):
        lambdas.save(folder / name)
    np.save(folder / "rows.npy", np.ones((2, 3)))
    return folder, [np.asarray(weight) for weight in model.get_weights()]


def example(age, name="Ada"):
    features = {
        "age": tf.train.Feature(float_list=tf.train.FloatList(value=[age])),
        "name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def predict(handler, examples, **arguments):
    return [result.inference for result in infer(examples, handler, **arguments)]


@pytest.mark.parametrize("kind", [TFModelHandlerNumpy, TFModelHandlerTensor])
def test_a_signature_takes_examples_serialised_or_not(scores, kind):
    examples = [example(1.5), example(2.5, "Bob\0").SerializeToString(), example(0)]
    found = predict(kind(scores), examples)
    assert [sorted(row) for row in found] == [["name", "score"]] * 3
    assert [float(row["score"]) for row in found] == [3, 5, 0]
    names = [row["name"].numpy() if kind is TFModelHandlerTensor else row["name"] for row in found]
    assert names == [b"Ada", b"Bob\0", b"Ada"]


def test_only_the_row_that_cannot_be_parsed_is_set_aside(scores):
    failures = []
    found = predict(TFModelHandlerNumpy(scores), [example(1), b"damaged", example(2)], on_failure=failures.append)
    assert [row["score"] for row in found] == [2, 4]
    assert [failure.index for failure in failures] == [1]
    assert "Could not parse example input, value: 'damaged'" in failures[0].message


def test_an_input_that_is_one_value_for_all_rows_is_an_inference_argument(scores):
    handler = TFModelHandlerNumpy(scores, signature="scaled")
    assert predict(handler, [1, 2.0, np.float32(3)], inference_args={"scale": 10}) == [20, 40, 60]
    with pytest.raises(ModelFaultError, match="input 'scale' of the signature 'scaled' is one value for all rows"):
        predict(handler, [1.0])
    with pytest.raises(ModelFaultError, match=r"no argument 'scael'. Did you mean 'scale'"):
        predict(handler, [1.0], inference_args={"scael": 1})
    assert handler.get_model_bytes(handler.load_model()) == 4


def test_an_unknown_signature_is_told_with_those_that_exist(scores, files):
    with pytest.raises(
        ModelLoadError, match=r"no signature 'scalde'. Did you mean 'scaled'\? Its signatures: scaled, s"
    ):
        TFModelHandlerNumpy(scores, signature="scalde").load_model()
    with pytest.raises(ModelLoadError, match="is a Keras model, which has no signature 'scaled'"):
        TFModelHandlerNumpy(str(files[0] / "model.keras"), signature="scaled").load_model()


def test_a_saved_model_without_a_signature_is_told(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(ModelLoadError, match=r"can be loaded but not run: .*without a signature"):
        TFModelHandlerNumpy(str(tmp_path / "empty")).load_model()


def test_a_model_of_several_arguments_is_run_by_its_signature(tmp_path):
    class Adds(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None]), tf.TensorSpec([None])])
        def __call__(self, left, right):
            return left + right

    tf.saved_model.save(Adds(), str(tmp_path / "adds"))
    assert predict(TFModelHandlerNumpy(str(tmp_path / "adds")), [{"left": 1, "right": 2}, {"right": 3, "left": 4}]) == [
        3,
        7,
    ]


def test_a_function_that_was_never_traced_is_not_run(tmp_path):
    class Never(tf.Module):
        @tf.function
        def __call__(self, x):
            return x

    tf.saved_model.save(Never(), str(tmp_path / "never"))
    with pytest.raises(ModelLoadError, match="can be loaded but not run"):
        TFModelHandlerNumpy(str(tmp_path / "never")).load_model()


def test_the_only_signature_is_run_whatever_its_name(tmp_path):
    module = Scores()
    tf.saved_model.save(module, str(tmp_path / "one"), {"scaled": module.scaled})
    assert predict(TFModelHandlerNumpy(str(tmp_path / "one")), [1.0], inference_args={"scale": 1}) == [2]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("model.keras", None),
        ("model.h5", None),
        ("exported", None),
        ("model.weights.h5", dense),
        ("model.h5", dense),
        ("root", dense),
        ("kept/ckpt-1", dense),
        ("kept", dense),
    ],
)
@pytest.mark.parametrize("url", [False, True])
def test_every_kind_of_file_gives_the_same_predictions(files, name, make, url, tmp_path, monkeypatch):
    folder, (kernel, bias) = files
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path))
    path = f"local://{folder / name}" if url else str(folder / name)
    if url and name == "kept":
        pytest.skip("of a checkpoint behind a URL the prefix must be given")
    kind = ModelType.SAVED_WEIGHTS if make else ModelType.SAVED_MODEL
    (found,) = predict(TFModelHandlerNumpy(path, kind, make), [np.arange(3)])
    np.testing.assert_allclose(found, np.arange(3) @ kernel + bias, rtol=1e-5)


@pytest.mark.parametrize("name", ["model.weights.h5", "root", "kept/ckpt-1"])
@pytest.mark.parametrize("make", [dense_of_four, two_layers, unbuilt])
def test_weights_that_do_not_fit_the_model_are_told(files, name, make):
    path = files[0] / name
    handler = TFModelHandlerNumpy(str(path), ModelType.SAVED_WEIGHTS, make)
    message = "that create_model_fn made has no variables" if make is unbuilt else rf"{path} cannot be loaded \("
    with pytest.raises(ModelLoadError, match=message):
        handler.load_model()


def test_custom_weights_are_put_into_a_keras_model_and_nothing_else(files, tmp_path):
    folder, _ = files
    other = dense()
    other.save_weights(tmp_path / "other.weights.h5")
    weights = str(tmp_path / "other.weights.h5")
    (found,) = predict(TFModelHandlerNumpy(str(folder / "model.keras"), custom_weights=weights), [np.ones(3)])
    np.testing.assert_allclose(found, other(np.ones((1, 3)))[0], rtol=1e-5)
    with pytest.raises(ModelLoadError, match=r"need a Keras model, but .*exported holds a"):
        TFModelHandlerNumpy(str(folder / "exported"), custom_weights=weights).load_model()
    with pytest.raises(ModelLoadError, match=r"none.weights.h5 does not exist"):
        TFModelHandlerNumpy(str(folder / "model.keras"), custom_weights=str(folder / "none.weights.h5")).load_model()


@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
def test_code_in_a_file_is_not_run_unless_asked_for(files, name):
    path = str(files[0] / name)
    with pytest.raises(ModelLoadError, match=r"holds code, such as a Lambda layer.*load_model_args=\{'safe_mode': F"):
        TFModelHandlerNumpy(path).load_model()
    (found,) = predict(TFModelHandlerNumpy(path, load_model_args={"safe_mode": False}), [np.ones(3)])
    np.testing.assert_array_equal(found, [2, 2, 2])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modle.keras", r"modle.keras does not exist. Did you mean .*model.keras\?"),
        ("rows.npy", r"is not a TensorFlow model: it must be the folder of a SavedModel or a file that ends in .keras"),
        ("kept", r"is not a SavedModel: it has no saved_model.pb; it holds checkpoint, ckpt-1.data"),
        ("short.keras", r"short.keras cannot be loaded .*Is it damaged"),
        ("short.h5", r"(?s)short.h5 cannot be loaded .*Is it damaged"),
        ("broken", r"(?s)broken cannot be loaded .*Is it damaged"),
        ("blank", r"has no saved_model.pb; it is empty"),
        (".", r"has no saved_model.pb; Did you mean .*/exported\?"),
    ],
)
def test_what_cannot_be_loaded_is_told(files, name, message):
    folder, _ = files
    for short in ("short.keras", "short.h5"):
        (folder / short).write_bytes((folder / short.replace("short", "model")).read_bytes()[:500])
    for inner in ("broken", "blank"):
        (folder / inner).mkdir(exist_ok=True)
    (folder / "broken" / "saved_model.pb").write_bytes(b"no protocol buffer")
    if name == ".":
        (folder / "broken" / "saved_model.pb").unlink()
    with pytest.raises(ModelLoadError, match=message):
        TFModelHandlerNumpy(str(folder / name)).load_model()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "none.index does not exist"),
        ("rows.npy", "rows.npy.index does not exist"),
        ("exported", "holds no checkpoint; it holds assets"),
    ],
)
def test_a_missing_checkpoint_is_told(files, path, message):
    with pytest.raises(ModelLoadError, match=message):
        TFModelHandlerNumpy(str(files[0] / path), ModelType.SAVED_WEIGHTS, dense).load_model()


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        (
            "model.keras",
            {"safe_mod": 1},
            r"argument 'safe_mod' of load_model_args. Did you mean 'safe_mode'\? .*keras tak",
        ),
        ("exported", {"custom_objects": {}}, r"argument 'custom_objects'.*load\(\) of tensorflow takes: tags, options"),
    ],
)
def test_an_argument_for_loading_that_does_not_exist_is_told(files, name, argument, message):
    with pytest.raises(ModelLoadError, match=message):
        TFModelHandlerNumpy(str(files[0] / name), load_model_args=argument).load_model()


def test_a_model_hub_is_refused():
    with pytest.raises(ModelLoadError, match=r"is a page of a model hub.*Download the model"):
        TFModelHandlerNumpy("https://tfhub.dev/google/universal-sentence-encoder/4").load_model()


def test_the_path_can_be_changed(files):
    handler = TFModelHandlerNumpy("absent.keras")
    handler.update_model_path(str(files[0] / "model.keras"))
    assert handler.get_model_id() == str(files[0] / "model.keras")
    assert isinstance(handler.load_model(), keras.Model)


def test_the_command_line_names_a_model_and_its_signature(scores, files):
    assert predict(resolve_handler(f"tensorflow:{files[0] / 'model.keras'}"), [np.ones(3)])[0].shape == (2,)
    handler = resolve_handler(f"tensorflow:{scores}?signature=scaled")
    assert predict(handler, [2.0], inference_args={"scale": 1}) == [4]


def test_a_text_that_is_no_example_is_told(scores):
    with pytest.raises(InferenceError, match="takes texts or bytes, got numbers"):
        predict(TFModelHandlerNumpy(scores), [3])
