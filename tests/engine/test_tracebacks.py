"""What a failure shows of its exception: the user's frames and all causes, without ours."""

import pytest

from runinference.prediction import Failure, qualified_name, user_traceback

pytestmark = pytest.mark.core


def caught(function):
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("did not raise")


def with_cause():
    try:
        raise KeyError("inner")  # the first line
    except KeyError as error:
        raise ValueError("outer") from error  # the second line


def test_causes_are_shown_first():
    text = user_traceback(caught(with_cause))
    assert text.index("the first line") < text.index("KeyError: 'inner'") < text.index("the second line")
    assert text.rstrip().endswith("ValueError: outer")
    assert "The above exception led to" in text


def test_a_cause_that_was_suppressed_is_not_shown():
    def suppressed():
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer") from None

    assert "inner" not in user_traceback(caught(suppressed))


def test_notes_are_shown():
    error = ValueError("text")
    error.add_note("while reading page 3")
    assert "while reading page 3" in user_traceback(error)


def test_an_exception_without_frames_is_its_message():
    assert user_traceback(ValueError("text")) == "ValueError: text\n"


@pytest.mark.timeout(1, method="signal")
def test_a_circle_of_causes_ends():
    def from_itself():
        error = ValueError("text")
        raise error from error

    assert "ValueError: text" in user_traceback(caught(from_itself))


@pytest.mark.parametrize(("kind", "name"), [(ValueError, "ValueError"), (Failure, "runinference.prediction.Failure")])
def test_only_names_of_builtins_go_without_their_module(kind, name):
    assert qualified_name(kind) == name


def test_a_failure_is_flat_for_a_json_line():
    failure = Failure.from_exception(ValueError("text"), example=7, index=3, stage="inference", key="k", model_id="m")
    assert failure.to_dict() == {
        "index": 3,
        "key": "k",
        "stage": "inference",
        "error_type": "ValueError",
        "message": "text",
        "attempts": 1,
        "model_id": "m",
        "example": 7,
        "traceback": "ValueError: text\n",
    }
