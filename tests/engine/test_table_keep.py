"""`infer_table(keep=…)`: columns that the model sees and the output lacks."""

import pyarrow as pa
import pytest

from runinference import ConfigurationError, KeyedModelHandler, ModelHandler, infer_table

TABLE = pa.table({"id": ["a", "b", "c"], "n": [1, 2, 3], "large": [b"x", b"yy", b"zzz"]})


class Lengths(ModelHandler):
    def load_model(self):
        return len

    def run_inference(self, batch, model, inference_args=None):
        if b"yy" in batch:
            raise ValueError("no yy")
        return [model(example) for example in batch]


class Sums(ModelHandler):
    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        raise AssertionError("blocks are not taken apart")

    def run_inference_on_block(self, block, model, inference_args=None):
        return block.column("n").to_numpy() * 10


def run(handler, **arguments):
    return pa.Table.from_batches(infer_table(TABLE, handler, **arguments))


@pytest.mark.parametrize("keep", [["id"], "id"])
def test_columns_that_are_not_kept_are_neither_in_the_output_nor_in_failures(keep):
    failures = []
    result = run(Lengths(), columns=["large"], key="id", keep=keep, on_failure=failures.append)
    assert result.to_pydict() == {"id": ["a", "c"], "prediction": [1, 3]}
    assert [(failure.key, failure.example) for failure in failures] == [("b", {"id": "b"})]


def test_they_are_kept_in_the_order_asked_for():
    assert run(Sums(), keep=["n", "id"]).column_names == ["n", "id", "prediction"]
    assert run(Sums(), keep=TABLE.column_names).column_names == ["id", "n", "large", "prediction"]
    assert run(Sums(), keep=[]).to_pydict() == {"prediction": [10, 20, 30]}


def test_a_handler_that_takes_blocks_sees_all_columns():
    result = run(Sums(), columns=["n", "large"], keep=["id"])
    assert result.to_pydict() == {"id": ["a", "b", "c"], "prediction": [10, 20, 30]}


def test_keys_still_reach_a_keyed_handler():
    failures = []
    result = run(KeyedModelHandler(Lengths()), columns=["large"], key="id", keep=["id"], on_failure=failures.append)
    assert result.to_pydict() == {"id": ["a", "c"], "prediction": [1, 3]}
    assert [failure.key for failure in failures] == ["b"]


def test_the_key_must_be_kept():
    with pytest.raises(ConfigurationError, match=r"keep=\['n'\] leaves out the key column 'id'"):
        run(Lengths(), columns=["large"], key="id", keep=["n"])


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ConfigurationError, match=r"no column 'idd'. Did you mean 'id'\?"):
        run(Lengths(), columns=["large"], keep=["idd"])
