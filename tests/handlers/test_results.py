"""Whatever a model returns for a batch comes apart into one prediction for each row."""

import collections
import copy
import dataclasses
import pickle
import types
from typing import NamedTuple

import numpy as np
import pytest

from runinference import PredictionResult
from runinference.batching.zipped import Zipped
from runinference.errors import OutputCountError
from runinference.handlers.results import make_predictions, make_results, results_of_own_function

pytestmark = pytest.mark.core

BATCH = ["x", "y", "z"]
MATRIX = np.arange(6.0).reshape(3, 2)


class Boxes(NamedTuple):
    boxes: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass
class Output:
    logits: np.ndarray
    extra: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    logits: np.ndarray


def plain(value):
    """The same with lists in place of arrays."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)
    return value


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ([1, "two", None], [1, "two", None]),
        ([{"a": 1}, {"b": 2}, {}], [{"a": 1}, {"b": 2}, {}]),
        ((1, 2, 3), [1, 2, 3]),
        (((1, 2), (3,), ()), [(1, 2), (3,), ()]),
        (range(3), [0, 1, 2]),
        (iter("abc"), ["a", "b", "c"]),
        ((letter for letter in "abc"), ["a", "b", "c"]),
        (MATRIX, [[0, 1], [2, 3], [4, 5]]),
        (MATRIX[:, 0], [0, 2, 4]),
        (MATRIX[..., None], [[[0], [1]], [[2], [3]], [[4], [5]]]),
        (np.array(["a", "b", "c"]), ["a", "b", "c"]),
        (np.array([{"a": 1}, None, [2]], dtype=object), [{"a": 1}, None, [2]]),
        ({"a": MATRIX, "b": [1, 2, 3]}, [{"a": [0, 1], "b": 1}, {"a": [2, 3], "b": 2}, {"a": [4, 5], "b": 3}]),
        ({"a": {"b": MATRIX[:, 1]}, "c": None}, [{"a": {"b": n}, "c": None} for n in (1, 3, 5)]),
        (types.MappingProxyType({"a": MATRIX[:, 1]}), [{"a": 1}, {"a": 3}, {"a": 5}]),
        (collections.OrderedDict(a=MATRIX[:, 1]), [{"a": 1}, {"a": 3}, {"a": 5}]),
        ((MATRIX, MATRIX[:, 0]), [([0, 1], 0), ([2, 3], 2), ([4, 5], 4)]),
        ((MATRIX[:, 0],), [(0,), (2,), (4,)]),
        (((MATRIX[:, 0], MATRIX[:, 1]), MATRIX[:, 0]), [((0, 1), 0), ((2, 3), 2), ((4, 5), 4)]),
        (
            ({"a": MATRIX[:, 0]}, {"b": MATRIX[:, 1]}),
            [({"a": 0}, {"b": 1}), ({"a": 2}, {"b": 3}), ({"a": 4}, {"b": 5})],
        ),
    ],
)
def test_each_form_comes_apart(returned, expected):
    predictions = make_predictions(BATCH, returned)
    assert len(predictions) == 3
    assert [plain(prediction) for prediction in predictions] == expected
    assert plain(predictions[1]) == expected[1] or not hasattr(predictions, "__getitem__")


def test_named_tuples_and_dataclasses_keep_their_class():
    found = list(make_predictions(BATCH, Boxes(MATRIX, MATRIX[:, 0])))
    assert {type(one) for one in found} == {Boxes}
    assert [one.scores for one in found] == [0, 2, 4]
    found = list(make_predictions(BATCH, Output(MATRIX)))
    assert [(type(one), one.logits.tolist(), one.extra) for one in found] == [
        (Output, row.tolist(), None) for row in MATRIX
    ]
    assert [one.logits.tolist() for one in make_predictions(BATCH, Frozen(MATRIX))] == MATRIX.tolist()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("make", [lambda *columns: columns, lambda *columns: {"all": columns}])
def test_a_tuple_of_columns_that_are_sequences_is_several_outputs(make, count):
    """However many rows there are, be it by chance as many as outputs."""
    columns = [Zipped(tuple, (list(range(count)), list("abc")[:count])) for _ in range(2)]
    found = [row["all"] if isinstance(row, dict) else row for row in make_predictions(BATCH[:count], make(*columns))]
    assert found == [((number, letter), (number, letter)) for number, letter in enumerate("abc"[:count])]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([1, 2], "returned 2 predictions for a batch of 3 rows"),
        (MATRIX[:1], "returned 1 predictions for a batch of 3 rows"),
        (np.zeros((0, 2)), "returned 0 predictions for a batch of 3 rows"),
        (iter([1, 2, 3, 4]), "returned 4 predictions for a batch of 3 rows"),
        ({"a": MATRIX, "b": MATRIX[:2]}, r"'b'\].* 2 .* 3 rows"),
        ({"a": {"b": [1]}}, r"\['a'\]\['b'\].* 1 .* 3 rows"),
        ((MATRIX, MATRIX[:2]), r"\[1\].* 2 .* 3 rows"),
        (Boxes(MATRIX, MATRIX[:2]), r"'scores'\].* 2 .* 3 rows"),
        (np.float64(3.0), "one float64 for a batch"),
        (np.array(3.0), "one ndarray for a batch"),
        (3.0, "one float for a batch"),
        (None, "one NoneType for a batch"),
        ("abc", "one str for a batch"),
        (b"abc", "one bytes for a batch"),
        ({"a": MATRIX, "loss": np.float64(0.1)}, r"output \['loss'\] is one float64 for the whole batch"),
        ({"a": MATRIX, "name": "abc"}, r"output \['name'\] is one str for the whole batch"),
        (Output(MATRIX, extra=3), r"output \['extra'\] is one int for the whole batch"),
        ({}, "What the model returned is empty"),
        ({"a": {}}, r"output \['a'\] is empty"),
    ],
)
def test_what_is_not_one_for_each_row_is_told(returned, message):
    with pytest.raises(OutputCountError, match=message):
        make_predictions(BATCH, returned)


def test_a_pickled_row_is_small():
    large = np.zeros((10_000, 3))
    for returned in (large, {"a": large}, (large, large), Output(large), Boxes(large, large)):
        row = make_predictions(range(10_000), returned)[5]
        assert len(pickle.dumps(row)) < 600


def test_results_of_a_batch_can_be_pickled():
    results = make_results(BATCH, MATRIX[:, 0], "model.bin")
    again = pickle.loads(pickle.dumps(results))
    assert list(again) == list(results)
    assert {type(result) for result in again} == {PredictionResult}


def test_results_put_rows_and_predictions_together():
    results = make_results(BATCH, MATRIX[:, 0], "model.bin")
    assert len(results) == 3
    assert list(results) == [
        PredictionResult("x", 0.0, "model.bin"),
        PredictionResult("y", 2.0, "model.bin"),
        PredictionResult("z", 4.0, "model.bin"),
    ]
    assert results[-1] == PredictionResult("z", 4.0, "model.bin")
    assert [result.example for result in results[1:]] == ["y", "z"]
    assert {result.model_id for result in make_results(BATCH, MATRIX)} == {None}


def test_reading_twice_gives_the_same():
    results = make_results(BATCH, (n for n in range(3)))
    assert list(results) == list(results)


def test_the_returned_object_is_not_changed():
    returned = {"a": MATRIX.copy(), "b": [1, 2, 3], "c": Output(MATRIX.copy())}
    before = copy.deepcopy(returned)
    list(make_predictions(BATCH, returned))
    assert plain({**returned, "c": returned["c"].logits}) == plain({**before, "c": before["c"].logits})


def test_a_tuple_of_results_is_one_result_for_each_row():
    returned = tuple(PredictionResult(row, row * 2) for row in MATRIX)
    assert list(make_predictions(MATRIX, returned)) == list(returned)


def test_columns_of_pandas_come_apart_as_arrays():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(MATRIX, columns=["a", "b"], index=[7, 8, 9])
    assert [row.tolist() for row in make_predictions(BATCH, frame)] == MATRIX.tolist()
    assert list(make_predictions(BATCH, frame["a"])) == [0, 2, 4]


def test_a_function_of_ones_own_may_make_results_or_predictions():
    rows = ["a", "b"]
    made = [PredictionResult("x", 1), PredictionResult("y", 2, "its own")]
    expected = [PredictionResult("x", 1, "model"), PredictionResult("y", 2, "its own")]
    for outputs in (made, tuple(made), iter(made)):
        assert list(results_of_own_function(rows, outputs, "model")) == expected
    doubled = results_of_own_function(rows, [1, 2], "model", lambda outputs: [2 * each for each in outputs])
    assert list(doubled) == [PredictionResult("a", 2, "model"), PredictionResult("b", 4, "model")]
    for outputs in (made[:1], [1]):
        with pytest.raises(OutputCountError, match="returned 1 predictions for a batch of 2 rows"):
            results_of_own_function(rows, outputs, "model")
