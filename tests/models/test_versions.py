"""What tells versions of a model apart: their content, and what can be seen without reading it."""

import hashlib
import os
import re
import shutil
import tracemalloc
from datetime import UTC, datetime

import pytest

from runinference import ModelLoadError
from runinference.models.versions import content_hash, plain_path, signature_of

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


def folder(place, files):
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return str(place)


def test_the_hash_of_a_file_is_that_of_its_bytes_wherever_it_lies(tmp_path, memory):
    content = os.urandom(3_000_000)
    (tmp_path / "model.bin").write_bytes(content)
    memory.pipe("/models/other.bin", content)
    expected = hashlib.sha256(content).hexdigest()
    assert content_hash(str(tmp_path / "model.bin")) == expected
    assert content_hash((tmp_path / "model.bin").as_uri()) == expected
    assert content_hash("memory://models/other.bin") == expected


def test_the_hash_of_a_folder_is_that_of_its_names_and_contents_wherever_it_lies(tmp_path, memory):
    files = {"config.json": b"{}", "parts/1.bin": b"one", "parts/2.bin": b"two"}
    first = content_hash(folder(tmp_path / "bert", files))
    assert content_hash(folder(tmp_path / "copy", dict(reversed(files.items())))) == first
    memory.pipe({f"/models/bert/{name}": content for name, content in files.items()})
    assert content_hash("memory://models/bert") == first
    assert content_hash("memory://models/bert/") == first


@pytest.mark.parametrize(
    "files",
    [
        {"a": b"1", "b": b"23"},
        {"a": b"12", "c": b"3"},
        {"a": b"12", "b": b"3", "c": b""},
        {"a": b"12"},
        {"sub/a": b"12", "b": b"3"},
        {"a": b"3", "b": b"12"},
    ],
)
def test_another_name_another_content_or_another_division_is_another_hash(tmp_path, files):
    assert content_hash(folder(tmp_path / "one", {"a": b"12", "b": b"3"})) != content_hash(
        folder(tmp_path / "two", files)
    )


def test_a_file_is_never_held_in_memory_as_a_whole(tmp_path):
    size = 64 << 20
    with open(tmp_path / "model.bin", "wb") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        content_hash(str(tmp_path / "model.bin"))
        assert tracemalloc.get_traced_memory()[1] < size / 8
    finally:
        tracemalloc.stop()


def test_links_are_followed_but_not_in_circles(tmp_path):
    plain = folder(tmp_path / "plain", {"weights": b"12", "sub/vocabulary": b"3"})
    linked = tmp_path / "linked"
    folder(tmp_path / "blobs", {"abc": b"12", "more/vocabulary": b"3"})
    linked.mkdir()
    (linked / "weights").symlink_to(tmp_path / "blobs" / "abc")
    (linked / "sub").symlink_to(tmp_path / "blobs" / "more")
    (linked / "circle").symlink_to(linked)
    (linked / "nowhere").symlink_to(tmp_path / "absent")
    assert content_hash(str(linked)) == content_hash(plain)
    before = signature_of(str(linked))
    (tmp_path / "blobs" / "abc").write_bytes(b"123")
    assert signature_of(str(linked)) != before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    model = folder(tmp_path / "model", {"weights": b"12"})
    before = content_hash(model)
    os.mkfifo(tmp_path / "model" / "pipe")
    assert content_hash(model) == before
    assert signature_of(str(tmp_path / "model" / "pipe")) is None


def test_what_cannot_be_read_is_told(tmp_path, memory):
    (tmp_path / "model.pth").touch()
    (tmp_path / "empty").mkdir()
    wanted, nearest = re.escape(str(tmp_path / "modle.pth")), re.escape(str(tmp_path / "model.pth"))
    with pytest.raises(ModelLoadError, match=f"The model {wanted} does not exist. Did you mean {nearest}?"):
        content_hash(str(tmp_path / "modle.pth"))
    with pytest.raises(ModelLoadError, match=r"empty is an empty folder"):
        content_hash(str(tmp_path / "empty"))
    with pytest.raises(ModelLoadError, match=r"memory://models/absent does not exist"):
        content_hash("memory://models/absent")
    with pytest.raises(ModelLoadError, match=r"nope://model cannot be read: .*nope"):
        content_hash("nope://model")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_listed_is_nothing_to_see_and_an_error_to_read(tmp_path):
    model = folder(tmp_path / "model", {"weights": b"12"})
    os.chmod(model, 0)
    try:
        assert signature_of(model) is None
        with pytest.raises(ModelLoadError, match=r"cannot be read: .*Permission denied"):
            content_hash(model)
    finally:
        os.chmod(model, 0o700)


def test_a_signature_stays_while_nothing_changes(tmp_path, memory):
    model = folder(tmp_path / "model", {"weights": b"12", "sub/vocabulary": b"3"})
    memory.pipe({"/models/bert/weights": b"12"})
    for path in (model, f"{model}/weights", "memory://models/bert", "memory://models/bert/weights"):
        before = signature_of(path)
        content_hash(path)
        assert before is not None
        assert signature_of(path) == before
    assert signature_of(model).num_bytes == 3
    assert signature_of("memory://models/bert").num_bytes == 2


def test_a_signature_tells_of_another_file_of_the_same_size_and_time(tmp_path):
    path, other = tmp_path / "model.bin", tmp_path / "other.bin"
    path.write_bytes(b"first")
    other.write_bytes(b"other")
    os.utime(path, ns=(10**18, 10**18))
    os.utime(other, ns=(10**18, 10**18))
    before = signature_of(str(path))
    os.replace(other, path)
    after = signature_of(str(path))
    assert (after.num_bytes, after.modified_ns) == (before.num_bytes, before.modified_ns)
    assert after.marks != before.marks


def test_a_signature_tells_of_a_file_overwritten_in_place_with_its_old_time(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"first")
    os.utime(path, ns=(10**18, 10**18))
    before = signature_of(str(path))
    while signature_of(str(path)) == before:  # Until the clock of the file system has ticked.
        path.write_bytes(b"other")
        os.utime(path, ns=(10**18, 10**18))
    assert signature_of(str(path)).marks == before.marks


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "sub" / "vocabulary").write_bytes(b"more"),
        lambda path: (path / "new").touch(),
        lambda path: (path / "weights").unlink(),
        lambda path: (path / "weights").rename(path / "renamed"),
        lambda path: os.utime(path / "weights", (1, 1)),
    ],
)
def test_the_signature_of_a_folder_tells_of_every_file(tmp_path, change):
    model = folder(tmp_path / "model", {"weights": b"12", "sub/vocabulary": b"3"})
    before = signature_of(model)
    change(tmp_path / "model")
    assert signature_of(model) != before


def test_where_no_byte_is_there_is_no_signature(tmp_path, memory):
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun").touch()
    memory.pipe("/models/begun", b"")
    for path in (tmp_path / "empty", tmp_path / "begun", tmp_path / "absent", tmp_path / "begun" / "below"):
        assert signature_of(str(path)) is None
    for url in ("memory://models/begun", "memory://models/absent"):
        assert signature_of(url) is None


def test_a_signature_tells_of_an_object_that_was_overwritten(memory):
    memory.pipe("/models/model.bin", b"first")
    before = signature_of("memory://models/model.bin")
    memory.pipe("/models/model.bin", b"other")
    assert signature_of("memory://models/model.bin") != before


@pytest.fixture
def shelf():
    """A file system that remembers what it has looked at, and says of its files what the test wants."""
    fsspec = pytest.importorskip("fsspec")

    class Shelf(fsspec.AbstractFileSystem):
        protocol = "shelf"
        says = {}  # noqa: RUF012
        remembered = {}  # noqa: RUF012

        def info(self, path, **options):
            return self.remembered.setdefault(path, {"name": path, "type": "file", "size": 7, **self.says})

        def invalidate_cache(self, path=None):
            self.remembered.clear()

    fsspec.register_implementation("shelf", Shelf, clobber=True)
    return Shelf


def test_what_fsspec_remembers_is_asked_for_again_unless_told_otherwise(shelf):
    shelf.says["etag"] = "1"
    before = signature_of("shelf://model.bin")
    shelf.says["etag"] = "2"
    assert signature_of("shelf://model.bin", refresh=False) == before
    assert signature_of("shelf://model.bin") != before


@pytest.mark.parametrize(
    "says",
    [
        {"Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"},
        {"LastModified": datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), "created": 5.0},
        {"updated": "2001-09-09T01:46:40Z", "timeCreated": "1999-01-01T00:00:00Z"},
        {"mtime": 1e9, "created": 2e9},
        {"created": 1e9},
    ],
)
def test_the_time_of_modification_is_found_as_each_service_names_it(shelf, says):
    shelf.says.update(says)
    assert signature_of("shelf://model.bin").modified_ns == 10**18


@pytest.mark.parametrize("says", [{}, {"mtime": "yesterday"}, {"mtime": None}])
def test_a_time_that_nobody_knows_is_zero(shelf, says):
    shelf.says.update(says)
    assert signature_of("shelf://model.bin").modified_ns == 0


def test_having_been_read_is_no_change(shelf):
    shelf.says.update({"etag": "1", "last_accessed_on": "today", "url": "https://signed?a=1"})
    before = signature_of("shelf://model.bin")
    shelf.says.update({"last_accessed_on": "tomorrow", "url": "https://signed?a=2"})
    assert signature_of("shelf://model.bin") == before


def test_a_copy_with_its_times_and_names_is_the_same_content(tmp_path):
    model = folder(tmp_path / "model", {"weights": b"12", "sub/vocabulary": b"3"})
    copy = shutil.copytree(model, tmp_path / "copy")
    assert content_hash(str(copy)) == content_hash(model)
    assert signature_of(str(copy)) != signature_of(model)


def test_a_path_that_is_no_file_url_stays_as_it_is():
    assert [plain_path(path) for path in ("a b", "memory://a", "/file")] == ["a b", "memory://a", "/file"]
