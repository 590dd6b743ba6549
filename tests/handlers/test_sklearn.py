"""The scikit-learn handlers: their files, their arguments, and their rows that cannot work."""

import pickle

import numpy as np
import pandas as pd
import pytest

from runinference import (
    ConfigurationError,
    InferenceError,
    ModelFaultError,
    ModelFileType,
    ModelLoadError,
    SklearnModelHandlerNumpy,
    SklearnModelHandlerPandas,
    infer,
)

BOTH = pytest.mark.parametrize("handler", [SklearnModelHandlerNumpy, SklearnModelHandlerPandas])


def arrays(count, features=3):
    return list(np.random.default_rng(1).normal(size=(count, features)))


def frames(count, names=("age", "income", "debt")):
    return [pd.DataFrame([row], columns=list(names)) for row in arrays(count, len(names))]


@BOTH
def test_a_missing_file_is_told_with_the_nearest_name(models, handler):
    with pytest.raises(ModelLoadError, match=r"linaer.joblib does not exist. Did you mean .*linear.joblib\?"):
        handler(str(models / "linaer.joblib"), ModelFileType.JOBLIB).load_model()


@pytest.mark.parametrize(
    ("file", "kind"),
    [("linear.skops", "PICKLE"), ("linear.skops", "JOBLIB"), ("linear.pickle", "SKOPS"), ("linear.joblib", "SKOPS")],
)
def test_a_file_of_another_type_is_told(models, file, kind):
    with pytest.raises(
        ModelLoadError, match=rf"(?s){file} cannot be read as a {kind.lower()} file .*See model_file_type"
    ):
        SklearnModelHandlerNumpy(str(models / file), ModelFileType[kind]).load_model()


def test_a_damaged_file_is_told(models, tmp_path):
    path = tmp_path / "short.pickle"
    path.write_bytes((models / "linear.pickle").read_bytes()[:50])
    with pytest.raises(ModelLoadError, match="Is it damaged"):
        SklearnModelHandlerNumpy(str(path)).load_model()


@BOTH
def test_what_is_no_model_is_told(tmp_path, handler):
    path = tmp_path / "dict.pickle"
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(
        ModelLoadError, match=r"holds an object of type dict, which has no predict\(\); pass inference_fn"
    ):
        handler(str(path)).load_model()
    with_fn = handler(str(path), inference_fn=lambda model, batch, inference_args=None: model["weights"])
    assert with_fn.load_model() == {"weights": [1, 2]}


def test_a_file_of_a_package_that_is_absent_names_it(tmp_path):
    path = tmp_path / "absent.pickle"
    path.write_bytes(b"cno_such_package\nModel\n.")
    with pytest.raises(ModelLoadError, match="pip install no_such_package"):
        SklearnModelHandlerNumpy(str(path)).load_model()


def test_types_of_a_skops_file_must_be_trusted(tmp_path):
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    path = tmp_path / "own.skops"
    skops.io.dump(FunctionTransformer(np.linalg.det), path)
    handler = SklearnModelHandlerNumpy(str(path), ModelFileType.SKOPS)
    with pytest.raises(ModelLoadError, match=r"types that are not trusted: .*Pass them as trusted_types"):
        handler.load_model()


@BOTH
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_file_type": "pickle"}, "model_file_type must be one of ModelFileType.PICKLE"),
        ({"inference_fn": 3}, "inference_fn must be a function, got 3"),
        ({"trusted_types": ["a"]}, "trusted_types has no effect without ModelFileType.SKOPS"),
        ({"max_batch_sise": 3}, "Did you mean 'max_batch_size'"),
    ],
)
def test_arguments_that_cannot_work_are_refused(handler, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        handler("model.pickle", **arguments)


def test_a_row_with_too_many_features_is_told_apart(models):
    failures = []
    rows = [*arrays(5), np.zeros(4), *arrays(5)]
    results = list(infer(rows, SklearnModelHandlerNumpy(str(models / "linear.pickle")), on_failure=failures.append))
    assert len(results) == 10
    assert [failure.index for failure in failures] == [5]
    assert "X has 4 features, but LinearRegression is expecting 3" in failures[0].message


def test_rows_that_all_have_too_many_features_are_a_fault_of_the_whole(models):
    with pytest.raises(ModelFaultError, match=r"fails on every row.*X has 4 features"):
        list(infer(arrays(100, 4), SklearnModelHandlerNumpy(str(models / "linear.pickle")), on_failure=print))


def test_arrays_of_unequal_shapes_are_told(models):
    handler = SklearnModelHandlerNumpy(str(models / "linear.pickle"))
    with pytest.raises(ValueError, match=r"arrays of a batch must have one shape, got \(3,\), \(4,\)"):
        list(handler.run_inference([np.zeros(3), np.zeros(4)], handler.load_model()))


def test_lists_of_numbers_are_rows_too(models, trained):
    results = list(infer([[1.0, 2.0, 3.0]], SklearnModelHandlerNumpy(str(models / "linear.pickle"))))
    np.testing.assert_allclose(results[0].inference, trained.predict([[1.0, 2.0, 3.0]])[0])


@pytest.mark.parametrize("bad", [None, "text", 5])
def test_a_row_that_is_no_array_is_set_aside(models, bad):
    failures = []
    rows = [*arrays(3), bad, *arrays(3)]
    handler = SklearnModelHandlerNumpy(str(models / "linear.pickle"))
    assert len(list(infer(rows, handler, on_failure=failures.append))) == 6
    assert [failure.index for failure in failures] == [3]


def test_a_row_that_is_no_frame_is_set_aside(models):
    failures = []
    rows = [*frames(3), None, *frames(3)]
    handler = SklearnModelHandlerPandas(str(models / "named.pickle"))
    assert len(list(infer(rows, handler, on_failure=failures.append))) == 6
    assert [failure.index for failure in failures] == [3]


def test_a_frame_must_have_one_row(models):
    handler = SklearnModelHandlerPandas(str(models / "named.pickle"))
    with pytest.raises(InferenceError, match="Only dataframes with single rows are supported, got one with 2 rows"):
        list(infer([pd.concat(frames(2))], handler))


@pytest.mark.parametrize(("handler", "rows"), [(SklearnModelHandlerNumpy, arrays), (SklearnModelHandlerPandas, frames)])
def test_inference_args_reach_predict(tmp_path, handler, rows):
    class Shifts:
        def predict(self, batch, shift=0):
            return np.asarray(batch).sum(axis=1) + shift

    class Local(handler):
        def load_model(self):
            return Shifts()

    plain = [result.inference for result in infer(rows(5), Local("none"))]
    shifted = [result.inference for result in infer(rows(5), Local("none"), inference_args={"shift": 10})]
    np.testing.assert_allclose(np.array(shifted) - plain, 10)


def test_the_path_can_be_changed(models):
    handler = SklearnModelHandlerNumpy("absent.pickle")
    handler.update_model_path(str(models / "linear.pickle"))
    assert handler.get_model_id() == str(models / "linear.pickle")
    assert hasattr(handler.load_model(), "coef_")
    assert handler.get_metrics_namespace() == "BeamML_Sklearn"
