"""Several copies of an XGBoost model at the same time, each with its part of the cores."""

import functools
import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xgboost

from runinference import (
    XGBoostModelHandlerNumpy,
    XGBoostModelHandlerPandas,
    XGBoostModelHandlerSciPy,
    infer,
)

FEATURES = ["age", "income", "debt"]
KINDS = {
    XGBoostModelHandlerNumpy: list,
    XGBoostModelHandlerPandas: lambda x: [pd.DataFrame([row], columns=FEATURES) for row in x],
    XGBoostModelHandlerSciPy: lambda x: [scipy.sparse.csr_matrix(row) for row in x],
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
BOTH = pytest.mark.parametrize("model_class", [xgboost.XGBClassifier, xgboost.Booster])


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr("runinference.handlers.copies.available_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def data(rows=80, seed=3):
    return np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    x = data()
    named = pd.DataFrame(x, columns=FEATURES)
    xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(named, x[:, 0] > 0).save_model(tmp_path / "model.json")
    return str(tmp_path / "model.json")


def threads_of(model):
    booster = model if isinstance(model, xgboost.Booster) else model.get_booster()
    return int(json.loads(booster.save_config())["learner"]["generic_param"]["nthread"])


@EVERY_KIND
@BOTH
def test_two_copies_run_at_the_same_time(kind, model_class, path, side_by_side):
    handler = kind(model_class, path)
    batches = [KINDS[kind](data(9, 0)), KINDS[kind](data(6, 1))]
    model = handler.load_model()
    expected = [[result.inference for result in handler.run_inference(batch, model)] for batch in batches]
    for rounds, wanted in zip(side_by_side(handler, batches), expected, strict=True):
        for found in rounds:
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(one, other)


@EVERY_KIND
def test_an_engine_with_two_copies_predicts_what_one_does(kind, path):
    rows = KINDS[kind](data(200, 0))
    one, two = (
        [result.inference for result in infer(rows, kind(xgboost.XGBClassifier, path, model_copies=copies))]
        for copies in (1, 2)
    )
    assert len(one) == 200
    np.testing.assert_array_equal(np.array(two), np.array(one))


@EVERY_KIND
@BOTH
@pytest.mark.parametrize(("copies", "threads"), [(2, 4), (3, 2), (16, 1)])
def test_copies_share_the_cores(kind, model_class, path, copies, threads):
    model = kind(model_class, path).for_copy(copies - 1, copies).load_model()
    assert threads_of(model) == threads
    if model_class is xgboost.XGBClassifier:
        assert model.n_jobs == threads


@pytest.mark.parametrize(
    "make",
    [functools.partial(xgboost.XGBClassifier, n_jobs=3), functools.partial(xgboost.Booster, {"nthread": 3})],
    ids=["estimator", "booster"],
)
def test_a_number_of_threads_that_was_asked_for_is_that_of_each_copy(make, path):
    assert threads_of(XGBoostModelHandlerNumpy(make, path).for_copy(0, 2).load_model()) == 3


def test_what_xgboost_makes_of_the_older_name_of_a_parameter_is_left_to_it(path):
    make = functools.partial(xgboost.XGBClassifier, nthread=3)
    alone = threads_of(XGBoostModelHandlerNumpy(make, path).load_model())
    assert threads_of(XGBoostModelHandlerNumpy(make, path).for_copy(0, 2).load_model()) == alone


@BOTH
def test_the_environment_says_how_many_threads_each_copy_has(model_class, path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    handler = XGBoostModelHandlerNumpy(model_class, path).for_copy(0, 2)
    model = handler.load_model()
    assert threads_of(model) == 0
    assert len(list(handler.run_inference(list(data(4)), model))) == 4


@BOTH
def test_a_single_model_has_the_threads_of_xgboost(model_class, path):
    assert threads_of(XGBoostModelHandlerNumpy(model_class, path).load_model()) == 0
