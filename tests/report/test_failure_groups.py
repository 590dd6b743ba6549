"""Failures by reason, with short texts instead of rows."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from runinference.prediction import Failure
from runinference.report.failures import LONGEST_EXAMPLE, MOST_EXAMPLES, MOST_GROUPS, FailureGroups, short


def failure(message, example="row", index=0, error_type="ValueError", stage="inference", key=None):
    return Failure(example, key, index, stage, error_type, message, f"Traceback\n{error_type}: {message}")


def groups(*failures):
    found = FailureGroups()
    for each in failures:
        found(each)
    return found.groups()


def test_messages_that_differ_in_values_are_one_reason():
    (group,) = groups(*[failure(f"Column 'area' holds {i} and '{i}', not a number", index=i) for i in range(5)])
    assert group.reason == "Column 'area' holds … and …, not a number"
    assert (group.count, [row.index for row in group.rows]) == (5, [0, 1, 2])


def test_a_message_that_is_always_the_same_stays_as_it_is():
    (group,) = groups(failure("3 of 'a' are bad"), failure("3 of 'a' are bad"))
    assert group.reason == "3 of 'a' are bad"


def test_other_stages_and_errors_are_other_reasons_and_the_largest_comes_first():
    found = groups(failure("no", stage="read"), failure("no", error_type="KeyError"), failure("no"), failure("no"))
    assert [(group.stage, group.error_type, group.count) for group in found] == [
        ("inference", "ValueError", 2),
        ("read", "ValueError", 1),
        ("inference", "KeyError", 1),
    ]


def test_however_many_reasons_there_are_few_are_kept():
    words = ["".join(chr(97 + int(digit)) for digit in f"{i:04d}") for i in range(1000)]
    collected = FailureGroups()
    for word in words:
        collected(failure(f"reason {word}"))
    found = collected.groups()
    assert len(found) == MOST_GROUPS + 1
    assert found[0].error_type == "other reasons"
    assert sum(group.count for group in found) == collected.count == 1000
    assert all(len(group.rows) <= MOST_EXAMPLES for group in found)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        b"\x00\xff" * 10**6,
        np.zeros(10**6),
        {"a": "x" * 10**6},
        dict.fromkeys(range(10**4), 1),
        [[1] * 1000],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_becomes_a_short_text(value):
    assert 0 < len(short(value)) < LONGEST_EXAMPLE + 50


def test_a_row_of_a_table_shows_its_columns():
    assert short({"id": "c", "rooms": 3, "photo": b"\x89PNG"}) == "id: 'c', rooms: 3, photo: b'\\x89PNG'"


def test_a_value_whose_repr_fails_is_shown_all_the_same():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    assert "Broken" in short(Broken())


def test_the_row_itself_is_not_kept():
    class Row:
        pass

    row = Row()
    before = sys.getrefcount(row)
    collected = FailureGroups()
    collected(failure("bad", example=row))
    assert sys.getrefcount(row) == before
