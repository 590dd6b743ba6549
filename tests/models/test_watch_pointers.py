"""Files that name the version to be served."""

import re
import time

import pytest
from appearing import NOW, OLD, digest, point, put, settled, soon, watching

from runinference import ModelLoadError
from runinference.models.versions import content_hash
from runinference.models.watch import Found, ModelWatch

pytestmark = pytest.mark.core


@pytest.fixture
def versions(tmp_path):
    put(tmp_path / "models" / "v1" / "weights", b"1", OLD)
    put(tmp_path / "models" / "v2" / "weights", b"2", NOW)
    return tmp_path / "models"


@pytest.mark.parametrize(
    "line", ["{}/v1", "v1", "v1\n", "\n  ./v1  \r\n", "../models/v1/", "\ufeffv1\n", "file://{}/v1"]
)
def test_a_pointer_names_a_model_relative_to_its_folder_absolute_or_by_url(versions, line):
    point(versions / "CURRENT", line.format(versions))
    found = ModelWatch(str(versions / "CURRENT")).poll()
    assert found == Found(str(versions / "v1"), content_hash(str(versions / "v1")))


def test_turning_a_pointer_changes_the_version_and_turning_it_back_rolls_back(versions):
    # Stamped as if the models had been there for long.
    later = time.time() + 100
    point(versions / "CURRENT", "v1", later)
    watch = ModelWatch(str(versions / "CURRENT"), served=str(versions / "v1"))
    assert watch.poll() is None
    for version in ("v2", "v1", "v2", "v1"):
        point(versions / "CURRENT", version, later)
        found = watch.poll()
        assert found == Found(str(versions / version), content_hash(str(versions / version)))
        watch.served(found.content_hash)
        assert watch.poll() is None


def test_a_pointer_to_files_that_are_younger_than_it_waits_until_they_are_complete(versions):
    point(versions / "CURRENT", "v1")
    watch = watching(versions / "CURRENT")
    point(versions / "CURRENT", "v3", OLD)
    put(versions / "v3" / "weights", b"ha")
    assert watch.poll() is None
    put(versions / "v3" / "weights", b"half")
    assert settled(watch) == Found(str(versions / "v3"), content_hash(str(versions / "v3")))


def test_the_content_of_what_a_pointer_names_is_watched(versions):
    point(versions / "CURRENT", "v1")
    watch = watching(versions / "CURRENT")
    put(versions / "v1" / "weights", b"other")
    assert settled(watch) == Found(str(versions / "v1"), content_hash(str(versions / "v1")))


def test_a_pointer_that_is_written_again_or_named_otherwise_is_no_change(versions):
    point(versions / "CURRENT", "v1")
    watch = watching(versions / "CURRENT")
    for line in ("v1\n", "./v1", str(versions / "v1")):
        point(versions / "CURRENT", line)
        assert settled(watch) is None


def test_a_pointer_that_names_nothing_is_told_and_what_is_served_stays(versions):
    point(versions / "CURRENT", "v1")
    watch = watching(versions / "CURRENT")
    point(versions / "CURRENT", "v22")
    wanted, nearest = re.escape(str(versions / "v22")), re.escape(str(versions / "v2"))
    message = f"version pointer .*CURRENT names {wanted}, where no model is. Did you mean {nearest}"
    for _ in range(2):
        with pytest.raises(ModelLoadError, match=message):
            watch.poll()
    point(versions / "CURRENT", "")
    assert settled(watch) is None
    point(versions / "CURRENT", "v1")
    assert settled(watch) is None
    point(versions / "CURRENT", "v2")
    assert soon(watch) == Found(str(versions / "v2"), content_hash(str(versions / "v2")))


def test_a_broken_version_that_a_pointer_names_again_is_still_broken(versions):
    point(versions / "CURRENT", "v1")
    watch = watching(versions / "CURRENT")
    point(versions / "CURRENT", "v2")
    watch.rejected(soon(watch))
    for version in ("v1", "v2"):
        point(versions / "CURRENT", version)
        assert settled(watch) is None


@pytest.mark.parametrize(
    "content",
    [b"absent", b"v1\nv2", b"v1\0", b"\xff\xfe", b"v1" + b" " * 4096, b'{"learner": {"url": "https://example.com"}}'],
)
def test_any_other_file_is_a_model(versions, content):
    path = put(versions / "model.json", content)
    watch = watching(path)
    assert ModelWatch(path).poll() == Found(path, digest(content))
    put(versions / "model.json", content + b"\n\n1")
    assert settled(watch) == Found(path, digest(content + b"\n\n1"))


def test_a_pointer_may_become_the_model_itself_and_a_pointer_again(versions):
    point(versions / "CURRENT", "v1")
    watch = watching(versions / "CURRENT")
    put(versions / "CURRENT", b"the\nweights")
    found = settled(watch)
    assert found == Found(str(versions / "CURRENT"), digest(b"the\nweights"))
    watch.served(found.content_hash)
    point(versions / "CURRENT", "v1")
    found = soon(watch)
    assert found == Found(str(versions / "v1"), content_hash(str(versions / "v1")))
