"""Which version of a model should be served, and what counts as a change."""

import os
import shutil
import threading

import pytest
from appearing import NEW, NOW, OLD, digest, put, settled, watching

from runinference.models.versions import content_hash
from runinference.models.watch import Found, ModelWatch

pytestmark = pytest.mark.core


# --- which one is current at first


def test_at_first_the_newest_counts_and_at_equal_times_the_greater_name(tmp_path):
    put(tmp_path / "a.pt", b"a", NEW)
    put(tmp_path / "b.pt", b"b", NEW)
    put(tmp_path / "c.pt", b"c", OLD)
    found = ModelWatch(str(tmp_path / "*.pt")).poll()
    assert found == Found(str(tmp_path / "b.pt"), digest(b"b"))


def test_what_is_found_at_first_is_found_once(tmp_path):
    put(tmp_path / "a.pt", b"a", OLD)
    put(tmp_path / "b.pt", b"b", NEW)
    watch = ModelWatch(str(tmp_path / "*.pt"))
    assert watch.poll() is not None
    assert [watch.poll() for _ in range(3)] == [None] * 3


def test_what_the_handler_has_loaded_is_no_change_under_any_name(tmp_path):
    loaded = put(tmp_path / "loaded.bin", b"weights")
    put(tmp_path / "models" / "v1.pt", b"weights")
    assert ModelWatch(str(tmp_path / "models" / "*.pt"), served=loaded).poll() is None
    put(tmp_path / "models" / "v0.pt", b"0", OLD)
    newest = str(tmp_path / "models" / "v1.pt")
    assert ModelWatch(str(tmp_path / "models" / "*.pt"), served=newest).poll() is None
    assert ModelWatch(loaded, served=loaded).poll() is None
    assert ModelWatch(loaded).poll() is not None


def test_a_change_between_the_load_and_the_first_poll_is_found(tmp_path):
    path = put(tmp_path / "model.pt", b"loaded")
    watch = ModelWatch(path, served=path)
    watch.served(content_hash(path))
    put(tmp_path / "model.pt", b"changed")
    assert watch.poll() == Found(path, digest(b"changed"))


def test_the_handler_may_name_what_is_nowhere_to_read(tmp_path):
    put(tmp_path / "v1.pt", b"weights")
    for served in ("bert-base-uncased", "nope://model", str(tmp_path)):
        assert ModelWatch(str(tmp_path / "*.pt"), served=served).poll() is not None


# --- what counts as a change


def test_a_new_file_counts_when_two_polls_saw_the_same(tmp_path):
    put(tmp_path / "v1.pt", b"1")
    watch = watching(tmp_path / "*.pt")
    put(tmp_path / "v2.pt", b"ha")
    assert watch.poll() is None
    put(tmp_path / "v2.pt", b"half and half")
    assert settled(watch) == Found(str(tmp_path / "v2.pt"), digest(b"half and half"))
    watch.served(digest(b"half and half"))
    assert watch.poll() is None


def test_a_file_that_grows_at_every_poll_waits_until_it_is_complete(tmp_path):
    put(tmp_path / "v1.pt", b"1")
    watch = watching(tmp_path / "*.pt")
    with open(tmp_path / "v2.pt", "wb", buffering=0) as file:
        for _ in range(20):
            file.write(b"part")
            assert watch.poll() is None
    assert watch.poll() == Found(str(tmp_path / "v2.pt"), digest(b"part" * 20))


def test_a_folder_of_which_not_all_files_have_arrived_waits(tmp_path):
    put(tmp_path / "v1" / "weights", b"1")
    watch = watching(tmp_path)
    for number in range(5):
        put(tmp_path / "v2" / f"part{number}", b"part")
        assert watch.poll() is None
    assert watch.poll() == Found(str(tmp_path / "v2"), content_hash(str(tmp_path / "v2")))


def test_an_old_version_that_is_copied_back_with_its_time_is_a_roll_back(tmp_path):
    first = put(tmp_path / "archive" / "v1.pt", b"1", OLD)
    second = put(tmp_path / "models" / "v2.pt", b"2", NEW)
    watch = watching(tmp_path / "models" / "*.pt")
    shutil.copy2(first, tmp_path / "models" / "v1.pt")
    assert settled(watch) == Found(str(tmp_path / "models" / "v1.pt"), digest(b"1"))
    watch.served(digest(b"1"))
    os.utime(second, (NOW, NOW))
    assert settled(watch) == Found(second, digest(b"2"))


@pytest.mark.parametrize("name", ["model.pt", "v1.pt"])
def test_the_same_name_with_other_content_of_equal_size_and_time_is_found(tmp_path, name):
    put(tmp_path / "v1.pt", b"1111", OLD)
    put(tmp_path / "model.pt", b"1111", NOW)
    watch = watching(tmp_path / "*.pt")
    before = os.stat(tmp_path / name)
    other = put(tmp_path / "other", b"2222")
    os.utime(other, ns=(before.st_mtime_ns, before.st_mtime_ns))
    os.replace(other, tmp_path / name)
    assert settled(watch) == Found(str(tmp_path / name), digest(b"2222"))


def test_a_served_file_overwritten_in_place_with_its_old_time_is_found(tmp_path):
    path = put(tmp_path / "model.pt", b"1111", NOW)
    watch = watching(path)
    put(tmp_path / "model.pt", b"2222", NOW)
    assert settled(watch) == Found(path, digest(b"2222"))


def test_of_several_changes_the_newest_wins_and_the_others_are_done_with(tmp_path):
    put(tmp_path / "v1.pt", b"1", OLD)
    watch = watching(tmp_path / "*.pt")
    put(tmp_path / "v2.pt", b"2", NOW)
    put(tmp_path / "v3.pt", b"3", NEW)
    put(tmp_path / "v4.pt", b"4", OLD)
    assert settled(watch) == Found(str(tmp_path / "v3.pt"), digest(b"3"))
    watch.served(digest(b"3"))
    assert [watch.poll() for _ in range(3)] == [None] * 3


def test_other_names_and_times_of_what_is_served_are_no_change(tmp_path):
    path = put(tmp_path / "v1.pt", b"1", OLD)
    watch = watching(tmp_path / "*.pt")
    shutil.copy(path, tmp_path / "copy.pt")
    assert settled(watch) is None
    os.utime(path)
    assert settled(watch) is None
    put(tmp_path / "copy.pt", b"2")
    assert settled(watch) == Found(str(tmp_path / "copy.pt"), digest(b"2"))


def test_a_copy_of_what_is_served_comes_before_older_versions_that_come_with_it(tmp_path):
    put(tmp_path / "v3.pt", b"3", NEW)
    watch = watching(tmp_path / "**" / "*.pt")
    for name, content, at in (("v1", b"1", OLD), ("v2", b"2", NOW), ("v3", b"3", NEW)):
        put(tmp_path / "archive" / f"{name}.pt", content, at)
    assert settled(watch) is None
    assert watch.poll() is None


def test_a_touch_of_what_is_served_does_not_hide_a_roll_back_at_the_same_time(tmp_path):
    put(tmp_path / "v2.pt", b"2", NOW)
    watch = watching(tmp_path / "*.pt")
    put(tmp_path / "v1.pt", b"1", OLD)
    os.utime(tmp_path / "v2.pt", (NEW, NEW))
    assert settled(watch) == Found(str(tmp_path / "v1.pt"), digest(b"1"))


def test_other_permissions_are_no_change(tmp_path):
    for name, content, at in (("v1", b"1", OLD), ("v2", b"2", NOW), ("v3", b"3", NEW)):
        put(tmp_path / f"{name}.pt", content, at)
    watch = watching(tmp_path / "*.pt")
    put(tmp_path / "v1.pt", b"1 again", OLD)
    found = settled(watch)
    assert found == Found(str(tmp_path / "v1.pt"), digest(b"1 again"))
    watch.served(found.content_hash)
    for name in ("v1", "v2", "v3"):
        os.chmod(tmp_path / f"{name}.pt", 0o640)
    assert settled(watch) is None


def test_removed_files_change_nothing_and_neither_does_their_return(tmp_path):
    put(tmp_path / "v1.pt", b"1", OLD)
    put(tmp_path / "v2.pt", b"2", NEW)
    watch = watching(tmp_path / "*.pt")
    os.remove(tmp_path / "v2.pt")
    assert settled(watch) is None
    os.remove(tmp_path / "v1.pt")
    assert settled(watch) is None
    put(tmp_path / "v2.pt", b"2")
    assert settled(watch) is None


def test_a_listing_that_is_empty_for_a_moment_does_not_undo_a_roll_back(tmp_path):
    models = tmp_path / "models"
    put(models / "v2.pt", b"2", NEW)
    watch = watching(models / "*.pt")
    put(models / "v1.pt", b"1", OLD)
    found = settled(watch)
    watch.served(found.content_hash)
    os.rename(models, tmp_path / "away")
    assert settled(watch) is None
    os.rename(tmp_path / "away", models)
    assert settled(watch) is None


# --- what the engine says


def test_a_broken_version_is_not_found_again_until_its_content_changes(tmp_path):
    put(tmp_path / "v1.pt", b"1", OLD)
    watch = watching(tmp_path / "*.pt")
    put(tmp_path / "v2.pt", b"broken", NOW)
    found = settled(watch)
    watch.rejected(found)
    os.utime(tmp_path / "v2.pt", (NEW, NEW))
    assert settled(watch) is None
    shutil.copy(tmp_path / "v2.pt", tmp_path / "v3.pt")
    assert settled(watch) is None
    put(tmp_path / "v2.pt", b"mended")
    assert settled(watch) == Found(str(tmp_path / "v2.pt"), digest(b"mended"))


def test_a_broken_newest_version_does_not_hide_an_older_one_that_comes_with_it(tmp_path):
    put(tmp_path / "v1.pt", b"1", OLD)
    watch = watching(tmp_path / "*.pt")
    put(tmp_path / "v2.pt", b"broken", NOW)
    watch.rejected(settled(watch))
    put(tmp_path / "v3.pt", b"3", NOW)
    put(tmp_path / "v4.pt", b"broken", NEW)
    assert settled(watch) == Found(str(tmp_path / "v3.pt"), digest(b"3"))


def test_while_a_version_is_being_loaded_the_one_that_still_serves_can_be_asked_for(tmp_path):
    put(tmp_path / "v1.pt", b"1", OLD)
    watch = watching(tmp_path / "*.pt")
    put(tmp_path / "v2.pt", b"2", NOW)
    assert settled(watch).content_hash == digest(b"2")
    put(tmp_path / "v3.pt", b"1", NEW)
    assert settled(watch) == Found(str(tmp_path / "v3.pt"), digest(b"1"))


def test_after_a_broken_version_the_one_that_still_serves_is_no_change(tmp_path):
    put(tmp_path / "v1.pt", b"1", OLD)
    watch = watching(tmp_path / "*.pt")
    put(tmp_path / "v2.pt", b"broken", NOW)
    watch.rejected(settled(watch))
    put(tmp_path / "v3.pt", b"1", NEW)
    assert settled(watch) is None


def test_a_candidate_that_is_gone_before_it_is_read_is_no_error(tmp_path):
    """A writer removes and makes files while polls run; each poll must find a whole version or none."""
    versions = {digest(content := str(number).encode() * 1000): content for number in range(50)}
    stop, failures = threading.Event(), []

    def churn():
        while not stop.is_set():
            for content in versions.values():
                put(tmp_path / "_next", content)
                os.replace(tmp_path / "_next", tmp_path / "v.pt")
                os.remove(tmp_path / "v.pt")

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        watch = ModelWatch(str(tmp_path / "*.pt"))
        for _ in range(2000):
            found = watch.poll()
            if found is not None and found.content_hash not in versions:
                failures.append(found)
    finally:
        stop.set()
        writer.join()
    assert failures == []


def test_a_version_that_could_not_be_tried_is_found_again_and_one_that_does_not_work_is_not(tmp_path):
    put(tmp_path / "v1.pt", b"1", OLD)
    watch = ModelWatch(str(tmp_path / "*.pt"))
    for _ in range(3):
        found = watch.poll()
        assert found is not None
        watch.again(found)
    watch.rejected(found)
    assert [watch.poll() for _ in range(3)] == [None] * 3
