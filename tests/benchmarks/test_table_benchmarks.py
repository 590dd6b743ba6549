"""The benchmarks on tables and digits: every engine gives the same answers, on data that is made and on one's own."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from runinference.benchmarks.cases.engine_overhead import EngineOverhead
from runinference.benchmarks.cases.onnx_mlp import OnnxMlp
from runinference.benchmarks.cases.sklearn_table import SklearnTable
from runinference.benchmarks.cases.tensorflow_mnist import TensorflowMnist
from runinference.benchmarks.cases.xgboost_table import XGBoostTable
from runinference.benchmarks.catalog import find_benchmarks
from runinference.benchmarks.data.digits import make_digits
from runinference.benchmarks.settings import Settings
from runinference.benchmarks.stand_ins import stand_in_for
from runinference.errors import ConfigurationError, DataError

CASES = [SklearnTable, XGBoostTable, OnnxMlp, TensorflowMnist, EngineOverhead]
WITH_FILES = CASES[:-1]
MODELS = [(case, model) for case in CASES for model in case.models]

# Beam and the packages that it imports leave files open and use what is deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNINFERENCE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def prepared(case, examples=50, model=None, **settings):
    benchmark = case(Settings(examples, model or case.models[0], **settings))
    benchmark.prepare()
    return benchmark


@pytest.mark.parametrize(("case", "model"), MODELS)
def test_all_engines_give_the_same_answers(case, model):
    benchmark = prepared(case, 50, model)
    examples = benchmark.examples()
    passes = {engine: benchmark.run(engine, examples) for engine in case.engines}
    answers = list(passes["embedded"].answers)
    assert len(answers) == len(set(map(id, examples))) == 50
    assert len(set(answers)) > 1
    for engine, result in passes.items():
        assert list(result.answers) == answers, engine
        assert (result.elements, result.failed) == (50, 0)
        assert result.run_s > result.load_s >= 0
        assert engine == "loop" or result.metrics["num_inferences"] == 50


@pytest.mark.parametrize("case", CASES)
def test_nothing_to_do_is_done(case):
    benchmark = prepared(case, 0)
    assert list(benchmark.examples()) == []
    for engine in case.engines:
        assert benchmark.run(engine, []).elements == 0
    assert benchmark.num_bytes([]) == 0
    assert not benchmark.flops([])


@pytest.mark.parametrize("case", CASES)
def test_elements_are_always_the_same(case):
    first, again = (np.array(prepared(case, 5).examples()) for _ in range(2))
    assert first.dtype == np.float32
    assert (first == again).all()


@pytest.mark.parametrize(
    ("case", "of_one"),
    [(SklearnTable, 64 * 4), (XGBoostTable, 32 * 4), (OnnxMlp, 64 * 4), (TensorflowMnist, 784 * 4)],
)
def test_bytes_are_those_of_the_numbers(case, of_one):
    benchmark = prepared(case, 3)
    assert benchmark.num_bytes(benchmark.examples()) == 3 * of_one


def test_operations_are_those_of_products_and_convolutions():
    assert prepared(OnnxMlp).flops([0]) == 2 * (64 * 256 + 256 * 256 + 256 * 10)
    convolutions = 26 * 26 * 16 * 9 + 11 * 11 * 32 * 9 * 16
    assert prepared(TensorflowMnist).flops([0, 0]) == 2 * 2 * (convolutions + 5 * 5 * 32 * 64 + 64 * 10)
    assert prepared(SklearnTable).flops([0]) is None
    assert prepared(XGBoostTable).flops([0]) is None


def test_digits_are_told():
    benchmark = prepared(TensorflowMnist, 300)
    answers = benchmark.run("embedded", benchmark.examples()).answers
    assert np.mean(np.array(answers) == make_digits(300, seed=1)[1]) > 0.9


def test_beams_handler_for_xgboost_is_given_blocks_of_one_row(monkeypatch):
    given = []
    monkeypatch.setattr("runinference.benchmarks.engines.run", lambda *args: given.append(args))
    benchmark = prepared(XGBoostTable, 2)
    for engine in benchmark.engines:
        benchmark.run(engine, benchmark.examples())
    assert [(engine, examples[0].shape) for engine, _, examples in given] == [
        ("embedded", (32,)),
        ("beam", (32,)),
        ("beam-original", (1, 32)),
    ]


@pytest.mark.parametrize("case", WITH_FILES)
def test_a_model_of_ones_own_that_is_not_there_is_told(case, tmp_path):
    benchmark = case(Settings(1, case.models[0], weights=str(tmp_path / "missing")))
    for method in (benchmark.prepare, benchmark.handler, benchmark.beams_handler):
        with pytest.raises(ConfigurationError, match=r"no weights at '.*missing'"):
            method()


@pytest.mark.parametrize("own", [{"input": "rows.csv"}, {"weights": "model.pickle"}])
def test_the_overhead_is_measured_on_rows_that_are_made(own):
    with pytest.raises(ConfigurationError, match=r"engine-overhead adds up rows that it makes. Leave out --input and"):
        EngineOverhead(Settings(1, "sum", **own))


@pytest.mark.parametrize("suffix", ["pickle", "joblib"])
def test_a_model_and_a_table_of_ones_own_are_run_on_all_engines(tmp_path, suffix):
    import joblib
    from sklearn.linear_model import LinearRegression

    rows = np.arange(12.0).reshape(4, 3)
    model = LinearRegression().fit(rows, [0, 1, 2, 3])
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(pickle.dumps(model)) if suffix == "pickle" else joblib.dump(model, path)
    np.savetxt(tmp_path / "rows.csv", rows + 0.5, delimiter=",", header="a,b,c", comments="")
    benchmark = prepared(SklearnTable, 3, weights=str(path), input=str(tmp_path / "rows.csv"))
    assert np.array(benchmark.examples()).tolist() == (rows[:3] + 0.5).tolist()
    for engine in benchmark.engines:
        assert list(benchmark.run(engine, benchmark.examples()).answers) == [0, 1, 2]


def test_trees_of_ones_own_that_predict_numbers_are_run(tmp_path):
    import xgboost

    rows = np.random.default_rng(0).random((50, 4), dtype=np.float32)
    xgboost.XGBRegressor(n_estimators=3).fit(rows, rows[:, 0]).save_model(tmp_path / "trees.json")
    np.savetxt(tmp_path / "rows.csv", rows, delimiter=",", header="a,b,c,d", comments="")
    benchmark = prepared(XGBoostTable, 9, weights=str(tmp_path / "trees.json"), input=str(tmp_path / "rows.csv"))
    answers = [list(benchmark.run(engine, benchmark.examples()).answers) for engine in benchmark.engines]
    assert answers[0] == answers[1] == answers[2]
    assert len(set(answers[0])) > 3


def test_a_table_that_does_not_fit_is_told(tmp_path):
    (tmp_path / "texts.csv").write_text("a,b\n1,one\n")
    with pytest.raises(DataError, match=r"texts.csv is no table of numbers: Column 'b' holds text .*'one'"):
        SklearnTable(Settings(1, "logistic-regression", input=str(tmp_path / "texts.csv"))).examples()
    (tmp_path / "narrow.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"narrow.csv has 2 columns, but a picture has 784 pixels"):
        TensorflowMnist(Settings(1, "cnn", input=str(tmp_path / "narrow.csv"))).examples()
    with pytest.raises(ConfigurationError, match=r"missing.csv' does not exist"):
        OnnxMlp(Settings(1, "mlp-256", input=str(tmp_path / "missing.csv"))).examples()


@pytest.mark.parametrize("case", CASES)
def test_options_are_those_of_our_handler(case):
    handler = prepared(case, 1, handler_options={"max_batch_size": 3}).handler()
    assert handler.batch_elements_kwargs()["max_batch_size"] == 3
    with pytest.raises(ConfigurationError, match=r"has no option 'max_batch_sise'. Did you mean 'max_batch_size'"):
        prepared(case, 1, handler_options={"max_batch_sise": 3}).handler()


def test_a_package_that_is_there_has_no_stand_in():
    stand_in_for("json", loads=None)
    import json

    assert json.loads("1") == 1


def test_a_package_that_is_not_there_has_a_stand_in(monkeypatch):
    stand_in_for("a_package_that_nobody_has", answer=42)
    monkeypatch.delitem(sys.modules, "a_package_that_nobody_has")
    with pytest.raises(ImportError):
        import a_package_that_nobody_has
    stand_in_for("a_package_that_nobody_has", answer=42)
    import a_package_that_nobody_has

    assert a_package_that_nobody_has.answer == 42
    sys.modules.pop("a_package_that_nobody_has")


def test_looking_for_benchmarks_imports_no_framework():
    modules = [*(case.__module__ for case in CASES), *(f"runinference.benchmarks.cases.{name}" for name in MORE)]
    code = "".join(f"import {module}\n" for module in modules)
    code += f"import sys\nprint(set(sys.modules) & {FRAMEWORKS})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


MORE = ["custom", "pytorch_sentiment_streaming"]
FRAMEWORKS = {"sklearn", "xgboost", "onnx", "onnxruntime", "tensorflow", "keras", "torch", "apache_beam", "pyarrow"}


def test_each_of_them_is_listed_with_what_it_is():
    found = find_benchmarks()
    for case in CASES:
        assert found[case.name] is case
        assert len(case.description()) > 200
