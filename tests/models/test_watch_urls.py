"""Versions of models behind URLs."""

import io

import pytest
from appearing import NOW, digest, put, settled, soon, watching

from runinference import ModelLoadError
from runinference.models.versions import content_hash
from runinference.models.watch import Found, ModelWatch

pytestmark = pytest.mark.core


@pytest.fixture
def memory():
    """A file system in memory, empty at the start and the end."""
    filesystem = pytest.importorskip("fsspec").filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.mark.parametrize(
    "pattern", ["memory://models/*.pt", "memory://models", "memory://models/**", "memory:///mod*/*"]
)
def test_globs_and_folders_behind_urls(memory, pattern):
    memory.pipe("/models/v1.pt", b"1")
    memory.pipe("/models/_v0.pt", b"0")
    watch = ModelWatch(pattern)
    found = watch.poll()
    assert found.content_hash == digest(b"1") == content_hash(found.path)
    watch.served(found.content_hash)
    memory.pipe({"/models/v2.pt.tmp": b"2", "/models/.v2.pt": b"2", "/models/_v/2.pt": b"2"})
    assert settled(watch) is None
    memory.pipe("/models/v2.pt", b"2")
    found = settled(watch)
    assert found.content_hash == digest(b"2") == content_hash(found.path)
    watch.served(found.content_hash)
    memory.rm("/models/v2.pt")
    assert settled(watch) is None
    memory.pipe("/models/v1.pt", b"3")
    assert settled(watch).content_hash == digest(b"3")


def test_a_folder_behind_a_url_that_the_handler_loads_is_watched_itself(memory):
    memory.pipe({"/models/bert/weights": b"1", "/models/bert/config": b"{}"})
    watch = ModelWatch("memory://models/bert", served="memory:///models/bert/")
    assert watch.poll() is None
    memory.pipe("/models/bert/weights", b"2")
    assert settled(watch) == Found("memory://models/bert", content_hash("memory://models/bert"))


def test_a_plain_file_behind_a_url_may_come_later(memory):
    watch = ModelWatch("memory://models/model.pt")
    assert watch.poll() is None
    memory.pipe("/models/model.pt", b"1")
    assert settled(watch) == Found("memory://models/model.pt", digest(b"1"))


def test_a_pointer_behind_a_url_names_what_lies_beside_it_or_anywhere(memory, tmp_path):
    memory.pipe({"/models/v1/weights": b"1", "/models/v2/weights": b"2", "/models/CURRENT": b"v1\n"})
    local = put(tmp_path / "v3.pt", b"3")
    watch = ModelWatch("memory://models/CURRENT", served="memory://models/v1")
    assert watch.poll() is None
    lines = {b"v2": "memory:///models/v2", local.encode(): None, b"memory://models/v1": "memory://models/v1"}
    lines[b"../models/v2"] = "memory:///models/v2"
    lines[(tmp_path / "v3.pt").as_uri().encode()] = local
    for line, path in lines.items():
        memory.pipe("/models/CURRENT", line)
        if path is None:  # An absolute path stays on the file system of the pointer.
            with pytest.raises(ModelLoadError, match="where no model is"):
                watch.poll()
            continue
        found = soon(watch)
        assert found == Found(path, content_hash(path))
        watch.served(found.content_hash)


def test_a_pointer_on_this_machine_may_name_a_url(memory, tmp_path):
    memory.pipe("/models/v1.pt", b"1")
    put(tmp_path / "CURRENT", b"memory://models/v1.pt")
    assert ModelWatch(str(tmp_path / "CURRENT")).poll() == Found("memory://models/v1.pt", digest(b"1"))


@pytest.fixture
def store():
    """A file system that remembers its listings, lists folders among their entries, and may do something at reading."""
    fsspec = pytest.importorskip("fsspec")

    class Store(fsspec.AbstractFileSystem):
        protocol = "store"
        objects = {"models/": b""}  # noqa: RUF012
        listing = {}  # noqa: RUF012
        on_read = staticmethod(lambda path: None)

        def ls(self, path, detail=True, **options):
            if not self.listing:
                for number, (name, content) in enumerate(self.objects.items()):
                    kind = {"type": "file", "etag": digest(content), "modified": NOW + number}
                    self.listing[name] = {"name": name, "size": len(content), **kind}
            found = [info for name, info in self.listing.items() if name.startswith(path.rstrip("/") + "/")]
            return found if detail else [info["name"] for info in found]

        def info(self, path, **options):
            self.ls("")
            if path in self.listing:
                return self.listing[path]
            if any(name.startswith(f"{path}/") for name in self.listing):
                return {"name": path, "size": 0, "type": "directory"}
            raise FileNotFoundError(path)

        def invalidate_cache(self, path=None):
            self.listing.clear()

        def _open(self, path, mode="rb", **options):
            self.on_read(path)
            return io.BytesIO(self.objects[path])

    fsspec.register_implementation("store", Store, clobber=True)
    return Store


@pytest.mark.parametrize("pattern", ["store://models", "store://models/*.pt"])
def test_listings_are_asked_for_afresh_and_a_folder_is_none_of_its_entries(store, pattern):
    store.objects["models/v1.pt"] = b"1"
    watch = watching(pattern)
    store.objects["models/v2.pt"] = b"2"
    assert settled(watch) == Found("store://models/v2.pt", digest(b"2"))
    watch.served(digest(b"2"))
    store.objects["models/v1.pt"] = b"3"
    assert settled(watch) == Found("store://models/v1.pt", digest(b"3"))


def test_a_version_that_changes_while_it_is_read_is_read_again(store):
    contents = [str(number).encode() for number in range(5)]

    def change(path):
        if contents:
            store.objects[path] = contents.pop(0)

    store.on_read = staticmethod(change)
    store.objects["models/v1.pt"] = b"first"
    watch = ModelWatch("store://models/*.pt")
    found = [found for _ in range(20) if (found := watch.poll()) is not None]
    assert found == [Found("store://models/v1.pt", digest(b"4"))]


def test_a_version_that_goes_away_while_it_is_read_is_no_error(store):
    store.objects["models/v1.pt"] = b"1"
    watch = watching("store://models/*.pt")

    def remove(path):
        raise FileNotFoundError(store.objects.pop(path, path))

    store.objects["models/v2.pt"] = b"2"
    store.on_read = staticmethod(remove)
    assert settled(watch) is None
    assert "models/v2.pt" not in store.objects


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_a_version_that_cannot_be_read_hides_no_other_is_told_and_is_tried_again(store, kind):
    store.objects["models/v1.pt"] = b"1"
    watch = watching("store://models/*.pt")

    def fail(path):
        if path == "models/v3.pt":
            raise kind("the network is down")

    store.on_read = staticmethod(fail)
    store.objects |= {"models/v2.pt": b"2", "models/v3.pt": b"3"}
    assert settled(watch) == Found("store://models/v2.pt", digest(b"2"))
    for _ in range(2):
        with pytest.raises((ModelLoadError, RuntimeError), match="the network is down"):
            watch.poll()
    store.on_read = staticmethod(lambda path: None)
    assert watch.poll() == Found("store://models/v3.pt", digest(b"3"))
