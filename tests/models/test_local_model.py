"""Models behind URLs: on this machine once, and again when they change."""

import os
import re
import threading
from importlib.util import find_spec

import fsspec
import pytest

from runinference import ModelLoadError
from runinference.errors import MissingDependencyError
from runinference.models.files import local_model


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def memory():
    """A file system in memory, empty at the start and the end."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def test_a_path_is_its_own(tmp_path):
    (tmp_path / "model.bin").touch()
    for path in (str(tmp_path), str(tmp_path / "model.bin")):
        assert local_model(path) == path
        assert local_model(f"file://{path}") == path


def test_a_url_of_a_file_may_have_spaces(tmp_path):
    path = tmp_path / "my model.bin"
    path.touch()
    assert local_model(path.as_uri()) == str(path)


def test_a_missing_path_is_told_with_the_nearest(tmp_path):
    (tmp_path / "model.pth").touch()
    message = f"The model {tmp_path / 'modle.pth'} does not exist. Did you mean {tmp_path / 'model.pth'}?"
    with pytest.raises(ModelLoadError, match=re.escape(message)):
        local_model(str(tmp_path / "modle.pth"))


def test_a_file_is_downloaded_once(cache, memory):
    memory.pipe("/models/model.bin", b"weights")
    path = local_model("memory://models/model.bin")
    assert read(path) == b"weights"
    assert os.path.basename(path) == "model.bin"
    assert path.startswith(str(cache))
    os.utime(path, (1, 1))
    assert local_model("memory://models/model.bin") == path
    assert os.stat(path).st_mtime == 1


def test_a_file_that_has_changed_is_downloaded_again(cache, memory):
    memory.pipe("/models/model.bin", b"first weights")
    first = local_model("memory://models/model.bin")
    memory.pipe("/models/model.bin", b"other weights")
    second = local_model("memory://models/model.bin")
    assert (read(first), read(second)) == (b"first weights", b"other weights")


@pytest.mark.parametrize("url", ["memory://models/bert", "memory://models/bert/"])
def test_a_folder_is_downloaded_whole(cache, memory, url):
    memory.pipe({"/models/bert/config.json": b"{}", "/models/bert/parts/1.bin": b"1", "/models/other": b"no"})
    path = local_model(url)
    assert read(f"{path}/config.json") == b"{}"
    assert read(f"{path}/parts/1.bin") == b"1"
    assert sorted(os.listdir(path)) == ["config.json", "parts"]
    assert os.path.basename(path) == "bert"
    memory.pipe("/models/bert/parts/1.bin", b"changed")
    assert read(f"{local_model(url)}/parts/1.bin") == b"changed"


def test_a_missing_file_behind_a_url_is_told(cache, memory):
    with pytest.raises(ModelLoadError, match=r"The model memory://models/absent.bin does not exist"):
        local_model("memory://models/absent.bin")
    assert not cache.exists()


def test_an_unknown_kind_of_url_is_told(cache):
    with pytest.raises(ModelLoadError, match=r"The model nope://model.bin cannot be read: .*nope"):
        local_model("nope://model.bin")


@pytest.mark.skipif(find_spec("adlfs") is not None, reason="the package is installed")
def test_a_package_that_a_url_needs_is_told(cache):
    with pytest.raises(
        (MissingDependencyError, ModelLoadError), match=r"abfs://models/model\.bin cannot be read: .*adlfs"
    ):
        local_model("abfs://models/model.bin")


def test_threads_that_ask_at_once_get_one_complete_file(tmp_path, cache):
    content = os.urandom(3_000_000)
    (tmp_path / "model.bin").write_bytes(content)
    url = f"local://{tmp_path / 'model.bin'}"
    start = threading.Barrier(6)
    found = []

    def ask():
        start.wait()
        found.append(local_model(url))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(found) == 6
    assert len(set(found)) == 1
    assert found[0].startswith(str(cache))
    assert read(found[0]) == content
    assert [name for name in os.listdir(cache) if name.startswith(".")] == []


def test_a_download_that_comes_out_short_is_not_kept(cache, memory, monkeypatch):
    memory.pipe("/models/model.bin", b"weights")

    def half(self, path, place, **options):
        with open(place, "wb") as file:
            file.write(b"wei")

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "get", half)
        with pytest.raises(ModelLoadError, match=r"memory://models/model\.bin"):
            local_model("memory://models/model.bin")
    assert read(local_model("memory://models/model.bin")) == b"weights"


def test_a_download_that_fails_leaves_nothing_behind(cache, memory, monkeypatch):
    memory.pipe("/models/model.bin", b"weights")

    def fail(*arguments, **options):
        raise OSError("the network is down")

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "get", fail)
        with pytest.raises(ModelLoadError, match=r"memory://models/model.bin cannot be read: the network is down"):
            local_model("memory://models/model.bin")
    assert os.listdir(cache) == []
    assert read(local_model("memory://models/model.bin")) == b"weights"


def test_a_cache_that_cannot_be_written_is_told(tmp_path, memory, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "file" / "cache"))
    memory.pipe("/models/model.bin", b"weights")
    with pytest.raises(ModelLoadError, match=r"cannot be read: .*Not a directory"):
        local_model("memory://models/model.bin")


def test_names_from_a_url_stay_within_the_cache(cache, memory):
    memory.pipe("/models/a model (1).bin", b"weights")
    path = local_model("memory://models/a model (1).bin")
    assert os.path.realpath(path).startswith(os.path.realpath(cache))
    assert read(path) == b"weights"
