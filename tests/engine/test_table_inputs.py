"""Tables of every kind go in, record batches come out."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from runinference import ConfigurationError, KeyedModelHandler, ModelHandler, infer, infer_table
from runinference.testing.fakes import CountingHandler


class Sums(ModelHandler):
    """Takes blocks and adds up their columns; notes how large they were."""

    def __init__(self, **options):
        super().__init__(**options)
        self.sizes = []

    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        raise AssertionError("blocks are not taken apart")

    def run_inference_on_block(self, block, model, inference_args=None):
        self.sizes.append(len(block))
        if isinstance(block, np.ndarray):
            return block.sum(axis=1)
        return np.sum([np.asarray(column) for column in block.columns], axis=0)


def fixed(size):
    return {"min_batch_size": size, "max_batch_size": size}


def run(source, handler, **arguments):
    return pa.Table.from_batches(infer_table(source, handler, **arguments))


TABLE = pa.table({"a": list(range(100)), "b": [10.0 * i for i in range(100)]})
SUMS = [11.0 * i for i in range(100)]

SOURCES = {
    "table": lambda: TABLE,
    "chunked table": lambda: pa.concat_tables([TABLE[:7], TABLE[7:60], TABLE[60:]]),
    "batch": lambda: TABLE.to_batches()[0],
    "reader": lambda: pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches(max_chunksize=9)),
    "batches": lambda: iter(TABLE.to_batches(max_chunksize=9)),
    "tables": lambda: [TABLE[:50], TABLE[50:]],
    "pandas": lambda: TABLE.to_pandas(),
    "polars": lambda: pl.from_arrow(TABLE),
    "lazy polars": lambda: pl.from_arrow(TABLE).lazy(),
    "frames": lambda: (frame for frame in [TABLE[:30].to_pandas(), TABLE[30:].to_pandas()]),
}


@pytest.mark.parametrize("workers", [0, 2, None])
@pytest.mark.parametrize("name", [name for name in SOURCES if name != "lazy polars"])
def test_every_kind_of_table_is_run(name, workers):
    result = run(SOURCES[name](), Sums(), workers=workers)
    assert result.column("prediction").to_pylist() == SUMS
    assert result.drop_columns("prediction").to_pydict() == TABLE.to_pydict()


def test_a_lazy_frame_is_run_without_a_warning():
    assert run(SOURCES["lazy polars"](), Sums()).column("prediction").to_pylist() == SUMS


def test_an_array_comes_out_as_a_column_of_features():
    array = np.arange(20.0).reshape(10, 2)
    result = run(array, Sums())
    assert result.column_names == ["features", "prediction"]
    assert result.column("features").to_pylist() == array.tolist()
    assert result.column("prediction").to_pylist() == array.sum(axis=1).tolist()


def test_tiny_batches_are_joined():
    handler = Sums(**fixed(50))
    run(iter(TABLE.to_batches(max_chunksize=1)), handler)
    assert handler.sizes == [50, 50]


def test_a_huge_batch_is_cut():
    handler = Sums(**fixed(30))
    run(TABLE, handler)
    assert handler.sizes == [30, 30, 30, 10]


@pytest.mark.parametrize("empty", [TABLE[:0], [], TABLE[:0].to_pandas(), np.zeros((0, 2))])
def test_an_empty_table_does_not_load_the_model(empty):
    handler = CountingHandler()
    assert list(infer_table(empty, handler)) == []
    assert handler.log.loads == 0


@pytest.mark.parametrize("workers", [0, None])
def test_one_block_in_is_one_block_out_without_a_copy(workers):
    (block,) = TABLE.to_batches()
    (result,) = infer_table(block, Sums(**fixed(100)), workers=workers)
    for name in ("a", "b"):
        assert addresses(result.column(name)) == addresses(block.column(name))


def test_slices_share_the_buffers_of_their_table():
    parts = list(infer_table(TABLE, Sums(**fixed(40))))
    assert [part.num_rows for part in parts] == [40, 40, 20]
    assert all(addresses(part.column("b")) == addresses(TABLE.column("b").chunk(0)) for part in parts)


def addresses(column):
    return [None if buffer is None else buffer.address for buffer in column.buffers()]


def test_nothing_about_the_other_columns_changes():
    schema = pa.schema(
        [pa.field("x", pa.int8(), nullable=False, metadata={"unit": "m"}), pa.field("when", pa.timestamp("ns", "UTC"))],
        metadata={"made": "by hand"},
    )
    table = pa.table({"x": [1, 2], "when": [None, 5]}, schema=schema)
    result = run(table, CountingHandler().with_postprocess_fn(lambda r: r.inference), columns=["x"])
    assert result.drop_columns("prediction").equals(table, check_metadata=True)
    assert result.schema.metadata == schema.metadata


def test_rows_are_dicts_of_the_columns():
    class Sees(CountingHandler):
        def run_inference(self, batch, model, inference_args=None):
            return [repr(row) for row in batch]

    result = run(TABLE[:2], Sees())
    assert result.column("prediction").to_pylist() == ["{'a': 0, 'b': 0.0}", "{'a': 1, 'b': 10.0}"]


def test_rows_of_one_column_are_its_values():
    assert run(TABLE, CountingHandler(), columns=["a"]).column("prediction").to_pylist() == list(range(0, 200, 2))
    assert run(TABLE, CountingHandler(), columns="a").column("prediction").to_pylist() == list(range(0, 200, 2))


def test_the_model_sees_only_the_columns_asked_for():
    assert run(TABLE, Sums(), columns=["b"]).column("prediction").to_pylist() == [10.0 * i for i in range(100)]


def test_the_key_is_no_feature():
    table = TABLE.append_column("id", pa.array([f"r{i}" for i in range(100)]))
    assert run(table, Sums(), key="id").column("prediction").to_pylist() == SUMS


def test_a_keyed_handler_gets_its_key_from_the_table():
    handler = KeyedModelHandler(CountingHandler())
    table = pa.table({"id": ["p", "q"], "x": [1, 2]})
    assert run(table, handler, key="id").to_pylist() == [
        {"id": "p", "x": 1, "prediction": 2},
        {"id": "q", "x": 2, "prediction": 4},
    ]
    with pytest.raises(ConfigurationError, match="KeyedModelHandler needs keys: pass key="):
        infer_table(table, handler)


def test_an_unknown_column_is_refused_with_the_closest():
    with pytest.raises(ConfigurationError, match=r"no column 'incme'. Did you mean 'income'\? Columns: age, income"):
        run(pa.table({"age": [1], "income": [2]}), Sums(), columns=["incme"])
    with pytest.raises(ConfigurationError, match="no column 'idd'"):
        run(TABLE, Sums(), key="idd")


def test_a_column_of_the_name_of_the_output_is_refused():
    table = TABLE.append_column("prediction", TABLE.column("a"))
    with pytest.raises(ConfigurationError, match="has a column 'prediction' already; choose another output_column"):
        run(table, Sums())
    assert run(table, Sums(), columns=["a"], output_column="again").column_names[-1] == "again"


@pytest.mark.parametrize("source", ["file.csv", {"a": [1]}, 5, None])
def test_what_is_no_table_is_refused(source):
    with pytest.raises(ConfigurationError, match="infer_table needs a table"):
        infer_table(source, Sums())


def test_rows_instead_of_tables_are_noticed():
    with pytest.raises(ConfigurationError, match="it holds dict; infer"):
        run([{"a": 1}], Sums())
    with pytest.raises(ConfigurationError, match=r"must have shape \(rows, features\), got \(3,\)"):
        infer_table(np.zeros(3), Sums())


@pytest.mark.parametrize("source", [TABLE, TABLE.to_batches()[0], TABLE.to_pandas(), pl.from_arrow(TABLE)])
def test_a_table_given_to_infer_is_noticed(source):
    with pytest.raises(ConfigurationError, match="is a table: use infer_table"):
        infer(source, Sums())


@pytest.mark.parametrize("argument", [{"columns": ["a"]}, {"key": "a"}, {"output_column": "features"}])
def test_what_an_array_does_not_have_is_refused(argument):
    with pytest.raises(ConfigurationError):
        run(np.zeros((3, 2)), Sums(), **argument)


def test_the_index_of_a_frame_is_no_feature():
    frame = TABLE.to_pandas().set_index(pd.Index([i * i for i in range(100)], name="id"))
    assert run(frame, Sums()).column("prediction").to_pylist() == SUMS


def test_an_unnamed_index_of_a_frame_is_no_feature():
    frame = TABLE.to_pandas().set_index(pd.Index([i * i for i in range(100)]))
    assert run(frame, Sums()).column("prediction").to_pylist() == SUMS


@pytest.mark.parametrize("make", [Sums, lambda: CountingHandler().with_preprocess_fn(lambda row: 1)])
def test_tables_whose_types_differ_are_all_run(make):
    """As pandas frames do when a column of integers has a missing value in only some of them."""
    frames = [pd.DataFrame({"a": [1, 2], "b": [1, 2]}), pd.DataFrame({"a": [1.5, None], "b": [1, 2]})]
    assert sum(batch.num_rows for batch in infer_table(frames, make())) == 4


class Doubles(CountingHandler):
    def run_inference_on_block(self, block, model, inference_args=None):
        self.log.called(len(block))
        return block[:, 0] * 2


@pytest.mark.parametrize(("options", "largest"), [({}, 65536), ({"max_batch_size": 100}, 100)])
def test_blocks_may_be_larger_than_batches_of_rows_unless_the_handler_says_so(options, largest):
    handler = Doubles(**options)
    rows = sum(batch.num_rows for batch in infer_table([np.ones((65536, 1))] * 20, handler))
    assert rows == 20 * 65536
    assert max(handler.log.batch_sizes) <= largest
    assert max(handler.log.batch_sizes) > (4096 if not options else 0)
