"""Trained models in files, and copies of models that run at the same time."""

import pickle
import sys
import threading
from concurrent.futures import Future

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


@pytest.fixture
def side_by_side():
    """Loads and runs copies of a model at the same time, each in a thread of its own, many times over.

    `side_by_side(handler, [rows, other_rows])` gives for each copy what it predicted for its rows, time after time.
    """

    def run(handler, batches, arguments=None, times=20):
        copies = [handler.for_copy(number, len(batches)) for number in range(len(batches))]
        answers = [Future() for _ in copies]
        together = threading.Barrier(len(copies))
        models = []

        def work(number):
            together.wait(30)
            model = copies[number].load_model()
            models.append(model)
            together.wait(60)
            found = []
            for _ in range(times):
                given = None if arguments is None else dict(arguments[number])
                results = copies[number].run_inference(batches[number], model, given)
                found.append([result.inference for result in results])
            return found

        def answer(number):
            try:
                answers[number].set_result(work(number))
            except BaseException as error:
                together.abort()
                answers[number].set_exception(error)

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # Threads take turns as often as they can.
        try:
            for number in range(len(copies)):
                threading.Thread(target=answer, args=(number,), daemon=True).start()
            found = [each.result(100) for each in answers]
        finally:
            sys.setswitchinterval(before)
        assert len(set(map(id, models))) == len(copies)
        return found

    return run
