"""Versions of a model that come while a pipeline runs: as a side input, or found by the workers."""

import os

import apache_beam as beam
import pytest
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window
from apache_beam.utils.timestamp import Timestamp
from streams import streaming

from runinference.beam import (
    KeyedModelHandler,
    KeyModelMapping,
    KeyModelPathMapping,
    ModelMetadata,
    RunInference,
    WatchFilePattern,
)
from runinference.testing.fakes import FileModelHandler


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


def test_elements_for_a_version_that_does_not_load_still_share_batches(model_path):
    first, broken = model_path("first", 2), model_path("broken", "no number")
    pipeline = beam.Pipeline()
    rows = [(0, 0), *((10 + number / 10, number) for number in range(1, 80))]
    versions = [(0, ModelMetadata(first, "m")), (10, ModelMetadata(broken, "m"))]
    results = serve(pipeline, FileModelHandler(first, min_batch_size=10), versions, rows)
    assert_that(results | beam.Map(lambda result: result.inference), equal_to([2 * number for number in range(80)]))
    result = pipeline.run()
    result.wait_until_finish()
    found = {each.key.metric.name: each.committed for each in result.metrics().query()["distributions"]}
    assert found["m_inference_request_batch_size"].count < 20


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
        if not results[0].model_id.endswith("2"):
            self._write(self._folder / "2", "3")
        elif (self._folder.parent / "tried").exists():
            self._write(self._folder.parent / "in use", "")
        else:  # On rows that worked before, to see whether it may take over.
            self._write(self._folder.parent / "tried", "")
        return results

    def _write(self, path, text):
        if not path.exists():
            unfinished = self._folder.parent / "unfinished"
            unfinished.write_text(text)
            unfinished.rename(path)


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
    for when, name in enumerate(["older.model", "another.model", "old.model", "of-another-kind"]):
        (tmp_path / name).write_text("2")
        os.utime(tmp_path / name, (when, when))
    with streaming() as pipeline:
        watched = WatchFilePattern(str(tmp_path / "*.model"), interval=0.1, stop_timestamp=Timestamp.now() + 4)
        _ = pipeline | watched | beam.Map(appear_once_found, tmp_path)
    assert [(version.model_id, version.model_name) for version in _FOUND] == [
        (str(tmp_path / "old.model"), "old"),
        (str(tmp_path / "new.model"), "new"),
    ]
