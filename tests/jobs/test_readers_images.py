"""Images: one row for each file, with its path and its bytes."""

import os

import pytest

pa = pytest.importorskip("pyarrow")
fsspec = pytest.importorskip("fsspec")

from runinference.errors import ConfigurationError, DataError  # noqa: E402
from runinference.jobs.paths import expand_input  # noqa: E402
from runinference.jobs.readers import images, open_dataset  # noqa: E402

SCHEMA = pa.schema([("path", pa.string()), ("image", pa.binary())])


def make(folder, **contents):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def rows(dataset, **options):
    return [row for batch in dataset.batches(**options) for row in batch.to_pylist()]


def test_each_file_is_a_row_of_its_path_and_its_bytes(tmp_path):
    folder = make(tmp_path / "in", b_jpg=b"B", a_PNG=b"AA", c_webp=b"\0C\xff", notes_md=b"no")
    dataset = open_dataset(folder)
    assert (dataset.format, dataset.num_rows, dataset.num_bytes, dataset.schema) == ("images", 3, 6, SCHEMA)
    assert rows(dataset) == [
        {"path": f"{folder}/{name}", "image": content}
        for name, content in (("a.PNG", b"AA"), ("b.jpg", b"B"), ("c.webp", b"\0C\xff"))
    ]
    assert rows(open_dataset(folder / "b.jpg")) == [{"path": f"{folder}/b.jpg", "image": b"B"}]
    assert len(rows(open_dataset(f"{folder}/*.jpg"))) == 1


def test_all_suffixes_of_images_go_together(tmp_path):
    suffixes = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "JPG"]
    make(tmp_path / "in", **{f"{number}_{suffix}": b"x" for number, suffix in enumerate(suffixes)})
    assert open_dataset(tmp_path / "in").num_rows == len(suffixes)


def test_the_output_has_the_path_and_not_the_image(tmp_path):
    dataset = open_dataset(make(tmp_path / "in", a_jpg=b"A"))
    assert dataset.key == "path"
    assert dataset.kept == pa.schema([("path", pa.string())])


def test_other_formats_keep_everything_and_have_no_key(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    dataset = open_dataset(tmp_path / "a.txt")
    assert dataset.key is None
    assert dataset.kept == dataset.schema


def test_batches_are_small_in_rows_and_bytes(tmp_path, monkeypatch):
    folder = make(tmp_path / "in", **{f"{number:03}_jpg": b"x" * 100 for number in range(100)})
    dataset = open_dataset(folder)
    assert {batch.num_rows for batch in dataset.batches()} == {images.BATCH_ROWS, 100 % images.BATCH_ROWS}
    assert {batch.num_rows for batch in dataset.batches(batch_rows=5)} == {5}
    monkeypatch.setattr(images, "BATCH_BYTES", 300)
    assert {batch.num_rows for batch in dataset.batches()} == {3, 1}
    monkeypatch.setattr(images, "BATCH_BYTES", 1)
    assert {batch.num_rows for batch in dataset.batches()} == {1}


def test_splits_of_many_files_are_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "FILES_PER_SPLIT", 4)
    folder = make(tmp_path / "in", **{f"{number}_jpg": str(number).encode() for number in range(10)})
    (folder / "9.jpg").write_bytes(b"")
    dataset = open_dataset(folder)
    assert [(split.position, 1 + len(split.more)) for split in dataset.splits] == [(0, 4), (1, 4), (2, 2)]
    failures = []
    read = [
        row
        for split in dataset.splits
        for batch in dataset.read_split(split, failures.append)
        for row in batch.to_pylist()
    ]
    assert read == rows(dataset, on_failure=failures.append)
    assert [row["image"] for row in read] == [str(number).encode() for number in range(9)]
    assert [failure.index for failure in failures] == [10, 10]


def test_no_more_files_are_read_than_asked_for(tmp_path):
    folder = make(tmp_path / "in", **{f"{number}_jpg": b"x" for number in range(9)}, z_jpg=b"")
    assert len(rows(open_dataset(folder), limit=4)) == 4
    assert len(rows(open_dataset(folder), limit=9)) == 9


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_set_aside(tmp_path):
    folder = make(tmp_path / "in", a_jpg=b"A", b_jpg=b"B")
    (folder / "a.jpg").chmod(0)
    failures = []
    assert [row["image"] for row in rows(open_dataset(folder), on_failure=failures.append)] == [b"B"]
    assert failures[0].message == f"{folder}/a.jpg cannot be read: Permission denied"


def test_empty_and_missing_files_are_set_aside_with_their_path_and_number(tmp_path):
    folder = make(tmp_path / "in", a_jpg=b"A", b_jpg=b"", c_jpg=b"C", e_jpg=b"E")
    (folder / "d.jpg").symlink_to("nowhere")
    dataset = open_dataset(folder)
    (folder / "e.jpg").unlink()
    failures = []
    assert [row["image"] for row in rows(dataset, on_failure=failures.append)] == [b"A", b"C"]
    assert [(failure.index, failure.stage, failure.key, failure.message) for failure in failures] == [
        (2, "read", f"{folder}/b.jpg", f"{folder}/b.jpg is empty (0 bytes)"),
        (4, "read", f"{folder}/d.jpg", f"{folder}/d.jpg cannot be read: No such file or directory"),
        (5, "read", f"{folder}/e.jpg", f"{folder}/e.jpg cannot be read: No such file or directory"),
    ]
    assert failures[0].example == {"path": f"{folder}/b.jpg"}
    with pytest.raises(DataError, match=r"in/b\.jpg is empty \(0 bytes\)"):
        rows(dataset)


def test_a_file_that_no_column_of_bytes_can_hold_is_set_aside_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_LARGEST", 1000)
    folder = make(tmp_path / "in", a_jpg=b"x" * 1001, b_jpg=b"x" * 1000)
    failures = []
    assert [row["path"] for row in rows(open_dataset(folder), on_failure=failures.append)] == [f"{folder}/b.jpg"]
    assert "a.jpg cannot be read: it has 1,001 bytes, and an image may have 1,000" in failures[0].message


def test_a_file_name_that_is_not_utf8_is_shown_as_far_as_it_goes(tmp_path):
    folder = make(tmp_path / "in")
    try:
        with open(os.fsencode(folder) + b"/caf\xe9.jpg", "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system takes no such names")
    assert rows(open_dataset(folder)) == [{"path": f"{folder}/caf\\udce9.jpg", "image": b"x"}]


def test_files_behind_a_url_are_fetched_in_their_order(tmp_path):
    memory = fsspec.filesystem("memory")
    contents = {f"memory:///photos/{number:03}[1].jpg": str(number).encode() for number in range(50)}
    for url, content in contents.items():
        memory.pipe(url, content)
    memory.pipe("/photos/007[1].jpg", b"")
    dataset = open_dataset("memory://photos")
    memory.rm_file("/photos/008[1].jpg")
    failures = []
    read = {row["path"]: row["image"] for row in rows(dataset, on_failure=failures.append)}
    gone = [f"memory:///photos/00{number}[1].jpg" for number in (7, 8)]
    assert list(read.items()) == [item for item in contents.items() if item[0] not in gone]
    assert [(failure.index, failure.key) for failure in failures] == [(8, gone[0]), (9, gone[1])]
    assert failures[0].message.endswith("is empty (0 bytes)")
    assert "cannot be read: " in failures[1].message


def test_images_beside_a_table_are_a_mix_that_is_named(tmp_path):
    folder = make(tmp_path / "in", a_jpg=b"A", b_png=b"B", labels_csv=b"a,b\n")
    message = r"several formats: 1 csv \(labels.csv\), 2 images \(a.jpg\). Pick one with a glob"
    with pytest.raises(DataError, match=message):
        expand_input(folder)


def test_a_compressed_image_is_no_image(tmp_path):
    make(tmp_path / "in", a_jpg_gz=b"x")
    with pytest.raises(ConfigurationError, match=r"cannot tell the format of .*a.jpg.gz"):
        open_dataset(tmp_path / "in" / "a.jpg.gz")


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"no column 'imag'. Did you mean 'image'\? The columns are: path, image"
    ):
        open_dataset(make(tmp_path / "in", a_jpg=b"A"), columns_needed=["imag"])
