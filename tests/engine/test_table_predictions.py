"""Predictions of every kind become a column, and rows that fail are set aside."""

import numpy as np
import pyarrow as pa
import pytest

from runinference import DataError, InferenceError, ModelHandler, PredictionResult, infer_table
from runinference.handler import num_bytes


class Maps(ModelHandler):
    """Predicts `fn(row)`, by rows."""

    def __init__(self, fn, **options):
        super().__init__(**options)
        self.fn = fn

    def load_model(self):
        return self.fn

    def run_inference(self, batch, model, inference_args=None):
        return [PredictionResult(row, model(row)) for row in batch]


class Blocks(Maps):
    """The same by blocks of one column."""

    def run_inference_on_block(self, block, model, inference_args=None):
        return np.array([model(row) for row in block.column(0).to_pylist()])


TABLE = pa.table({"x": list(range(20)), "id": [f"r{i}" for i in range(20)]})
FIXED_8 = {"min_batch_size": 8, "max_batch_size": 8}


def predictions(fn, rows=4, **options):
    batches = list(infer_table(TABLE[:rows], Maps(fn, **options), columns=["x"]))
    return pa.Table.from_batches(batches).column("prediction")


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda x: x, [0, 1, 2]),
        (lambda x: np.float32(x), [0.0, 1.0, 2.0]),
        (lambda x: str(x), ["0", "1", "2"]),
        (lambda x: x > 1, [False, False, True]),
        (lambda x: None if x == 1 else x, [0, None, 2]),
        (lambda x: {"label": "a", "score": x}, [{"label": "a", "score": x} for x in range(3)]),
        (lambda x: [x] * x, [[], [1], [2, 2]]),
        (lambda x: [x, None], [[0, None], [1, None], [2, None]]),
        (lambda x: np.full(2, x), [[0, 0], [1, 1], [2, 2]]),
        (lambda x: np.full((2, 2), x), [[[0, 0]] * 2, [[1, 1]] * 2, [[2, 2]] * 2]),
        (lambda x: np.full((x, 1), x), [[], [[1]], [[2], [2]]]),
        (lambda x: {"a": np.full(x, 7), "b": "c"}, [{"a": [7] * n, "b": "c"} for n in range(3)]),
        (lambda x: (np.full(x, 7),), [{"0": [7] * n} for n in range(3)]),
        (lambda x: np.full(x, 7), [[], [7], [7, 7]]),
        (lambda x: None if x == 0 else np.full(2, x), [None, [1, 1], [2, 2]]),
    ],
)
def test_predictions_become_a_column(fn, expected):
    assert predictions(fn, rows=3).to_pylist() == expected


def test_a_matrix_of_a_block_becomes_lists_of_fixed_size():
    (batch,) = infer_table(TABLE[:3], Blocks(lambda x: [x, 2 * x]), columns=["x"])
    assert batch.schema.field("prediction").type == pa.list_(pa.int64(), 2)
    assert batch.column("prediction").to_pylist() == [[0, 0], [1, 2], [2, 4]]


def test_arrays_may_be_missing_later():
    assert predictions(lambda x: np.full(2, x) if x < 2 else None).to_pylist() == [[0, 0], [1, 1], None, None]


def test_a_later_batch_is_cast_to_the_type_of_the_first():
    column = predictions(lambda x: float(x) if x < 8 else x, rows=20, **FIXED_8)
    assert column.type == pa.float64()
    assert column.to_pylist() == list(range(20))


@pytest.mark.parametrize("later", ["text", 0.5])
def test_a_later_batch_of_another_type_is_an_error_that_says_both(later):
    with pytest.raises(DataError, match=r"predictions changed from type int64 to (string|double).*Make them one type"):
        predictions(lambda x: x if x < 8 else later, rows=20, **FIXED_8)


@pytest.mark.parametrize(("first", "later"), [(1, {"a": 1}), (np.zeros(2), np.zeros((2, 2))), ("text", {"a": 1})])
def test_a_later_batch_of_another_shape_is_an_error_that_says_both(first, later):
    with pytest.raises(DataError, match="predictions changed from type"):
        predictions(lambda x: first if x < 8 else later, rows=20, **FIXED_8)


def test_a_first_batch_without_a_value_does_not_fix_the_type():
    column = predictions(lambda x: None if x < 8 else x, rows=20, **FIXED_8)
    assert column.to_pylist() == [None] * 8 + list(range(8, 20))


def test_fields_that_come_later_are_not_lost():
    with pytest.raises(DataError):
        predictions(lambda x: {"a": 1} if x < 8 else {"b": "text"}, rows=20, **FIXED_8)


@pytest.mark.parametrize(
    "wrong",
    [
        object(),
        2**70,
    ],
)
def test_what_cannot_be_a_column_is_an_error_that_says_what_to_do(wrong):
    with pytest.raises(DataError, match=r"cannot be a column .*with_postprocess_fn"):
        predictions(lambda x: wrong)


def fails_on(*bad):
    def fn(x):
        if x in bad:
            raise ValueError(f"bad {x}")
        return 2 * x

    return fn


@pytest.mark.parametrize("workers", [0, 2, None])
@pytest.mark.parametrize("kind", [Maps, Blocks])
def test_only_the_rows_that_fail_are_missing(kind, workers):
    failures = []
    source = iter(TABLE.to_batches(max_chunksize=3))
    handler = kind(fails_on(3, 11), **FIXED_8)
    batches = infer_table(source, handler, columns=["x"], key="id", on_failure=failures.append, workers=workers)
    result = pa.Table.from_batches(batches)
    good = [x for x in range(20) if x not in (3, 11)]
    assert result.column("x").to_pylist() == good
    assert result.column("id").to_pylist() == [f"r{x}" for x in good]
    assert result.column("prediction").to_pylist() == [2 * x for x in good]
    assert [(f.index, f.key, f.example) for f in failures] == [
        (3, "r3", {"x": 3, "id": "r3"}),
        (11, "r11", {"x": 11, "id": "r11"}),
    ]


def test_without_on_failure_the_first_raises_after_the_rows_before():
    rows = []
    with pytest.raises(InferenceError, match="Row 11 failed in inference: ValueError: bad 11"):
        rows.extend(b for b in infer_table(TABLE, Blocks(fails_on(11), **FIXED_8), columns=["x"]))
    assert pa.Table.from_batches(rows).column("x").to_pylist() == list(range(11))


def test_steps_see_rows_and_the_table_keeps_its_own():
    handler = Maps(lambda x: x).with_preprocess_fn(lambda row: row["x"] + 100)
    handler = handler.with_postprocess_fn(lambda result: f"<{result.inference}>")
    result = pa.Table.from_batches(infer_table(TABLE[:2], handler))
    assert result.to_pylist() == [
        {"x": 0, "id": "r0", "prediction": "<100>"},
        {"x": 1, "id": "r1", "prediction": "<101>"},
    ]


def test_batches_by_length_keep_rows_and_predictions_together():
    lengths = [(7 * i) % 50 + 1 for i in range(300)]
    table = pa.table({"n": lengths, "row": list(range(300))})
    handler = Maps(lambda n: -n, batch_length_fn=int, max_batch_weight=100)
    result = pa.Table.from_batches(infer_table(table, handler, columns=["n"]))
    assert result.column("row").to_pylist() == list(range(300))
    assert result.column("prediction").to_pylist() == [-n for n in lengths]


def test_a_frame_as_one_example_has_the_bytes_of_its_cells():
    frame = TABLE.select(["x"]).to_pandas()
    assert num_bytes(frame) == 160
