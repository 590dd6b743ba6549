"""Streams: windows, timestamps, panes, bundles one after the other, and versions of a model that come with them."""

import apache_beam as beam
import pytest
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import trigger, window
from handlers_for_workers import NotingHandler, processes_noted
from streams import inference, stream, streaming

from runinference.beam import (
    KeyedModelHandler,
    RunInference,
)
from runinference.testing.fakes import CountingHandler, FailingHandler

DEADLINES = pytest.mark.parametrize("options", [{}, {"max_batch_duration_secs": 0.05}], ids=["no deadline", "deadline"])
WINDOWS = pytest.mark.parametrize(
    ("windows", "ends"),
    [
        (window.FixedWindows(10), lambda time: {time // 10 * 10 + 10}),
        (window.SlidingWindows(10, 5), lambda time: {time // 5 * 5 + 5, time // 5 * 5 + 10}),
    ],
    ids=["fixed", "sliding"],
)


def in_time(element, at=beam.DoFn.TimestampParam, where=beam.DoFn.WindowParam):
    """An element with its second and the end of its window."""
    return element, at.seconds(), where.end.seconds()


def with_pane(element, pane=beam.DoFn.PaneInfoParam):
    return element, pane.index, pane.is_first, pane.is_last


def failed_element(letter):
    return letter[0]


@DEADLINES
@WINDOWS
def test_predictions_and_dead_letters_stay_in_their_windows_at_their_times(windows, ends, options):
    with streaming() as pipeline:
        rows = pipeline | stream([1, 2, 12], [3, 13, 23], [24, 4]) | beam.WindowInto(windows)
        good, dead = rows | RunInference(FailingHandler({12, 24}, **options)).with_exception_handling()
        predictions = good | beam.Map(inference) | beam.Map(in_time)
        wanted = [(2 * time, time, end) for time in (1, 2, 3, 4, 13, 23) for end in ends(time)]
        assert_that(predictions, equal_to(wanted))
        letters = dead.failed_inferences | beam.Map(failed_element) | "LetterInTime" >> beam.Map(in_time)
        wanted = [(time, time, end) for time in (12, 24) for end in ends(time)]
        assert_that(letters, equal_to(wanted), label="DeadLetters")


@DEADLINES
def test_keyed_predictions_stay_in_their_windows_and_can_be_grouped(options):
    with streaming() as pipeline:
        pairs = stream([("a", 1), ("b", 2)], [("a", 12), ("a", 3)], [("b", 14)])
        rows = pipeline | pairs | beam.WindowInto(window.FixedWindows(10))
        results = rows | RunInference(KeyedModelHandler(CountingHandler(**options)))
        grouped = results | beam.MapTuple(lambda key, result: (key, result.inference)) | beam.GroupByKey()
        groups = grouped | beam.MapTuple(lambda key, values: (key, sorted(values))) | beam.Map(in_time)
        wanted = [(("a", [2, 6]), 9, 10), (("b", [4]), 9, 10), (("a", [24]), 19, 20), (("b", [28]), 19, 20)]
        assert_that(groups, equal_to(wanted))


def test_panes_stay_with_predictions_and_dead_letters():
    with streaming() as pipeline:
        late = (
            test_stream.TestStream()
            .add_elements([window.TimestampedValue(("key", 1), 1)])
            .advance_watermark_to(10)
            .add_elements([window.TimestampedValue(("key", 2), 2)])
            .advance_watermark_to_infinity()
        )
        fires_twice = beam.WindowInto(
            window.FixedWindows(10),
            trigger=trigger.AfterWatermark(late=trigger.AfterCount(1)),
            accumulation_mode=trigger.AccumulationMode.ACCUMULATING,
            allowed_lateness=100,
        )
        sums = pipeline | late | fires_twice | beam.CombinePerKey(sum) | beam.Values()
        before = sums | "Before" >> beam.Map(with_pane)
        assert_that(before | beam.Map(lambda row: row[:2]), equal_to([(1, 0), (3, 1)]), label="Sums")
        good, dead = sums | RunInference(FailingHandler({3})).with_exception_handling()
        assert_that(good | beam.Map(inference) | "After" >> beam.Map(with_pane), equal_to([(2, 0, True, False)]))
        letters = dead.failed_inferences | beam.Map(failed_element) | "OfLetters" >> beam.Map(with_pane)
        assert_that(letters, equal_to([(3, 1, False, False)]), label="DeadLetters")


@pytest.mark.parametrize(("bad", "fails"), [({1, 11}, False), ({11, 12}, True)], ids=["spread", "in one window"])
def test_the_threshold_is_counted_for_each_window_over_all_bundles(bad, fails):
    pipeline = streaming()
    rows = pipeline | stream([1, 11, 2], [3, 12], [4, 13]) | beam.WindowInto(window.FixedWindows(10))
    _ = rows | RunInference(FailingHandler(bad)).with_exception_handling(threshold=0.4)
    if fails:
        with pytest.raises(ValueError, match=r"2 / 3 = 0\.667 > 0\.4"):
            pipeline.run().wait_until_finish()
    else:
        pipeline.run().wait_until_finish()


_HAPPENED = []


def note(element, what):
    _HAPPENED.append((what, element))
    return element


@pytest.mark.parametrize("options", [{}, {"min_batch_size": 100, "max_batch_size": 100}], ids=["free", "large batches"])
def test_predictions_come_without_waiting_for_more_elements(options):
    _HAPPENED.clear()
    with streaming() as pipeline:
        rows = pipeline | stream([1], [2], [3]) | beam.Map(note, "in")
        _ = rows | RunInference(CountingHandler(**options)) | beam.Map(inference) | "Out" >> beam.Map(note, "out")
    assert _HAPPENED == [("in", 1), ("out", 2), ("in", 2), ("out", 4), ("in", 3), ("out", 6)]


def test_a_runner_that_ends_its_functions_after_each_bundle_does_not_load_the_model_for_each(tmp_path):
    with streaming() as pipeline:
        _ = pipeline | stream([1], [2], [3], [4]) | RunInference(NotingHandler(tmp_path))
    assert len(processes_noted(tmp_path)) == 1
