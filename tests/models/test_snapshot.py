"""Private copies of model files: what happens to the original does not happen to them."""

import errno
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading

import pytest

from runinference import ModelLoadError
from runinference.models import snapshot
from runinference.models.snapshot import drop_snapshot, take_snapshot
from runinference.models.versions import content_hash

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="files in use cannot be removed, and are not locked")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    for folder, holds in list(snapshot._holds.items()):
        for _ in list(holds):
            drop_snapshot(str(folder / "model"))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(100_000))
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "bert"
    (path / "parts").mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "parts" / "1.bin").write_bytes(os.urandom(100_000))
    return path


def snapshot_of(path):
    return take_snapshot(str(path), content_hash(str(path)))


def left_over(cache):
    return sorted(os.listdir(cache / "snapshots"))


def child(code, *arguments):
    """A process that runs `code`, whose first line of output has been read."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


MAP_AND_WAIT = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    weights = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print("mapped", flush=True)
sys.stdin.readline()
import hashlib
print(hashlib.sha256(weights[:]).hexdigest(), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the signal differs")
def test_who_serves_from_a_snapshot_survives_what_kills_who_serves_from_the_original(cache, model):
    expected = content_hash(str(model))
    careful, _ = child(MAP_AND_WAIT, snapshot_of(model))
    careless, _ = child(MAP_AND_WAIT, model)
    os.truncate(model, 0)
    model.write_bytes(b"another version")
    answers = [process.communicate("go on\n", timeout=60)[0].strip() for process in (careful, careless)]
    assert (careful.returncode, answers[0]) == (0, expected)
    assert (careless.returncode, answers[1]) == (-signal.SIGBUS, "")


def test_a_file_is_copied_below_its_hash_for_this_user_only(cache, model):
    path = snapshot_of(model)
    assert path == str(cache / "snapshots" / content_hash(str(model)) / "model.bin")
    assert content_hash(path) == content_hash(str(model))
    if sys.platform != "win32":
        for place in (cache / "snapshots", cache / "snapshots" / content_hash(str(model))):
            assert stat.S_IMODE(os.stat(place).st_mode) == 0o700


@pytest.mark.parametrize("spelled", ["{}", "{}/", "{}/.", "file://{}"])
def test_a_folder_is_copied_whole(cache, folder, spelled):
    path = take_snapshot(spelled.format(folder), content_hash(str(folder)))
    assert os.path.basename(path) == "bert"
    assert content_hash(path) == content_hash(str(folder))


def test_what_is_linked_is_copied(cache, folder, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("config.json", "parts"):
        (linked / name).symlink_to(folder / name)
    path = snapshot_of(linked)
    shutil.rmtree(folder)
    assert sorted(os.listdir(path)) == ["config.json", "parts"]
    assert os.path.getsize(os.path.join(path, "parts", "1.bin")) == 100_000


def test_the_file_system_is_asked_to_copy_and_python_copies_what_it_cannot(cache, model, tmp_path):
    copies = [tmp_path / name for name in ("by_system", "by_python")]
    with open(model, "rb") as original, open(copies[0], "wb") as copy:
        if snapshot._copied_by_system(original, copy):
            assert copies[0].stat().st_size == model.stat().st_size
    (tmp_path / "empty").touch()
    with open(tmp_path / "empty", "rb") as original, open(copies[1], "wb") as copy:
        assert not snapshot._copied_by_system(original, copy)
    read, write = os.pipe()
    with open(read, "rb") as original, open(write, "wb") as copy:
        assert not snapshot._copied_by_system(original, copy)


def test_a_copy_is_made_once_and_verified_when_it_is_used_again(cache, model):
    first = snapshot_of(model)
    made = os.stat(first)
    second = snapshot_of(model)
    assert (second, os.path.samestat(os.stat(second), made)) == (first, True)
    os.chmod(first, 0o600)
    with open(first, "r+b") as file:
        file.write(b"damage")
    third = snapshot_of(model)
    assert content_hash(third) == content_hash(str(model))


def test_a_damaged_copy_of_a_folder_is_replaced(cache, folder):
    path = snapshot_of(folder)
    os.remove(os.path.join(path, "config.json"))
    assert snapshot_of(folder) == path
    assert content_hash(path) == content_hash(str(folder))
    shutil.rmtree(path)
    os.mkdir(path)
    assert snapshot_of(folder) == path
    assert content_hash(path) == content_hash(str(folder))


def test_a_copy_that_is_there_serves_though_the_original_has_changed(cache, model):
    expected = content_hash(str(model))
    path = snapshot_of(model)
    model.write_bytes(b"another version")
    assert take_snapshot(str(model), expected) == path
    assert content_hash(path) == expected


def test_a_source_that_is_another_one_is_told_and_leaves_nothing(cache, model):
    expected = content_hash(str(model))
    model.write_bytes(b"another version")
    with pytest.raises(ModelLoadError, match=rf"model\.bin is not the expected one, {expected[:12]}….*beside the old"):
        take_snapshot(str(model), expected)
    assert left_over(cache) == []


def test_a_source_that_is_gone_is_told_and_leaves_nothing(cache, model):
    expected = content_hash(str(model))
    os.remove(model)
    with pytest.raises(ModelLoadError, match=re.escape(f"The model {model} does not exist")):
        take_snapshot(str(model), expected)
    assert left_over(cache) == []


def test_the_last_use_removes_the_copy(cache, model):
    first, second = snapshot_of(model), snapshot_of(model)
    drop_snapshot(first)
    assert content_hash(second) == content_hash(str(model))
    drop_snapshot(second)
    assert left_over(cache) == []
    drop_snapshot(second)


def test_two_names_of_one_content_are_two_copies(cache, model, tmp_path):
    other = shutil.copy(model, tmp_path / "model.safetensors")
    paths = [snapshot_of(model), snapshot_of(other)]
    assert [os.path.basename(path) for path in paths] == ["model.bin", "model.safetensors"]
    drop_snapshot(paths[0])
    assert content_hash(paths[1]) == content_hash(str(model))
    drop_snapshot(paths[1])
    assert left_over(cache) == []


def test_what_was_never_taken_is_left_alone(cache, model, folder):
    drop_snapshot(str(model))
    drop_snapshot(str(folder / "parts" / "1.bin"))
    drop_snapshot(str(cache / "snapshots" / "absent" / "model.bin"))
    assert model.exists()
    assert sorted(os.listdir(folder)) == ["config.json", "parts"]


TAKE_AND_WAIT = """
import sys
from runinference.models.snapshot import drop_snapshot, take_snapshot
path = take_snapshot(sys.argv[1], sys.argv[2])
print(path, flush=True)
if sys.stdin.readline() == "drop\\n":
    drop_snapshot(path)
"""


@on_posix
def test_what_another_process_uses_stays_until_it_drops_it(cache, model):
    path = snapshot_of(model)
    other, taken = child(TAKE_AND_WAIT, model, content_hash(str(model)))
    assert taken == path
    drop_snapshot(path)
    assert os.path.exists(path)
    other.communicate("drop\n", timeout=60)
    assert left_over(cache) == []


@on_posix
def test_what_a_killed_process_has_left_is_removed_by_the_next_that_takes_one(cache, model, folder):
    other, left = child(TAKE_AND_WAIT, model, content_hash(str(model)))
    snapshot_of(folder)
    assert os.path.exists(left)
    other.kill()
    other.communicate()
    unfinished = cache / "snapshots" / ("0" * 64) / ".unfinished-1"
    unfinished.mkdir(parents=True)
    path = snapshot_of(folder)
    assert left_over(cache) == [content_hash(str(folder))]
    assert content_hash(path) == content_hash(str(folder))


@on_posix
def test_a_child_that_was_forked_keeps_the_copy(cache, model):
    path = snapshot_of(model)
    go_on, tell = os.pipe()
    answer, answered = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(tell)
        os.read(go_on, 1)
        os.write(answered, content_hash(path).encode())
        os._exit(0)
    drop_snapshot(path)
    os.close(tell)
    expected = content_hash(str(model))
    assert os.read(answer, 64).decode() == expected
    os.waitpid(pid, 0)
    for descriptor in (go_on, answer, answered):
        os.close(descriptor)
    drop_snapshot(snapshot_of(model))
    assert left_over(cache) == []


def test_threads_that_take_and_drop_at_once_always_have_a_whole_copy(cache, model, folder):
    wrong, start = [], threading.Barrier(6)

    def use(path):
        expected = content_hash(str(path))
        start.wait()
        for _ in range(15):
            taken = take_snapshot(str(path), expected)
            if not taken.startswith(str(cache)) or content_hash(taken) != expected:
                wrong.append(taken)
            drop_snapshot(taken)

    threads = [threading.Thread(target=use, args=[path]) for path in (model, folder) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert left_over(cache) == []


USE_OFTEN = """
import sys
from runinference.models.snapshot import drop_snapshot, take_snapshot
from runinference.models.versions import content_hash
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    path = take_snapshot(sys.argv[1], sys.argv[2])
    assert path != sys.argv[1] and content_hash(path) == sys.argv[2]
    drop_snapshot(path)
"""


@on_posix
def test_processes_that_take_and_drop_at_once_always_have_a_whole_copy(cache, model, folder):
    processes = [child(USE_OFTEN, path, content_hash(str(path)))[0] for path in (model, folder, model, folder)]
    for process in processes:
        process.stdin.write("go on\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=100)
    assert [process.returncode for process in processes] == [0] * 4
    assert left_over(cache) == []


@on_posix
def test_a_process_that_is_killed_while_it_copies_leaves_nothing_that_is_taken_for_a_copy(cache, tmp_path):
    big = tmp_path / "big.bin"
    with open(big, "wb") as file:
        file.truncate(300 << 20)
    expected = content_hash(str(big))
    code = "import sys; print(1, flush=True);" + TAKE_AND_WAIT
    other, _ = child(code, big, expected)
    folder = cache / "snapshots" / expected
    while not (list(folder.glob(".unfinished-*/big.bin")) or (folder / "big.bin").exists()):
        assert other.poll() is None
    other.kill()
    other.communicate()
    path = take_snapshot(str(big), expected)
    assert path != str(big)
    assert content_hash(path) == expected
    drop_snapshot(path)
    assert left_over(cache) == []


def test_a_cache_that_cannot_be_written_is_warned_of_and_the_model_used_where_it_is(
    tmp_path, model, monkeypatch, caplog
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING, logger="runinference"):
        assert snapshot_of(model) == str(model)
    assert len(caplog.records) == 1
    assert re.search(r"model.bin could not be copied to .*Not a directory.*do not overwrite it", caplog.text)
    drop_snapshot(str(model))
    assert model.exists()


FILE_LIMIT = """
import logging, resource, signal, sys
from runinference.models.snapshot import take_snapshot
logging.basicConfig(stream=sys.stdout, format="%(message)s")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
print(take_snapshot(sys.argv[1], sys.argv[2]))
"""


@on_posix
@pytest.mark.parametrize("kind", ["model", "folder"])
def test_a_copy_for_which_there_is_no_room_is_warned_of_and_leaves_nothing(cache, kind, request):
    path = request.getfixturevalue(kind)
    process, warning = child(FILE_LIMIT, path, content_hash(str(path)))
    rest = process.stdout.read()
    process.communicate(timeout=60)
    assert re.search(rf"could not be copied to .*: {os.strerror(errno.EFBIG)}", warning)
    assert rest.splitlines() == [str(path)]
    assert left_over(cache) == []
