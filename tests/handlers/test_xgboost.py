"""The XGBoost handlers: their files, their arguments, what may be an element, and rows that cannot work."""

import functools
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xgboost

from runinference import (
    ConfigurationError,
    InferenceError,
    MissingDependencyError,
    ModelFaultError,
    ModelLoadError,
    OutputCountError,
    PredictionResult,
    XGBoostModelHandlerNumpy,
    XGBoostModelHandlerPandas,
    XGBoostModelHandlerSciPy,
    infer,
)
from runinference.handlers.xgboost.model import saved_class
from runinference.jobs.resolve import resolve_handler

FEATURES = ["age", "income", "debt"]
ALL = pytest.mark.parametrize(
    "kind",
    [XGBoostModelHandlerNumpy, XGBoostModelHandlerPandas, XGBoostModelHandlerSciPy],
    ids=lambda kind: kind.__name__,
)


def data(rows=80):
    x = np.random.default_rng(3).normal(size=(rows, 3)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(int)


def train(estimator, x=None):
    rows, y = data()
    return estimator.fit(rows if x is None else x, y)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a model of every kind."""
    folder = tmp_path_factory.mktemp("xgboost")
    x, y = data()
    for suffix in ("json", "ubj"):
        train(xgboost.XGBClassifier(n_estimators=4)).save_model(folder / f"classifier.{suffix}")
        train(xgboost.XGBRegressor(n_estimators=4)).save_model(folder / f"regressor.{suffix}")
        ranker = xgboost.XGBRanker(n_estimators=4).fit(x, y, qid=np.repeat(range(8), 10))
        ranker.save_model(folder / f"ranker.{suffix}")
        trained = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(x, y), 4)
        trained.save_model(folder / f"booster.{suffix}")
    train(xgboost.XGBClassifier(n_estimators=4), pd.DataFrame(x, columns=FEATURES)).save_model(folder / "named.json")
    return folder


@pytest.fixture
def classifier(models):
    model = xgboost.XGBClassifier()
    model.load_model(models / "classifier.json")
    return model


def run(handler, examples, **arguments):
    return [result.inference for result in infer(examples, handler, **arguments)]


# Loading.


@pytest.mark.parametrize("suffix", ["json", "ubj"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [("classifier", "XGBClassifier"), ("regressor", "XGBRegressor"), ("ranker", "XGBRanker"), ("booster", "Booster")],
)
def test_a_file_tells_the_class_that_it_was_saved_from(models, name, suffix, expected):
    assert saved_class(str(models / f"{name}.{suffix}")).__name__ == expected


def test_the_command_line_takes_the_class_from_the_file(models, classifier):
    handler = resolve_handler(f"xgboost:{models / 'classifier.ubj'}")
    x, _ = data()
    assert run(handler, list(x)) == list(classifier.predict(x))
    assert type(resolve_handler(f"xgboost:{models / 'booster.json'}").load_model()) is xgboost.Booster


def test_the_command_line_refuses_other_suffixes(tmp_path):
    (tmp_path / "model.txt").write_text("tree")
    with pytest.raises(ConfigurationError, match=r"model.txt: the suffix must be one of .json, .ubj, .model"):
        resolve_handler(f"xgboost:{tmp_path / 'model.txt'}")


def test_a_model_behind_a_url_is_read(models, classifier):
    import fsspec

    content = (models / "classifier.ubj").read_bytes()
    with fsspec.open("memory://models/classifier.ubj", "wb") as file:
        file.write(content)
    x, _ = data()
    handler = XGBoostModelHandlerNumpy(xgboost.XGBClassifier, "memory://models/classifier.ubj")
    assert run(handler, list(x)) == list(classifier.predict(x))


def test_a_missing_file_is_told_with_the_nearest_name(models):
    handler = XGBoostModelHandlerNumpy(xgboost.Booster, str(models / "boster.json"))
    with pytest.raises(ModelLoadError, match=r"boster.json does not exist. Did you mean .*booster.json\?"):
        handler.load_model()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"binf" + bytes(300), r"begins with b'binf'. If it is in XGBoost's old binary format, load it with XGBoost b"),
        (pickle.dumps([1, 2, 3]), "seems to be a pickle or joblib file: use SklearnModelHandlerNumpy"),
        (b'{"trees": 1}', "cannot be loaded as XGBClassifier: Invalid cast, from Null to Object. Is it damaged"),
        (b"{}", "cannot be loaded as XGBClassifier: Invalid model format. Expecting UBJSON"),
    ],
)
def test_what_is_no_model_is_told(tmp_path, content, message):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=message):
        XGBoostModelHandlerNumpy(xgboost.XGBClassifier, str(path)).load_model()


@pytest.mark.parametrize("suffix", ["json", "ubj"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_told_in_one_line(models, tmp_path, suffix, part):
    content = (models / f"classifier.{suffix}").read_bytes()
    path = tmp_path / f"short.{suffix}"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelLoadError, match=rf"short.{suffix} cannot be loaded as Booster: .*Is it damaged") as found:
        XGBoostModelHandlerNumpy(xgboost.Booster, str(path)).load_model()
    assert "\n" not in str(found.value)
    assert ".cc" not in str(found.value)


def test_another_kind_of_estimator_is_told(models):
    message = "as XGBClassifier: Loading an estimator with different type. Expecting: classifier, got: regressor"
    with pytest.raises(ModelLoadError, match=message):
        XGBoostModelHandlerNumpy(xgboost.XGBClassifier, str(models / "regressor.json")).load_model()


@ALL
@pytest.mark.parametrize("model_class", ["XGBClassifier", xgboost.Booster(), None])
def test_a_class_that_cannot_make_a_model_is_refused(kind, model_class):
    with pytest.raises(ConfigurationError, match=f"{kind.__name__}: model_class must make an empty model"):
        kind(model_class, "model.json")


def test_a_class_of_something_else_is_told(models):
    with pytest.raises(ModelLoadError, match=r"but dict\(\) made dict, which has no load_model"):
        XGBoostModelHandlerNumpy(dict, str(models / "booster.json")).load_model()


def test_a_function_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="inference_fn must be a function, got 'predict'"):
        XGBoostModelHandlerNumpy(xgboost.Booster, "model.json", "predict")


def test_an_estimator_without_scikit_learn_says_what_to_install(models, monkeypatch):
    def make():
        raise ImportError("sklearn needs to be installed")

    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingDependencyError, match=r'sklearn is needed to run make.*"runinference\[sklearn\]"'):
        XGBoostModelHandlerNumpy(make, str(models / "classifier.json")).load_model()


def test_parameters_of_the_class_reach_the_model(models):
    make = functools.partial(xgboost.Booster, {"nthread": 1})
    config = json.loads(XGBoostModelHandlerNumpy(make, str(models / "booster.json")).load_model().save_config())
    assert config["learner"]["generic_param"]["nthread"] == "1"


def test_making_and_pickling_a_handler_imports_no_framework():
    code = (
        "import pickle, sys\n"
        "from runinference import XGBoostModelHandlerNumpy\n"
        "pickle.dumps(XGBoostModelHandlerNumpy(dict, 'model.json'))\n"
        "assert not {'xgboost', 'pandas', 'scipy', 'pyarrow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Elements.


def test_rows_and_blocks_may_be_mixed(models, classifier):
    x, _ = data()
    handler = XGBoostModelHandlerNumpy(xgboost.XGBClassifier, str(models / "classifier.json"))
    row, one, block, none, last = run(handler, [x[0], x[1:2], np.asfortranarray(x[2:7]), x[:0], list(x[7])])
    expected = classifier.predict(x)
    assert row == expected[0]
    assert row.shape == ()
    assert last == expected[7]
    for found, part in ((one, expected[1:2]), (block, expected[2:7]), (none, expected[:0])):
        np.testing.assert_array_equal(found, part)


@pytest.mark.parametrize("model_class", [xgboost.XGBClassifier, xgboost.Booster])
def test_vectors_are_predicted_for_rows_and_blocks(tmp_path, model_class):
    x, _ = data()
    trained = xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(x, np.arange(80) % 3), 3)
    trained.save_model(tmp_path / "three.json")
    handler = XGBoostModelHandlerNumpy(xgboost.Booster, str(tmp_path / "three.json"))
    one, block = run(handler, [x[0], x[1:4]])
    np.testing.assert_array_equal(one, trained.predict(xgboost.DMatrix(x[:1]))[0])
    np.testing.assert_array_equal(block, trained.predict(xgboost.DMatrix(x[1:4])))


def test_an_example_is_the_element_itself(models):
    x, _ = data()
    examples = [x[0], x[1:3]]
    handler = XGBoostModelHandlerNumpy(xgboost.Booster, str(models / "booster.json"))
    assert all(a.example is b for a, b in zip(infer(examples, handler), examples, strict=True))


def test_the_model_is_called_once_for_a_batch(models):
    calls = []

    class Counting(xgboost.XGBClassifier):
        def predict(self, X, **arguments):  # noqa: N803
            calls.append(X.shape)
            return super().predict(X, **arguments)

    x, _ = data()
    handler = XGBoostModelHandlerNumpy(Counting, str(models / "classifier.json"), min_batch_size=20, max_batch_size=20)
    assert len(run(handler, list(x))) == 80
    assert calls == [(20, 3)] * 4


def test_frames_and_dicts_may_be_mixed(models, classifier):
    x, _ = data()
    frame = pd.DataFrame(x, columns=FEATURES)
    handler = XGBoostModelHandlerPandas(xgboost.XGBClassifier, str(models / "named.json"))
    rows = [frame.iloc[:3], dict(zip(FEATURES, map(float, x[3]), strict=True)), frame.iloc[4:5][FEATURES[::-1]]]
    block, one, turned = run(handler, rows)
    expected = classifier.predict(x)
    np.testing.assert_array_equal(block, expected[:3])
    assert one == expected[3]
    np.testing.assert_array_equal(turned, expected[4:5])


def test_columns_go_by_name_and_others_are_left_out(models, classifier):
    x, _ = data()
    frame = pd.DataFrame(x, columns=FEATURES)[FEATURES[::-1]].assign(note="text")
    handler = XGBoostModelHandlerPandas(xgboost.XGBClassifier, str(models / "named.json"))
    (found,) = run(handler, [frame])
    np.testing.assert_array_equal(found, classifier.predict(x))


def test_a_frame_without_a_column_fails_alone(models):
    x, _ = data()
    frame = pd.DataFrame(x, columns=FEATURES)
    failures = []
    handler = XGBoostModelHandlerPandas(xgboost.Booster, str(models / "named.json"))
    bad = frame.iloc[:1].rename(columns={"income": "incone"})
    assert len(run(handler, [frame.iloc[:1], bad, frame.iloc[1:2]], on_failure=failures.append)) == 2
    assert [failure.index for failure in failures] == [1]
    assert "Column 'income' is missing. Did you mean 'incone'? 1 of the 3 columns" in failures[0].message


def test_dicts_for_a_model_with_names_go_by_name(models, classifier):
    x, _ = data()
    rows = [dict(zip(FEATURES[::-1], map(float, row[::-1]), strict=True)) for row in x]
    handler = XGBoostModelHandlerNumpy(xgboost.XGBClassifier, str(models / "named.json"))
    assert run(handler, rows) == list(classifier.predict(x))


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_every_sparse_format_is_taken(models, make, classifier):
    x, _ = data()
    handler = XGBoostModelHandlerSciPy(xgboost.XGBClassifier, str(models / "classifier.json"))
    matrix = make(x[:5])
    first, second = run(handler, [matrix, make(x[5:6])])
    np.testing.assert_array_equal(np.append(first, second), classifier.predict(x[:6]))
    assert handler.get_num_bytes([scipy.sparse.csr_matrix(x[:5])]) == 15 * 4 + 15 * 4 + 6 * 4


@pytest.mark.parametrize(
    ("kind", "model"), [(XGBoostModelHandlerNumpy, "booster.json"), (XGBoostModelHandlerNumpy, "named.json")]
)
def test_several_threads_predict_the_same(models, kind, model):
    x, _ = data()
    handler = kind(xgboost.Booster, str(models / model))
    loaded = handler.load_model()
    expected = [result.inference for result in handler.run_inference(list(x), loaded)]
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(lambda _: list(handler.run_inference(list(x), loaded)), range(20)):
            assert [result.inference for result in results] == expected


# Rows that cannot work.


@pytest.mark.parametrize("model_class", [xgboost.XGBClassifier, xgboost.Booster])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(2, np.float32), "trained with 3 features but is given 2"),
        (np.zeros(4, np.float32), "trained with 3 features but is given 4"),
        (np.zeros((2, 2), np.float32), "trained with 3 features but is given 2"),
        (np.array(["a", "b", "c"]), "must hold numbers, got an array of type <U1"),
        (np.array([1, "b", None], dtype=object), "could not convert string to float: 'b'"),
        (np.array([1j, 0, 0]), "must hold numbers, got an array of type complex128"),
        (np.zeros((1, 1, 3)), r"must be of shape \(features,\) or \(rows, features\).* got the shapes \(1, 1, 3\)"),
        ("text", r"must be of shape .* got the shapes \(\)"),
        ({"a": 1, "b": "x", "c": 2}, "could not convert string to float: 'x'"),
    ],
)
def test_only_the_row_that_cannot_be_read_is_set_aside(models, model_class, bad, message):
    x, _ = data()
    failures = []
    handler = XGBoostModelHandlerNumpy(model_class, str(models / "classifier.json"))
    assert len(run(handler, [*x[:5], bad, *x[5:9]], on_failure=failures.append)) == 9
    assert [failure.index for failure in failures] == [5]
    with pytest.raises(InferenceError, match=message):
        run(handler, [bad])


def test_infinity_fails_for_a_booster_alone(models):
    x, _ = data()
    failures = []
    handler = XGBoostModelHandlerNumpy(xgboost.Booster, str(models / "classifier.json"))
    rows = [*x[:3], np.array([0, np.inf, 0]), *x[3:5]]
    assert len(run(handler, rows, on_failure=failures.append)) == 5
    assert failures[0].index == 3
    assert failures[0].message == (
        "Check failed: valid: Input data contains `inf` or a value too large, while `missing` is not set to `inf`"
    )


@ALL
def test_a_missing_value_is_legal(models, kind, classifier):
    rows = {
        XGBoostModelHandlerNumpy: np.array([0.5, np.nan, 1]),
        XGBoostModelHandlerPandas: {"age": 0.5, "income": None, "debt": 1},
        XGBoostModelHandlerSciPy: scipy.sparse.csr_matrix([[0.5, np.nan, 1]]),
    }
    name = "named" if kind is XGBoostModelHandlerPandas else "classifier"
    (found,) = run(kind(xgboost.XGBClassifier, str(models / f"{name}.json")), [rows[kind]])
    assert found == classifier.predict(np.array([[0.5, np.nan, 1]]))[0]


@pytest.mark.parametrize("bad", [np.zeros((1, 3)), scipy.sparse.csr_matrix((1, 2)), "text"])
def test_what_is_no_sparse_matrix_of_the_right_width_fails_alone(models, bad):
    x, _ = data()
    failures = []
    handler = XGBoostModelHandlerSciPy(xgboost.Booster, str(models / "classifier.json"))
    good = scipy.sparse.csr_matrix(x[:1])
    assert len(run(handler, [good, bad, good], on_failure=failures.append)) == 2
    assert [failure.index for failure in failures] == [1]


@pytest.mark.parametrize("bad", [3, "abc", pd.DataFrame({"age": ["x"], "income": [1], "debt": [2]}), {"age": 1}])
def test_what_is_no_frame_of_numbers_fails_alone(models, bad):
    x, _ = data()
    failures = []
    handler = XGBoostModelHandlerPandas(xgboost.Booster, str(models / "named.json"))
    good = pd.DataFrame(x[:1], columns=FEATURES)
    assert len(run(handler, [good, bad, good], on_failure=failures.append)) == 2
    assert [failure.index for failure in failures] == [1]


# Arguments and functions.


@pytest.mark.parametrize(
    ("model_class", "arguments", "message"),
    [
        (
            xgboost.XGBClassifier,
            {"pred_leaf": True},
            "XGBClassifier.predict takes no 'pred_leaf'. It takes: output_mar",
        ),
        (
            xgboost.Booster,
            {"output_margn": True},
            "Booster.predict takes no 'output_margn'. Did you mean 'output_margin'",
        ),
        (xgboost.XGBClassifier, {"base_margin": [0.5]}, "base_margin holds one value for each row"),
        (xgboost.XGBClassifier, {"X": 1}, "predict takes no 'X'"),
    ],
)
def test_arguments_that_predict_does_not_take_are_named(models, model_class, arguments, message):
    x, _ = data()
    handler = XGBoostModelHandlerNumpy(model_class, str(models / "classifier.json"))
    with pytest.raises(ModelFaultError, match=message):
        run(handler, list(x), inference_args=arguments, on_failure=print)


@pytest.mark.parametrize("argument", ["output_margin", "pred_leaf", "pred_contribs", "pred_interactions"])
def test_a_booster_takes_every_kind_of_prediction(models, argument):
    x, _ = data()
    handler = XGBoostModelHandlerNumpy(xgboost.Booster, str(models / "booster.json"))
    arguments = {argument: True, "iteration_range": (0, 2)}
    expected = handler.load_model().predict(xgboost.DMatrix(x), **arguments)
    np.testing.assert_array_equal(np.array(run(handler, list(x), inference_args=arguments)), expected)
    assert arguments == {argument: True, "iteration_range": (0, 2)}


def test_a_function_written_for_beam_works(models, classifier):
    x, _ = data()

    def each(batch, model, inference_args=None):
        return [PredictionResult("other", model.predict(element, **(inference_args or {}))) for element in batch]

    handler = XGBoostModelHandlerNumpy(xgboost.XGBClassifier, str(models / "classifier.json"), each)
    (result,) = infer([x[:4]], handler)
    np.testing.assert_array_equal(result.inference, classifier.predict(x[:4]))
    assert result.model_id.endswith("classifier.json")
    assert result.example.shape == (4, 3)


def test_a_function_may_return_predictions_in_any_form(models):
    x, _ = data()

    def both(batch, model, inference_args=None):
        return {"leaf": model.apply(np.array(batch)), "label": model.predict(np.array(batch))}

    handler = XGBoostModelHandlerNumpy(xgboost.XGBClassifier, str(models / "classifier.json"), inference_fn=both)
    first, *_ = run(handler, list(x))
    assert first["leaf"].shape == (4,)


def test_a_model_that_predicts_too_few_is_told(models):
    class Short(xgboost.XGBClassifier):
        def predict(self, X, **arguments):  # noqa: N803
            return super().predict(X, **arguments)[:-1]

    x, _ = data()
    handler = XGBoostModelHandlerNumpy(Short, str(models / "classifier.json"))
    with pytest.raises(OutputCountError, match="returned 4 predictions for 5 rows"):
        run(handler, [x[:3], x[3:5]])


@pytest.mark.parametrize("message", ["bad_alloc: cudaErrorMemoryAllocation: out of memory", "std::bad_alloc"])
def test_memory_that_runs_out_is_an_error_of_memory(models, message):
    class Large(xgboost.XGBClassifier):
        def predict(self, X, **arguments):  # noqa: N803
            if len(X) > 16:
                raise xgboost.core.XGBoostError(f"[01:02:03] /src/gbm.cu:12: {message}\nStack trace:\n  [bt] (0)")
            return super().predict(X, **arguments)

    x, _ = data()
    handler = XGBoostModelHandlerNumpy(Large, str(models / "classifier.json"), min_batch_size=80, max_batch_size=80)
    assert len(run(handler, list(x))) == 80
    with pytest.raises(MemoryError, match=f"^{message}$"):
        list(handler.run_inference(list(x), handler.load_model()))
