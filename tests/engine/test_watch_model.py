"""New versions of a model are found where they appear, and take over while rows are running."""

import itertools
import logging
import os
import shutil
import threading
import time

import pytest

from runinference import ConfigurationError, Engine, EnsembleModelHandler, KeyedModelHandler, KeyModelMapping, infer
from runinference.testing.fakes import CountingHandler, FileModelHandler


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "cache"))


class Watched:
    """An engine that runs a stream and says which model runs now."""

    def __init__(self, handler, pattern, **options):
        self.engine = Engine(handler, watch_model_pattern=pattern, watch_interval_s=0.02, **options)
        self.rows, self.results, self.open, self.error = 0, [], True, None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.open = False
        self.thread.join(10)
        self.engine.close()
        assert self.error is None
        assert [result.example for result in self.results] == list(range(1, self.rows + 1))

    def _stream(self):
        for n in itertools.count(1):
            if not self.open:
                return
            self.rows = n
            yield n
            time.sleep(0.001)

    def _run(self):
        try:
            for result in self.engine.map(self._stream()):
                self.results.append(result)
        except BaseException as error:
            self.error = error

    def wait_for(self, condition):
        until = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < until, (self.results[-1:], self.error)
            time.sleep(0.005)

    def wait_for_model(self, factor):
        self.wait_for(lambda: self.results and self.results[-1].inference == factor * self.results[-1].example)

    def wait_a_while(self):
        """Long enough for the watch to look several times."""
        rows = self.rows
        self.wait_for(lambda: self.rows > rows + 150)

    @property
    def versions(self):
        return [os.path.basename(model) for model, _ in itertools.groupby(result.model_id for result in self.results)]


def write(path, text):
    """Puts a file there at once, as programs that know better do."""
    path.with_name(f".{path.name}").write_text(str(text))
    os.replace(path.with_name(f".{path.name}"), path)
    return path


def test_a_folder_a_glob_and_a_pointer_are_watched(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    write(models / "v2.txt", 2)
    pointer = write(tmp_path / "current", "models/v2.txt")
    for pattern in (models, str(models / "v*.txt"), pointer):
        with Watched(FileModelHandler(models / "v2.txt"), pattern) as watched:
            watched.wait_for_model(2)
            write(models / "v3.txt", 3)
            write(pointer, "models/v3.txt")
            watched.wait_for_model(3)
        assert watched.versions == ["v2.txt", "v3.txt"]
        write(pointer, "models/v2.txt")
        os.remove(models / "v3.txt")


def test_the_newest_version_that_is_there_at_the_start_is_used_from_the_first_row(tmp_path):
    write(tmp_path / "v2", 2)
    time.sleep(0.02)
    write(tmp_path / "v3", 3)
    handler = FileModelHandler(tmp_path / "v2")
    results = list(infer(range(1, 100), handler, watch_model_pattern=str(tmp_path / "v*")))
    assert {result.model_id for result in results} == {str(tmp_path / "v3")}
    assert handler.log.loads == 1


def test_a_pattern_that_matches_nothing_yet_starts_with_the_model_of_the_handler(tmp_path, caplog):
    own = write(tmp_path / "own", 2)
    with Watched(FileModelHandler(own), tmp_path / "v*") as watched:
        watched.wait_for_model(2)
        watched.wait_for(lambda: "There is no model at" in caplog.text)
        write(tmp_path / "v3", 3)
        watched.wait_for_model(3)
    assert watched.versions == ["own", "v3"]
    assert caplog.text.count("There is no model at") == 1


def test_one_file_that_is_written_again_is_a_new_version_with_a_name_of_its_own(tmp_path):
    model = write(tmp_path / "model", 2)
    with Watched(FileModelHandler(model), model) as watched:
        watched.wait_for_model(2)
        model.write_text("3")  # In place, as many programs do.
        watched.wait_for_model(3)
        write(model, 5)
        watched.wait_for_model(5)
    names = watched.versions
    assert names[0] == "model"
    assert all(name.startswith("model@") for name in names[1:])
    assert len(set(names)) == 3


def test_an_old_version_that_is_copied_back_with_its_old_time_is_a_roll_back(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    old = write(tmp_path / "old", 2)
    os.utime(old, (1_000_000_000, 1_000_000_000))
    write(models / "model", 3)
    with Watched(FileModelHandler(old), models) as watched:
        watched.wait_for_model(3)
        shutil.copy2(old, models / ".model")
        os.replace(models / ".model", models / "model")
        watched.wait_for_model(2)
    assert watched.engine.metrics()["model_updates"] == 1


def test_the_same_content_under_another_name_or_time_changes_nothing(tmp_path):
    write(tmp_path / "v1", 2)
    with Watched(FileModelHandler(tmp_path / "v1"), tmp_path / "v*") as watched:
        watched.wait_for_model(2)
        write(tmp_path / "v2", 2)
        os.utime(tmp_path / "v1")
        watched.wait_a_while()
    assert watched.versions == ["v1"]
    assert watched.engine.metrics()["model_updates"] == 0


@pytest.mark.parametrize("content", [" ", "no number"])
def test_a_broken_version_is_tried_once_and_mended_by_the_next(tmp_path, content, caplog):
    write(tmp_path / "v2", 2)
    with Watched(FileModelHandler(tmp_path / "v2"), tmp_path / "v*") as watched:
        watched.wait_for_model(2)
        write(tmp_path / "v3", content)
        watched.wait_for(lambda: watched.engine.metrics()["failed_model_updates"] == 1)
        watched.wait_a_while()
        assert watched.engine.metrics()["failed_model_updates"] == 1
        write(tmp_path / "v3", 3)
        watched.wait_for_model(3)
    assert watched.versions == ["v2", "v3"]
    assert sum("does not work" in record.getMessage() for record in caplog.records) == 1


def test_a_version_that_is_removed_serves_on(tmp_path):
    write(tmp_path / "v2", 2)
    with Watched(FileModelHandler(tmp_path / "v2"), tmp_path / "v*") as watched:
        watched.wait_for_model(2)
        write(tmp_path / "v3", 3)
        watched.wait_for_model(3)
        os.remove(tmp_path / "v3")
        watched.wait_a_while()
        os.remove(tmp_path / "v2")
        watched.wait_a_while()
    assert watched.versions == ["v2", "v3"]


def test_a_file_that_grows_while_it_is_looked_at_is_taken_when_it_is_whole(tmp_path, caplog):
    write(tmp_path / "v2", 2)
    with Watched(FileModelHandler(tmp_path / "v2"), tmp_path / "v*") as watched:
        watched.wait_for_model(2)
        with open(tmp_path / "v3", "w") as file:
            for _ in range(30):
                file.write(" ")
                file.flush()
                time.sleep(0.005)
            file.write("3")
        watched.wait_for_model(3)
    assert watched.versions == ["v2", "v3"]
    assert "does not work" not in caplog.text


def test_models_of_keys_and_of_ensembles_are_watched_each_by_its_pattern(tmp_path):
    for factor in (2, 3):
        write(tmp_path / f"a{factor}", factor)
    keyed = KeyedModelHandler(
        [
            KeyModelMapping(["a", "b"], FileModelHandler(tmp_path / "a2")),
            KeyModelMapping(["c"], FileModelHandler(tmp_path / "a2")),
        ]
    )
    with Engine(keyed, watch_model_pattern={"a": str(tmp_path / "a*")}) as engine:
        assert [result.inference for _, result in engine.map([("a", 1), ("b", 1), ("c", 1)])] == [3, 3, 2]
    ensemble = EnsembleModelHandler({name: FileModelHandler(tmp_path / "a2") for name in "xy"})
    with Engine(ensemble, watch_model_pattern={"y": str(tmp_path / "a*")}) as engine:
        (result,) = engine.map([1])
        assert (result["x"].inference, result["y"].inference) == (2, 3)


def test_behind_a_url_versions_are_found_too():
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/watched/v2", b"2")
    with Watched(FileModelHandler("memory://watched/v2"), "memory://watched/v*") as watched:
        watched.wait_for_model(2)
        memory.pipe("/watched/v3", b"3")
        watched.wait_for_model(3)
    assert watched.versions == ["v2", "v3"]
    memory.rm("/watched", recursive=True)


def test_no_copies_of_models_are_left_behind(tmp_path):
    write(tmp_path / "v2", 2)
    with Watched(FileModelHandler(tmp_path / "v2"), tmp_path / "v*") as watched:
        watched.wait_for_model(2)
        for factor in (3, 5, 7):
            write(tmp_path / "v", factor)
            watched.wait_for_model(factor)
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == []


def test_the_version_that_is_gone_back_to_can_be_loaded_again(tmp_path):
    write(tmp_path / "v2", 2)
    handler = FileModelHandler(tmp_path / "v2", bad={3: range(100, 10_000)})
    other = KeyModelMapping(["other"], FileModelHandler(tmp_path / "v2"))
    keyed = KeyedModelHandler([KeyModelMapping(["watched"], handler), other], max_models_per_worker_hint=1)
    with Engine(keyed, watch_model_pattern={"watched": str(tmp_path / "v*")}, watch_interval_s=0.02) as engine:
        assert len(list(engine.map([("watched", 1)]))) == 1
        write(tmp_path / "v3", 3)
        until = time.monotonic() + 10
        while not engine.metrics()["watched-model_updates"]:
            assert time.monotonic() < until
            time.sleep(0.01)
        rows = [("watched", 100), ("other", 1), ("watched", 101)]
        for _ in range(3):  # Each needs the place of the other, so that both are loaded again and again.
            results = [result for row in rows for _, result in engine.map([row])]
            assert [result.inference for result in results] == [200, 2, 202]
        assert engine.metrics()["failed_model_updates"] == 1
        os.remove(tmp_path / "v2")
        assert [result.inference for _, result in engine.map([("watched", 5)])] == [10]


@pytest.mark.parametrize(
    ("handler", "pattern", "message"),
    [
        ("one", "", "by a file, a folder, a glob or a URL"),
        ("one", "{tmp}/no folder/*.pt", "no folder"),
        ("one", {"a": "x"}, "is one pattern"),
        ("keys", "{tmp}/*", "a dict with a pattern for each"),
        ("keys", {"z": "{tmp}/*"}, "names 'z', for which there is no model"),
        ("keys", {"a": "{tmp}/a*", "b": "{tmp}/b*"}, "two patterns for the model"),
        ("fixed", "{tmp}/*", "CountingHandler cannot change its model"),
        ("one", "nosuchprotocol://x/*", "nosuchprotocol"),
    ],
)
def test_patterns_that_cannot_work_are_refused_at_once(tmp_path, handler, pattern, message):
    own = write(tmp_path / "own", 2)
    handlers = {
        "one": FileModelHandler(own),
        "keys": KeyedModelHandler([KeyModelMapping(["a", "b"], FileModelHandler(own))]),
        "fixed": CountingHandler(),
    }
    made = (
        {key: value.format(tmp=tmp_path) for key, value in pattern.items()}
        if isinstance(pattern, dict)
        else pattern.format(tmp=tmp_path)
    )
    with pytest.raises(ConfigurationError, match=message):
        Engine(handlers[handler], watch_model_pattern=made)


@pytest.mark.parametrize("interval", [0, -1, True, "5", float("nan")])
def test_the_interval_is_seconds_above_0(tmp_path, interval):
    with pytest.raises(ConfigurationError, match="watch_interval_s"):
        Engine(CountingHandler(), watch_interval_s=interval)


def test_looking_goes_on_after_an_error_and_says_it_once(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    pointer = write(tmp_path / "current", "v2")
    write(tmp_path / "v2", 2)
    with Watched(FileModelHandler(tmp_path / "v2"), pointer) as watched:
        watched.wait_for_model(2)
        write(pointer, "nothing there")
        watched.wait_a_while()
        write(tmp_path / "v3", 3)
        write(pointer, "v3")
        watched.wait_for_model(3)
    assert watched.versions == ["v2", "v3"]
