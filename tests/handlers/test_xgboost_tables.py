"""The XGBoost handlers on tables, which they take as they are, and categories in tables and frames."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import xgboost

from runinference import (
    ModelFaultError,
    XGBoostModelHandlerNumpy,
    XGBoostModelHandlerPandas,
    XGBoostModelHandlerSciPy,
    infer,
    infer_table,
)

FEATURES = ["age", "income", "debt"]
DENSE = pytest.mark.parametrize("kind", [XGBoostModelHandlerNumpy, XGBoostModelHandlerPandas])
ALL = pytest.mark.parametrize("kind", [XGBoostModelHandlerNumpy, XGBoostModelHandlerPandas, XGBoostModelHandlerSciPy])
CLASSES = pytest.mark.parametrize("model_class", [xgboost.XGBRegressor, xgboost.Booster])
MEANS = {"red": 0.0, "green": 10.0, "blue": 20.0, None: -50.0}


def matrix(rows=60):
    return np.random.default_rng(2).normal(size=(rows, 3)).astype(np.float32)


def table(rows=60):
    return pa.table(dict(zip(FEATURES, matrix(rows).T, strict=True)))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with `named` and `plain` models of numbers, `colors` and `sizes` with categories of texts and numbers,
    and `old`, which is `colors` as an XGBoost that kept no categories saved it."""
    folder = tmp_path_factory.mktemp("tables")
    x = matrix()
    xgboost.XGBRegressor(n_estimators=4).fit(x, x.sum(axis=1)).save_model(folder / "plain.json")
    frame = pd.DataFrame(x, columns=FEATURES)
    xgboost.XGBRegressor(n_estimators=4).fit(frame, x.sum(axis=1)).save_model(folder / "named.json")
    colors = np.array([*MEANS] * 40, dtype=object)
    frame = pd.DataFrame({"area": np.zeros(160), "color": pd.Categorical(colors, ["red", "green", "blue"])})
    trained = xgboost.XGBRegressor(n_estimators=40, enable_categorical=True).fit(frame, [MEANS[c] for c in colors])
    trained.save_model(folder / "colors.json")
    content = json.loads((folder / "colors.json").read_text())
    del content["learner"]["gradient_booster"]["model"]["cats"]
    (folder / "old.json").write_text(json.dumps(content))
    frame["color"] = pd.Categorical(frame["color"].map({"red": 10, "green": 20, "blue": 30}), [10, 20, 30])
    trained.fit(frame, [MEANS[c] for c in colors]).save_model(folder / "sizes.json")
    return folder


def trained(models, name):
    model = xgboost.XGBRegressor()
    model.load_model(models / f"{name}.json")
    return model


def run(source, handler, **arguments):
    return pa.Table.from_batches(infer_table(source, handler, **arguments)).column("prediction").to_pylist()


@ALL
@CLASSES
def test_columns_are_picked_by_name(models, kind, model_class):
    shuffled = table().select(["debt", "age", "income"]).append_column("note", pa.array(["text"] * 60))
    found = run(shuffled, kind(model_class, str(models / "named.json")))
    np.testing.assert_allclose(found, trained(models, "named").predict(pd.DataFrame(matrix(), columns=FEATURES)))


@ALL
def test_a_missing_column_is_named_with_the_closest(models, kind):
    renamed = table().rename_columns(["age", "incone", "debt"])
    with pytest.raises(ModelFaultError, match=r"trained with column 'income'.* Did you mean 'incone'\?"):
        run(renamed, kind(xgboost.XGBRegressor, str(models / "named.json")), on_failure=print)


@ALL
@CLASSES
@pytest.mark.parametrize("name", ["plain", "named"])
def test_an_array_is_a_table_without_names(models, kind, model_class, name):
    found = run(matrix(), kind(model_class, str(models / f"{name}.json")))
    np.testing.assert_allclose(found, trained(models, "plain").predict(matrix()))


@ALL
@pytest.mark.parametrize("source", [matrix()[:, :2], table().select(["age", "debt"])], ids=["array", "table"])
def test_too_few_columns_are_a_fault_with_both_numbers(models, kind, source):
    with pytest.raises(ModelFaultError, match="trained with 3 features but is given 2 columns"):
        run(source, kind(xgboost.Booster, str(models / "plain.json")), on_failure=print)


@DENSE
def test_a_null_is_a_missing_value(models, kind):
    source = table(4).set_column(0, "age", pa.array([1.0, None, 3.0, 4.0], pa.float32()))
    expected = matrix(4)
    expected[:, 0] = [1, np.nan, 3, 4]
    found = run(source, kind(xgboost.XGBRegressor, str(models / "named.json")))
    np.testing.assert_allclose(found, trained(models, "plain").predict(expected))


@ALL
def test_only_the_row_with_text_is_set_aside(models, kind):
    failures = []
    source = table(4).set_column(0, "age", pa.array(["1.5", "2", "old", "4"]))
    handler = kind(xgboost.Booster, str(models / "named.json"))
    assert len(run(source, handler, on_failure=failures.append)) == 3
    assert [(failure.index, failure.example["age"]) for failure in failures] == [(2, "old")]
    assert "'old'" in failures[0].message


def test_zeros_of_a_table_are_missing_for_the_sparse_handler(models):
    x = np.where(matrix() > 0.5, 0, matrix())
    found = run(x, XGBoostModelHandlerSciPy(xgboost.XGBRegressor, str(models / "plain.json")))
    np.testing.assert_allclose(found, trained(models, "plain").predict(scipy.sparse.csr_matrix(x)))


@ALL
def test_a_function_of_ones_own_gets_rows(models, kind):
    def shapes(batch, model, inference_args=None):
        return [row.shape[-1] + (inference_args or {}).get("plus", 0) for row in batch]

    handler = kind(xgboost.Booster, str(models / "plain.json"), shapes)
    assert run(matrix(4), handler, inference_args={"plus": 10}) == [13] * 4


@ALL
def test_a_table_takes_the_same_arguments_as_rows(models, kind):
    handler = kind(xgboost.Booster, str(models / "plain.json"))
    found = run(matrix(5), handler, inference_args={"pred_leaf": True})
    expected = handler.load_model().predict(xgboost.DMatrix(matrix(5)), pred_leaf=True)
    np.testing.assert_array_equal(np.array(found), expected)


# Categories.


@DENSE
@CLASSES
@pytest.mark.parametrize("encode", [False, True])
def test_texts_of_a_table_are_the_categories_of_the_training(models, kind, model_class, encode):
    colors = pa.array(["blue", None, "red", "green"])
    source = pa.table({"color": colors.dictionary_encode() if encode else colors, "area": [0.0] * 4})
    found = run(source, kind(model_class, str(models / "colors.json")))
    np.testing.assert_allclose(found, [20, -50, 0, 10], atol=0.1)


@CLASSES
def test_frames_of_one_row_with_other_categories_each_keep_their_meaning(models, model_class):
    frames = [pd.DataFrame({"area": [0.0], "color": pd.Categorical([color])}) for color in MEANS]
    handler = XGBoostModelHandlerPandas(model_class, str(models / "colors.json"))
    found = [result.inference for result in infer(frames, handler)]
    np.testing.assert_allclose(np.concatenate(found), list(MEANS.values()), atol=0.1)
    assert list(frames[2]["color"].cat.categories) == ["blue"]


def test_dicts_hold_categories_as_texts(models):
    handler = XGBoostModelHandlerPandas(xgboost.XGBRegressor, str(models / "colors.json"))
    rows = [{"area": 0.0, "color": color} for color in MEANS]
    found = [result.inference for result in infer(rows, handler)]
    np.testing.assert_allclose(found, list(MEANS.values()), atol=0.1)


@CLASSES
@pytest.mark.parametrize("color", ["azure", "cyan", "violet", 3])
def test_only_a_row_with_a_new_category_is_set_aside(models, model_class, color):
    rows = [{"area": 0.0, "color": "red"}, {"area": 0.0, "color": color}, {"area": 0.0, "color": "blue"}]
    failures = []
    handler = XGBoostModelHandlerPandas(model_class, str(models / "colors.json"))
    assert len(list(infer(rows, handler, on_failure=failures.append))) == 2
    (failure,) = failures
    assert failure.index == 1
    known = "not among the 3 categories of the training: 'red', 'green', 'blue'"
    assert failure.message == f"Column 'color' holds {color!r}, which is {known}"


@DENSE
def test_categories_may_be_numbers(models, kind):
    # A table with nulls holds them as floats in pandas.
    source = pa.table({"area": [0.0] * 4, "color": pa.array([30, None, 10, 20]).dictionary_encode()})
    found = run(source, kind(xgboost.XGBRegressor, str(models / "sizes.json")))
    np.testing.assert_allclose(found, [20, -50, 0, 10], atol=0.1)


@DENSE
def test_texts_for_a_model_without_its_categories_are_a_fault(models, kind):
    source = pa.table({"area": [0.0] * 2, "color": ["red", "blue"]})
    with pytest.raises(
        ModelFaultError, match="Column 'color' was trained as categories, which the model does not hold"
    ):
        run(source, kind(xgboost.XGBRegressor, str(models / "old.json")), on_failure=print)


@CLASSES
def test_a_model_without_its_categories_takes_frames_with_those_of_the_training(models, model_class):
    kind = pd.CategoricalDtype(["red", "green", "blue"])
    frames = [pd.DataFrame({"area": [0.0], "color": pd.Series([color], dtype=kind)}) for color in MEANS]
    handler = XGBoostModelHandlerPandas(model_class, str(models / "old.json"))
    found = [result.inference for result in infer(frames, handler)]
    np.testing.assert_allclose(np.concatenate(found), list(MEANS.values()), atol=0.1)


@DENSE
def test_a_model_without_its_categories_takes_their_codes(models, kind):
    source = pa.table({"area": [0.0] * 3, "color": [2, 0, 1]})
    found = run(source, kind(xgboost.XGBRegressor, str(models / "old.json")))
    np.testing.assert_allclose(found, [20, 0, 10], atol=0.1)


def test_categories_that_differ_are_a_fault_for_a_model_that_holds_none(models):
    frames = [pd.DataFrame({"area": [0.0], "color": pd.Categorical([color])}) for color in ("red", "blue")]
    handler = XGBoostModelHandlerPandas(xgboost.XGBRegressor, str(models / "old.json"))
    with pytest.raises(ModelFaultError, match="Column 'color' has other categories in some rows than in others"):
        list(infer(frames, handler, on_failure=print))
