"""Streams: windows, timestamps, panes, bundles one after the other, and versions of a model that come with them."""

import os

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import trigger, window
from apache_beam.utils.timestamp import Timestamp
from handlers_for_workers import NotingHandler, processes_noted

from runinference.beam import (
    KeyedModelHandler,
    KeyModelMapping,
    KeyModelPathMapping,
    ModelMetadata,
    RunInference,
    WatchFilePattern,
)
from runinference.testing.fakes import CountingHandler, FailingHandler, FileModelHandler

DEADLINES = pytest.mark.parametrize("options", [{}, {"max_batch_duration_secs": 0.05}], ids=["no deadline", "deadline"])
WINDOWS = pytest.mark.parametrize(
    ("windows", "ends"),
    [
        (window.FixedWindows(10), lambda time: {time // 10 * 10 + 10}),
        (window.SlidingWindows(10, 5), lambda time: {time // 5 * 5 + 5, time // 5 * 5 + 10}),
    ],
    ids=["fixed", "sliding"],
)


def streaming():
    return beam.Pipeline(options=PipelineOptions(["--streaming"]))


def stream(*bundles):
    """Bundles of elements, each at the second that it is."""
    events = test_stream.TestStream()
    for bundle in bundles:
        events = events.add_elements([window.TimestampedValue(row, second(row)) for row in bundle])
    return events.advance_watermark_to_infinity()


def second(row):
    return row[1] if isinstance(row, tuple) else row


def in_time(element, at=beam.DoFn.TimestampParam, where=beam.DoFn.WindowParam):
    """An element with its second and the end of its window."""
    return element, at.seconds(), where.end.seconds()


def with_pane(element, pane=beam.DoFn.PaneInfoParam):
    return element, pane.index, pane.is_first, pane.is_last


def inference(result):
    return result.inference


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


@pytest.mark.xfail(strict=True, reason="the engine ends with the last DoFn, and this runner has one for each bundle")
def test_a_runner_that_ends_its_functions_after_each_bundle_does_not_load_the_model_for_each(tmp_path):
    with streaming() as pipeline:
        _ = pipeline | stream([1], [2], [3], [4]) | RunInference(NotingHandler(tmp_path))
    assert len(processes_noted(tmp_path)) == 1


@pytest.fixture
def model_path(tmp_path):
    """The path of a model that multiplies with what its file holds."""

    def write(name, factor):
        (tmp_path / name).write_text(str(factor))
        return str(tmp_path / name)

    return write


def serve(pipeline, handler, versions, rows, **arguments):
    """The predictions for rows on the version of their window of 10 seconds."""
    windows = window.FixedWindows(10)
    side = pipeline | "Versions" >> timed(versions) | "VersionWindows" >> beam.WindowInto(windows)
    main = pipeline | "Rows" >> timed(rows) | "RowWindows" >> beam.WindowInto(windows)
    return main | RunInference(handler, model_metadata_pcoll=side, **arguments)


def timed(elements):
    """Elements at seconds, given as pairs."""
    return beam.Create([window.TimestampedValue(element, at) for at, element in elements])


def values(result):
    return result.example, result.inference, result.model_id


def counters(result):
    return {counter.key.metric.name: counter.committed for counter in result.metrics().query()["counters"]}


def serve_stream(pipeline, handler, *paths):
    """The predictions for two elements of each window of 10 seconds, of which the first is there before its version."""
    events = test_stream.TestStream()
    for number, path in enumerate(paths):
        start = 10 * number
        events = (
            events.add_elements([window.TimestampedValue(start + 1, start + 1)], tag="rows")
            .add_elements([window.TimestampedValue(ModelMetadata(path, "name"), start)], tag="versions")
            .advance_watermark_to(start + 10, tag="versions")
            .add_elements([window.TimestampedValue(start + 2, start + 2)], tag="rows")
        )
    ended = events.advance_watermark_to_infinity(tag="versions").advance_watermark_to_infinity(tag="rows")
    tagged = pipeline | ended
    side = tagged["versions"] | "VersionWindows" >> beam.WindowInto(window.FixedWindows(10))
    rows = tagged["rows"] | "RowWindows" >> beam.WindowInto(window.FixedWindows(10))
    return rows | RunInference(handler, model_metadata_pcoll=side)


def test_elements_run_on_the_version_that_a_stream_has_for_them_and_on_the_first_again(model_path):
    first, second = model_path("first", 2), model_path("second", 3)
    with streaming() as pipeline:
        results = serve_stream(pipeline, FileModelHandler(first), first, second, first)
        wanted = [(1, 2, first), (2, 4, first), (11, 33, second), (12, 36, second), (21, 42, first), (22, 44, first)]
        assert_that(results | beam.Map(values), equal_to(wanted))


@pytest.mark.xfail(strict=True, reason="the engine ends with the last DoFn and forgets which version served")
def test_a_version_of_a_stream_that_does_not_load_leaves_the_one_before_serving(model_path):
    first, second, broken = model_path("first", 2), model_path("second", 3), model_path("broken", "no number")
    with streaming() as pipeline:
        results = serve_stream(pipeline, FileModelHandler(first), second, broken)
        wanted = [(1, 3, second), (2, 6, second), (11, 33, second), (12, 36, second)]
        assert_that(results | beam.Map(values), equal_to(wanted))


def test_a_bundle_runs_on_several_versions_and_metrics_say_on_which(model_path):
    first, second = model_path("first", 2), model_path("second", 3)
    pipeline = beam.Pipeline()
    versions = [(0, ModelMetadata(first, "one")), (10, ModelMetadata(second, "two")), (20, ModelMetadata(first, "one"))]
    rows = [(1, 1), (2, 2), (11, 11), (12, 12), (13, 13), (21, 21)]
    results = serve(pipeline, FileModelHandler(first), versions, rows)
    wanted = [(1, 2, first), (2, 4, first), (11, 33, second), (12, 36, second), (13, 39, second), (21, 42, first)]
    assert_that(results | beam.Map(values), equal_to(wanted))
    result = pipeline.run()
    result.wait_until_finish()
    counted = {name: count for name, count in counters(result).items() if name.endswith("num_inferences")}
    assert counted == {"one_num_inferences": 3, "two_num_inferences": 3}


def test_a_version_that_does_not_load_leaves_the_one_before_serving_and_is_logged(model_path, caplog):
    first, second, broken = model_path("first", 2), model_path("second", 3), model_path("broken", "no number")
    with beam.Pipeline() as pipeline:
        versions = [(start, ModelMetadata(path, "m")) for start, path in [(0, second), (10, broken), (20, second)]]
        results = serve(pipeline, FileModelHandler(first), versions, [(1, 1), (11, 11), (21, 21)])
        assert_that(results | beam.Map(values), equal_to([(1, 3, second), (11, 33, second), (21, 63, second)]))
    (line,) = [record.getMessage() for record in caplog.records if "does not work" in record.getMessage()]
    assert f"The new model {broken} does not work, so {second} serves on" in line


def test_versions_of_the_models_of_some_keys_come_as_a_list(model_path):
    german, french, newer = model_path("german", 2), model_path("french", 3), model_path("newer", 10)
    handler = KeyedModelHandler(
        [KeyModelMapping(["de", "at"], FileModelHandler(german)), KeyModelMapping(["fr"], FileModelHandler(french))]
    )
    with beam.Pipeline() as pipeline:
        versions = [
            (0, [KeyModelPathMapping(["de", "at"], german)]),
            (10, [KeyModelPathMapping(["de", "at"], newer, "newer")]),
            (20, [KeyModelPathMapping(["de", "at"], german)]),
        ]
        rows = [(start + 1, (key, start + 1)) for start in (0, 10, 20) for key in ("de", "at", "fr")]
        results = serve(pipeline, handler, versions, rows)
        inferences = results | beam.MapTuple(lambda key, result: (key, result.example, result.inference))
        wanted = [(key, at, at * factor) for at, factor in [(1, 2), (11, 10), (21, 2)] for key in ("de", "at")]
        assert_that(inferences, equal_to([*wanted, ("fr", 1, 3), ("fr", 11, 33), ("fr", 21, 63)]))


class AppearingHandler(FileModelHandler):
    """Once it is in use a new version appears; says in a file that the new one is."""

    def __init__(self, folder):
        super().__init__(folder / "1")
        self._folder = folder

    def run_inference(self, batch, model, inference_args=None):
        results = super().run_inference(batch, model, inference_args)
        serves_new = results[0].model_id.endswith("2")
        path, text = (self._folder.parent / "in use", "") if serves_new else (self._folder / "2", "3")
        if not path.exists():
            path.with_suffix(".tmp").write_text(text)
            path.with_suffix(".tmp").rename(path)
        return results


class UntilExists(beam.DoFn):
    """Numbers until there is a file."""

    def process(self, path):
        number = 0
        while not path.exists():
            yield number
            number += 1


def test_a_version_that_appears_while_a_batch_pipeline_runs_takes_over(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "1").write_text("2")
    handler = AppearingHandler(folder)
    with beam.Pipeline() as pipeline:
        rows = pipeline | beam.Create([tmp_path / "in use"]) | beam.ParDo(UntilExists())
        results = rows | RunInference(handler, watch_model_pattern=str(folder / "?"), interval=0.05)
        factors = results | beam.Map(lambda result: (result.model_id[-1:], result.inference == result.example * 3))
        # Of 0 all products are the same.
        kinds = factors | beam.Distinct()
        assert_that(kinds | beam.Filter(lambda kind: kind[0] == "2"), equal_to([("2", True)]))


_FOUND = []


def appear_once_found(version, folder):
    """Takes note of a version; the first one is followed by another."""
    _FOUND.append(version)
    if len(_FOUND) == 1:
        (folder / "new.model").write_text("3")


@pytest.mark.filterwarnings("ignore:Key coder")
def test_watch_file_pattern_gives_the_newest_file_and_a_newer_one_when_it_appears(tmp_path):
    _FOUND.clear()
    (tmp_path / "old.model").write_text("2")
    (tmp_path / "other").write_text("9")
    os.utime(tmp_path / "old.model", (1, 1))
    with streaming() as pipeline:
        watched = WatchFilePattern(str(tmp_path / "*.model"), interval=0.1, stop_timestamp=Timestamp.now() + 4)
        _ = pipeline | watched | beam.Map(appear_once_found, tmp_path)
    assert [(version.model_id, version.model_name) for version in _FOUND] == [
        (str(tmp_path / "old.model"), "old"),
        (str(tmp_path / "new.model"), "new"),
    ]
