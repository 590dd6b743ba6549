"""What held a run up, in words."""

from __future__ import annotations

import pytest

from runinference.report.bottleneck import StageTimes, verdict


def times(**seconds):
    return StageTimes(**{"elapsed": 100.0, "running": 100.0, "model": 30.0, **seconds})


def test_a_busy_model_is_the_limit():
    found = verdict(times(model=96.0, reading=40.0))
    assert found.headline == "The model was busy 96 % of the time."
    assert "Only a faster model helps" in found.advice


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("reading", "Reading took 61 %. Read from a faster disk"),
        ("preprocess", "Pre-processing took 61 % of it. Add workers"),
        ("postprocess", "Post-processing took 61 % of it. Add workers"),
        ("writing", "Writing took 61 % of it. Write to a faster disk"),
    ],
)
def test_where_the_model_waits_the_slowest_other_stage_is_named(stage, words):
    found = verdict(times(**{"reading": 1.0, stage: 61.0}))
    assert found.headline == "The model was busy 30 % of the time and waited 70 %."
    assert found.advice.startswith(words)


def test_a_short_run_is_mostly_loading():
    found = verdict(times(loading=81.0, running=15.0, model=14.0))
    assert found.headline == "Loading the model took 81 % of the time."


def test_copies_share_the_time():
    assert verdict(times(model=180.0, copies=2)).headline == "The model was busy 90 % of the time."
    assert verdict(times(model=100.0, copies=2, reading=0.0)).headline.startswith("The model was busy 50 %")
    assert times(model=180.0, copies=2).stages()["Model"] == 90.0


def test_copies_that_nobody_told_of_are_found_by_their_time():
    assert times(model=250.0).lanes == 3
    assert times(model=250.0).busy == pytest.approx(250 / 300)


def test_what_was_not_measured_is_not_blamed():
    assert "not measured" in verdict(times()).advice
    assert "No other stage took long" in verdict(times(reading=1.0)).advice


def test_without_a_call_there_is_nothing_to_say_about_the_model():
    assert verdict(StageTimes(0.0, 0.0)).headline == "The model was never run."


def test_stages_that_took_no_time_are_left_out():
    assert list(times(reading=0.0, writing=2.0).stages()) == ["Model", "Writing"]
