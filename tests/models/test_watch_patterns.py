"""What a pattern of models stands for on this machine, and what cannot be one."""

import os
import re

import pytest
from appearing import NEW, OLD, digest, put, settled, watching

from runinference import ConfigurationError
from runinference.models.versions import content_hash
from runinference.models.watch import Found, ModelWatch

pytestmark = pytest.mark.core


def test_a_folder_stands_for_its_entries_files_and_folders_alike(tmp_path):
    put(tmp_path / "v1.pt", b"1", OLD)
    watch = watching(tmp_path)
    put(tmp_path / "v2" / "weights", b"2")
    found = settled(watch)
    assert found.path == str(tmp_path / "v2")
    watch.served(found.content_hash)
    put(tmp_path / "v2" / "more", b"3")
    assert settled(watch) == Found(str(tmp_path / "v2"), content_hash(str(tmp_path / "v2")))


@pytest.mark.parametrize("spelled", ["{}", "{}/", "{}/../bert", "file://{}"])
def test_a_folder_that_the_handler_loads_is_watched_itself(tmp_path, spelled):
    put(tmp_path / "bert" / "weights", b"1")
    watch = ModelWatch(tmp_path / "bert", served=spelled.format(tmp_path / "bert"))
    assert watch.poll() is None
    put(tmp_path / "bert" / "weights", b"2")
    assert settled(watch) == Found(str(tmp_path / "bert"), content_hash(str(tmp_path / "bert")))


def test_a_link_that_is_turned_to_another_version_is_a_change_and_turned_back_a_roll_back(tmp_path):
    put(tmp_path / "v1" / "weights", b"1", OLD)
    put(tmp_path / "v2" / "weights", b"2", NEW)
    current = tmp_path / "current"
    current.symlink_to("v1")
    watch = ModelWatch(str(current), served=str(current))
    assert watch.poll() is None
    for version in ("v2", "v1", "v2"):
        (tmp_path / "next").symlink_to(version)
        os.replace(tmp_path / "next", current)
        found = settled(watch)
        assert found == Found(str(current), content_hash(str(tmp_path / version)))
        watch.served(found.content_hash)


@pytest.mark.parametrize("name", [".v2", "_v2", "v2.tmp", "v2.part", "v2.PART", "v2.crdownload", "v2~"])
def test_hidden_and_unfinished_names_are_no_candidates(tmp_path, name):
    put(tmp_path / "v1", b"1", OLD)
    folder, matches, deep = watching(tmp_path), watching(tmp_path / "*"), watching(tmp_path / "**")
    put(tmp_path / name, b"2")
    put(tmp_path / f"{name}.d~" / "weights", b"2")
    put(tmp_path / "_staging" / name / "weights", b"2")
    assert settled(folder) is None
    assert settled(matches) is None
    assert settled(deep) is None
    os.rename(tmp_path / name, tmp_path / "v2")
    for watch in (folder, matches, deep):
        assert settled(watch) == Found(str(tmp_path / "v2"), digest(b"2"))


def test_two_stars_stand_for_files_only(tmp_path):
    put(tmp_path / "v1" / "weights", b"broken")
    watch = ModelWatch(str(tmp_path / "**"))
    found = watch.poll()
    assert found.path == str(tmp_path / "v1" / "weights")
    watch.rejected(found)
    put(tmp_path / "v2" / "weights", b"broken")
    assert settled(watch) is None


def test_a_hidden_folder_that_the_pattern_itself_names_hides_nothing(tmp_path):
    put(tmp_path / ".models" / "v1.pt", b"1")
    assert ModelWatch(str(tmp_path / ".models" / "*.pt")).poll() is not None
    assert ModelWatch(str(tmp_path / ".models")).poll() is not None


def test_a_name_with_the_signs_of_a_glob_is_that_file_where_it_exists(tmp_path):
    path = put(tmp_path / "model[1].pt", b"1")
    assert ModelWatch(path).poll() == Found(path, digest(b"1"))


def test_doubled_separators_and_relative_paths_find_the_same(tmp_path, monkeypatch):
    put(tmp_path / "models" / "v1.pt", b"1")
    put(tmp_path / "models" / "_v2.pt", b"2", NEW)
    monkeypatch.chdir(tmp_path)
    for pattern in ("models//*.pt", "./models/*.pt", "models/*", "mod*/*.pt", "models", "models/"):
        found = ModelWatch(pattern).poll()
        assert (os.path.normpath(found.path), found.content_hash) == (os.path.join("models", "v1.pt"), digest(b"1"))


def test_a_tilde_and_a_file_url_are_paths(tmp_path, monkeypatch):
    path = put(tmp_path / "my models" / "v1.pt", b"1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for pattern in ("~/my models/*.pt", (tmp_path / "my models").as_uri()):
        assert ModelWatch(pattern).poll() == Found(path, digest(b"1"))


def test_nothing_may_be_there_at_first(tmp_path):
    for pattern in (tmp_path / "*.pt", tmp_path / "v1.pt", tmp_path):
        watch = ModelWatch(str(pattern))
        assert watch.poll() is None
        assert not watch.matched
        path = put(tmp_path / "v1.pt", b"1")
        assert settled(watch) == Found(path, digest(b"1"))
        assert watch.matched
        os.remove(path)


def test_an_empty_file_or_folder_is_not_a_model_yet(tmp_path):
    (tmp_path / "v1.pt").touch()
    (tmp_path / "v2").mkdir()
    watch = ModelWatch(str(tmp_path))
    assert settled(watch) is None
    put(tmp_path / "v2" / "weights", b"1")
    assert settled(watch).path == str(tmp_path / "v2")


@pytest.mark.parametrize("pattern", ["", "  ", None, 5])
def test_a_pattern_that_is_none_is_told(pattern):
    with pytest.raises(ConfigurationError, match=f"named by a file, a folder, a glob or a URL, not by {pattern!r}"):
        ModelWatch(pattern)


@pytest.mark.parametrize("rest", ["*.pt", "v1.pt", "", "deeper/*/model.pt"])
def test_a_leading_folder_that_does_not_exist_is_told_with_the_nearest(tmp_path, rest):
    (tmp_path / "models").mkdir()
    missing = re.escape(repr(str(tmp_path / "modles")))
    with pytest.raises(ConfigurationError, match=f"there is no {missing}. Did you mean 'models'?"):
        ModelWatch(f"{tmp_path}/modles/{rest}")


def test_a_protocol_that_nobody_knows_is_told():
    pytest.importorskip("fsspec")
    with pytest.raises(ConfigurationError, match=r"'memroy://models/\*': no protocol 'memroy'. Did you mean 'memory'?"):
        ModelWatch("memroy://models/*")
    with pytest.raises(ConfigurationError, match="a URL within a URL"):
        ModelWatch("simplecache::memory://models/*")
