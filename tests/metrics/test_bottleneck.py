"""What held a run up, in words."""

from __future__ import annotations

import time

import pytest

from runinference import Engine, EnsembleModelHandler, Metrics, infer
from runinference.metrics.bottleneck import StageTimes, device_share, verdict
from runinference.testing.fakes import CountingHandler

pytestmark = pytest.mark.core

STEP_S, LONG_STEP_S = 0.002, 0.03  # What shall be the bottleneck sleeps, while all else does next to nothing.


def times(**seconds):
    return StageTimes(**{"elapsed": 100.0, "running": 100.0, "model": 30.0, **seconds})


def test_a_busy_model_is_the_limit():
    found = verdict(times(model=96.0, reading=40.0))
    assert found.headline == "The model was busy 96 % of the time."
    assert "Only a faster model helps" in found.advice
    assert str(found) == f"{found.headline} {found.advice}"


@pytest.mark.parametrize(("device", "words"), [(0.31, "Its device computed only 31 % of it"), (0.9, "Only a faster")])
def test_a_busy_model_on_an_idle_device_does_not_need_a_faster_one(device, words):
    assert verdict(times(model=96.0, device=device)).advice.startswith(words)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("reading", "Reading took 61 % of it: use a faster disk"),
        ("preprocess", "Pre-processing took 61 % of it: add workers"),
        ("postprocess", "Post-processing took 61 % of it: add workers"),
        ("writing", "Writing took 61 % of it: use a faster disk"),
        ("taking", "Taking the results took 61 % of it: do less"),
    ],
)
def test_where_the_model_waits_the_slowest_other_stage_is_named(stage, words):
    found = verdict(times(**{"reading": 1.0, stage: 61.0}))
    assert found.headline == "The model was busy 30 % of the time."
    assert found.advice.startswith(words)


@pytest.mark.parametrize(("loading", "running"), [(81.0, 15.0), (60.0, 100.0), (30.0, 20.0)])
def test_a_short_run_is_mostly_loading(loading, running):
    found = verdict(times(loading=loading, running=running, model=14.0))
    assert found.headline == f"Loading the model took {loading:.0f} % of the time."


@pytest.mark.parametrize(("loading", "running"), [(40.0, 60.0), (10.0, 5.0)])
def test_loading_that_took_little_is_not_blamed(loading, running):
    assert "Loading" not in verdict(times(loading=loading, running=running, model=4.0)).headline


def test_copies_share_the_time():
    assert verdict(times(model=180.0, copies=2)).headline == "The model was busy 90 % of the time."
    assert verdict(times(model=100.0, copies=2, reading=0.0)).headline.startswith("The model was busy 50 %")
    assert times(model=180.0, copies=2).stages()["Model"] == 90.0


def test_copies_that_nobody_told_of_are_found_by_their_time():
    assert times(model=250.0).lanes == 3
    assert times(model=250.0).busy == pytest.approx(250 / 300)


def test_threads_share_the_time_of_pre_and_post_processing():
    found = times(preprocess=90.0, postprocess=40.0, reading=50.0, workers=4)
    assert (found.stages()["Pre-processing"], found.stages()["Post-processing"]) == (22.5, 10.0)
    assert verdict(found).advice.startswith("Reading took 50 %")


def test_threads_that_nobody_told_of_are_found_by_their_time():
    assert times(preprocess=150.0).stages()["Pre-processing"] == 75.0


def test_what_was_not_measured_is_not_blamed():
    assert "not measured" in verdict(times()).advice
    assert "No other stage took long" in verdict(times(reading=1.0)).advice


def test_without_a_call_there_is_nothing_to_say_about_the_model():
    assert verdict(StageTimes(0.0, 0.0)).headline == "The model was never run."


def test_stages_that_took_no_time_are_left_out():
    assert list(times(reading=0.0, writing=2.0).stages()) == ["Model", "Writing"]


def test_the_share_of_the_device_is_the_mean_of_what_its_driver_told():
    metrics = Metrics()
    assert device_share(metrics.snapshot()) is None
    for percent in (20, 40):
        metrics.observe("device_utilization_percent", percent)
    assert device_share(metrics.snapshot()) == pytest.approx(0.3)


class Slow(CountingHandler):
    """Takes its time for each batch."""

    def run_inference(self, batch, model, inference_args=None):
        time.sleep(LONG_STEP_S)
        return super().run_inference(batch, model, inference_args)


def slowly(value):
    time.sleep(STEP_S)
    return value


def named(rows, handler, take=None, **options):
    """What the metrics of a run say held it up."""
    metrics = Metrics()
    for result in infer(rows, handler, metrics=metrics, **options):
        if take is not None:
            take(result)
    return metrics.snapshot()["bottleneck"]


ROWS = range(60)
WORKERS = pytest.mark.parametrize("workers", [0, 2, None])


@WORKERS
def test_a_run_says_that_its_model_held_it_up(workers):
    said = named(range(8), Slow(max_batch_size=1), workers=workers)
    assert said.startswith("The model was busy ")
    assert said.endswith("Only a faster model helps: a faster device, lower precision, more copies.")


@WORKERS
def test_a_run_says_that_reading_held_it_up(workers):
    assert "Reading took " in named(map(slowly, ROWS), CountingHandler(max_batch_size=4), workers=workers)


@WORKERS
@pytest.mark.parametrize("copies", [1, 2])
def test_a_run_says_that_pre_processing_held_it_up(workers, copies):
    handler = CountingHandler(max_batch_size=4, model_copies=copies).with_preprocess_fn(slowly)
    assert "Pre-processing took " in named(ROWS, handler, workers=workers)


@pytest.mark.parametrize("workers", [0, None])
def test_a_run_says_that_post_processing_held_it_up(workers):
    handler = CountingHandler(max_batch_size=4).with_postprocess_fn(slowly)
    assert "Post-processing took " in named(ROWS, handler, workers=workers)


@WORKERS
def test_a_run_says_that_its_results_were_taken_slowly(workers):
    assert "Taking the results took " in named(ROWS, CountingHandler(max_batch_size=4), slowly, workers=workers)


def test_a_run_says_that_loading_held_it_up():
    class LoadsSlowly(CountingHandler):
        def load_model(self):
            time.sleep(4 * LONG_STEP_S)
            return super().load_model()

    assert named(range(3), LoadsSlowly()).startswith("Loading the model took ")


def test_of_several_models_only_all_together_have_a_bottleneck():
    with Engine(EnsembleModelHandler({"a": Slow(max_batch_size=4), "b": CountingHandler()})) as engine:
        assert "bottleneck" not in engine.metrics().gauges
        list(engine.map(range(8)))
        snapshot = engine.metrics()
    assert snapshot["bottleneck"].startswith("The model was busy ")
    assert not [name for name in snapshot.to_dict() if name.endswith("-bottleneck")]


def test_submitted_rows_have_one_too():
    with Engine(Slow(max_batch_size=4)) as engine:
        assert engine.submit(1).result()
        engine.close()
        assert engine.metrics()["bottleneck"].startswith("The model was busy ")
