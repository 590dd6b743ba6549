"""The benchmark of one's own handler on one's own rows."""

import json

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from runinference import ModelHandler
from runinference.benchmarks.cases.custom import Custom
from runinference.benchmarks.data.rows import read_rows
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError, DataError

# Beam leaves files open.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

NUMBERS = pa.table({"a": [1.0, 2.0, 3.0, -4.0], "b": [1, -2, 3, -4]})

HANDLERS = """
from apache_beam.ml.inference.sklearn_inference import ModelFileType, SklearnModelHandlerNumpy as Beams
from runinference import ModelHandler

beams = Beams("{model}", ModelFileType.JOBLIB)

class Lengths(ModelHandler):
    def load_model(self):
        return len

    def run_inference(self, batch, model, inference_args=None):
        return [model(row) for row in batch]

class Notes:
    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        return [f"{{row['text']}}!" for row in batch]

class Fails(Notes):
    def run_inference(self, batch, model, inference_args=None):
        if any(row["number"] == 3 for row in batch):
            raise ValueError("three")
        return [row["number"] for row in batch]
"""


@pytest.fixture
def folder(tmp_path):
    model = LogisticRegression().fit([[1.0, 1.0], [-1.0, -1.0]], [1, 0])
    joblib.dump(model, tmp_path / "model.joblib")
    (tmp_path / "handlers_of_mine.py").write_text(HANDLERS.format(model=tmp_path / "model.joblib"))
    pq.write_table(NUMBERS, tmp_path / "numbers.parquet")
    return tmp_path


def benchmark_of(folder, handler, source, examples=100, **settings):
    text = handler if ":" in handler else f"{folder}/handlers_of_mine.py:{handler}"
    benchmark = Custom(Settings(examples, "default", handler=text, input=str(folder / source), **settings))
    benchmark.prepare()
    return benchmark


def answers(benchmark, engines=("embedded", "beam")):
    found = [list(benchmark.run(engine, benchmark.examples()).answers) for engine in engines]
    assert all(each == found[0] for each in found)
    return found[0]


def test_a_model_file_is_run_on_the_rows_of_a_table(folder):
    benchmark = benchmark_of(folder, f"sklearn:{folder}/model.joblib", "numbers.parquet")
    assert [row.tolist() for row in benchmark.examples()] == [[1, 1], [2, -2], [3, 3], [-4, -4]]
    assert [row.shape for row in benchmark.examples()] == [(2,)] * 4
    expected = joblib.load(folder / "model.joblib").predict(np.array(benchmark.examples()))
    assert answers(benchmark) == expected.tolist()
    assert benchmark.num_bytes(benchmark.examples()) == 4 * 2 * 8


def test_a_handler_of_beams_runs_on_all_three_engines(folder):
    benchmark = benchmark_of(folder, "beams", "numbers.parquet")
    three = answers(benchmark, ("embedded", "beam", "beam-original"))
    assert three == answers(benchmark_of(folder, f"sklearn:{folder}/model.joblib", "numbers.parquet"))


def test_any_other_handler_cannot_be_run_by_beams_transform(folder):
    (folder / "texts.txt").write_text("one\n")
    benchmark = benchmark_of(folder, "Lengths", "texts.txt")
    with pytest.raises(ConfigurationError, match="Beam's RunInference has no handler for custom; leave out beam-orig"):
        benchmark.run("beam-original", benchmark.examples())


def test_one_column_is_given_as_values(folder):
    (folder / "texts.txt").write_text("one\nthree\nseven\n")
    assert answers(benchmark_of(folder, "Lengths", "texts.txt", 2)) == [3, 5]


def test_several_columns_are_given_as_dicts(folder):
    lines = [{"text": f"row {number}", "number": number} for number in range(4)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    benchmark = benchmark_of(folder, "Notes", "rows.jsonl")
    assert benchmark.examples() == lines
    assert answers(benchmark) == [f"row {number}!" for number in range(4)]


def test_rows_that_fail_are_counted(folder):
    (folder / "rows.jsonl").write_text("\n".join(json.dumps({"text": "", "number": number}) for number in range(5)))
    benchmark = benchmark_of(folder, "Fails", "rows.jsonl")
    result = benchmark.run("embedded", benchmark.examples())
    assert (result.elements, result.failed) == (4, 1)
    assert list(result.answers) == [0, 1, 2, None, 4]


def test_options_are_given_to_the_handler(folder):
    (folder / "texts.txt").write_text("one\n")
    benchmark = benchmark_of(folder, "Lengths", "texts.txt", handler_options={"max_batch_size": 7})
    assert benchmark.handler().batch_elements_kwargs() == {"max_batch_size": 7}
    assert benchmark.handler() is benchmark.handler()


def test_options_for_a_handler_that_takes_none_are_told(folder):
    (folder / "rows.jsonl").write_text('{"text": "", "number": 1}')
    with pytest.raises(ConfigurationError, match=r"Notes does not derive from runinference.ModelHandler.*\(max_batch"):
        benchmark_of(folder, "Notes", "rows.jsonl", handler_options={"max_batch_size": 7})


def test_a_handler_that_is_not_named_is_asked_for():
    with pytest.raises(ConfigurationError, match=r"custom runs a handler of yours. Name it: --handler sklearn:model"):
        Custom(Settings(1, "default", input="rows.csv"))


def test_an_input_that_is_not_named_is_asked_for():
    with pytest.raises(ConfigurationError, match=r"custom runs over data of yours. Name it: --input rows.parquet"):
        Custom(Settings(1, "default", handler="sklearn:model.joblib"))


def test_weights_are_those_of_the_handler():
    with pytest.raises(ConfigurationError, match=r"custom runs the model of the handler. Leave out --weights"):
        Custom(Settings(1, "default", handler="sklearn:model.joblib", input="rows.csv", weights="model.joblib"))


def test_a_handler_or_input_that_is_not_there_is_told(folder):
    with pytest.raises(ConfigurationError, match=r"has no 'Length'. Did you mean 'Lengths'"):
        benchmark_of(folder, "Length", "numbers.parquet")
    with pytest.raises(ConfigurationError, match=r"missing.csv' does not exist"):
        benchmark_of(folder, "Lengths", "missing.csv")


def test_an_input_that_does_not_fit_the_handler_is_told(folder):
    (folder / "texts.csv").write_text("a,b\n1,one\n")
    with pytest.raises(DataError, match=r"texts.csv does not fit SklearnModelHandlerNumpy: Column 'b' holds text"):
        benchmark_of(folder, f"sklearn:{folder}/model.joblib", "texts.csv")


def handler_called(name, module="handlers_of_mine", **methods):
    return type(name, (ModelHandler,), {"load_model": None, "run_inference": None, "__module__": module, **methods})()


def rows(folder, handler, most=2):
    return read_rows(str(folder / "numbers.parquet"), most, handler)


def test_the_name_of_a_handler_tells_what_it_takes(folder):
    array = rows(folder, handler_called("OnnxModelHandlerNumpy"))[1]
    assert (type(array), array.tolist(), array.flags.c_contiguous) == (np.ndarray, [2, -2], True)
    tensor = rows(folder, handler_called("PytorchModelHandlerTensor"))[1]
    assert (type(tensor), tensor.tolist()) == (torch.Tensor, [2, -2])
    named = rows(folder, handler_called("PytorchModelHandlerKeyedTensor"))[1]
    assert {name: value.item() for name, value in named.items()} == {"a": 2, "b": -2}
    frame = rows(folder, handler_called("XGBoostModelHandlerPandas"))[1]
    assert frame.to_dict("records") == [{"a": 2, "b": -2}]
    block = rows(folder, handler_called("XGBoostModelHandlerNumpy", "apache_beam.ml.inference.xgboost_inference"))[1]
    assert block.tolist() == [[2, -2]]


def test_classes_that_derive_from_such_a_handler_take_the_same(folder):
    derived = type("MyOwn", (type(handler_called("SklearnModelHandlerNumpy")),), {})()
    assert rows(folder, derived)[1].tolist() == [2, -2]


def test_a_handler_that_prepares_its_rows_is_given_dicts(folder):
    handler = handler_called("SklearnModelHandlerNumpy", get_preprocess_fns=lambda self: [list])
    assert rows(folder, handler) == [{"a": 1.0, "b": 1}, {"a": 2.0, "b": -2}]


def test_no_rows_are_no_examples(folder):
    for name in ("XNumpy", "XPandas", "XTensor", "XKeyedTensor", "X"):
        assert rows(folder, handler_called(name), 0) == []


def test_the_index_of_pandas_is_no_column(folder):
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=["x", "y"]).to_parquet(folder / "numbers.parquet")
    assert rows(folder, handler_called("Any")) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]


def test_images_are_given_as_bytes(folder):
    (folder / "images").mkdir()
    (folder / "images" / "one.jpg").write_bytes(b"picture")
    assert read_rows(str(folder / "images"), 5, handler_called("Any")) == [b"picture"]


@pytest.mark.parametrize(
    ("inference", "answer"),
    [
        ("a label", "a label"),
        (np.int64(3), 3),
        (True, 1),
        (0.12345, 0.123),
        (np.float32(-1234.5), -1230.0),
        (np.array([0.25]), 0.25),
        (np.array([0.1, 0.7, 0.2]), 1),
        (torch.tensor([0.1, 0.7, 0.9], requires_grad=True), 2),
        (torch.tensor([0.5, 0.25], dtype=torch.bfloat16), 0),
        (torch.tensor([5, 7]), 12),
        ({"label": "cat", "score": 0.98765}, "label: cat, score: 0.988"),
        ([{"label": "cat", "score": 0.98765}], "label: cat, score: 0.988"),
        (["one", "two"], "one; two"),
        (np.array([]), "[]"),
        ([[1.0], [1.0, 2.0]], "[[1.0], [1.0, 2.0]]"),
        (None, "None"),
    ],
)
def test_answers_are_short(inference, answer):
    benchmark = Custom(Settings(1, "default", handler="any:thing", input="rows.csv"))
    found = benchmark.answer(inference)
    assert found == answer
    assert type(found) is type(answer)


def test_it_is_none_of_those_that_run_without_anything_of_the_users():
    assert not Custom.standard
