"""Trained models in files."""

import pickle

import numpy as np
import pytest

FEATURES = ["age", "income", "debt"]


def data(rows=64):
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 3)), random.normal(size=rows)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with one model in every type of file: `linear`, and `named`, which knows the names of its columns."""
    import joblib
    import pandas as pd
    import skops.io
    from sklearn.linear_model import LinearRegression

    folder = tmp_path_factory.mktemp("models")
    x, y = data()
    linear = LinearRegression().fit(x, y)
    named = LinearRegression().fit(pd.DataFrame(x, columns=FEATURES), y)
    for name, model in {"linear": linear, "named": named}.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(model))
        joblib.dump(model, folder / f"{name}.joblib")
        skops.io.dump(model, folder / f"{name}.skops")
    return folder


@pytest.fixture(scope="session")
def trained(models):
    """The model `linear` itself."""
    return pickle.loads((models / "linear.pickle").read_bytes())
