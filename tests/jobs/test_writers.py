"""Tables written to one file."""

import contextlib
import datetime
import decimal
import gzip
import json
import math
import os
import subprocess

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
from pyarrow import csv as pacsv  # noqa: E402

from runinference.errors import ConfigurationError, DataError  # noqa: E402
from runinference.jobs.readers import open_dataset  # noqa: E402
from runinference.jobs.writers import ensure_not_input, open_writer  # noqa: E402

ALL = ["out.parquet", "out.csv", "out.jsonl", "out.tsv", "out.csv.gz", "out.ndjson.zst"]


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def fail_half_way(path):
    with contextlib.suppress(KeyError), open_writer(path) as writer:
        writer.write(batch(x=[1]))
        raise KeyError
    return writer


def fill(path, rows):
    noise = np.random.default_rng(0).random(rows)
    with open_writer(path) as writer:
        for start in range(0, rows, 10_000):
            writer.write(batch(x=noise[start : start + 10_000]))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ALL)
def test_what_is_written_is_read_back(tmp_path, name):
    first, second = batch(x=[1, None], s=['a"b\\\n,', ""], f=[1.0, 2.5]), batch(x=[3], s=["é\x01"], f=[1e300])
    with open_writer(tmp_path / name) as writer:
        writer.write(first)
        writer.write(second)
        assert os.listdir(tmp_path) != [name]
    assert os.listdir(tmp_path) == [name]
    assert writer.rows == 3
    assert writer.bytes_written == (tmp_path / name).stat().st_size
    read = pa.Table.from_batches(open_dataset(tmp_path / name).batches())
    assert read.to_pylist() == first.to_pylist() + second.to_pylist()


@pytest.mark.parametrize("name", ALL)
def test_an_exception_leaves_what_was_there(tmp_path, name):
    (tmp_path / name).write_text("old")
    writer = fail_half_way(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "old"
    writer.abort()
    with pytest.raises(DataError, match="was committed or aborted already"):
        writer.write(batch(x=[1]))
    with pytest.raises(DataError, match=r"cannot commit .* was committed or aborted already"):
        writer.commit()


def test_an_output_that_exists_is_replaced_at_the_end_and_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.jsonl").write_text("old")
    (tmp_path / "out.jsonl").symlink_to(tmp_path / "real.jsonl")
    with open_writer(tmp_path / "out.jsonl") as writer:
        writer.write(batch(x=[1]))
        assert (tmp_path / "real.jsonl").read_text() == "old"
    assert (tmp_path / "real.jsonl").read_text() == '{"x": 1}\n'
    assert (tmp_path / "out.jsonl").is_symlink()


@pytest.mark.parametrize("name", ALL)
def test_no_rows_make_a_valid_file_where_the_schema_is_known(tmp_path, name):
    open_writer(tmp_path / name, schema=pa.schema([("x", pa.int64())])).commit()
    if ".csv" in name or ".tsv" in name or name.endswith("parquet"):
        assert open_dataset(tmp_path / name).schema.names == ["x"]
    else:
        assert pa.input_stream(str(tmp_path / name), compression="detect").read() == b""


def test_no_rows_and_no_schema_is_an_error_but_for_json(tmp_path):
    with open_writer(tmp_path / "out.jsonl"):
        pass
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    with pytest.raises(DataError, match=r"out.csv: there were no rows, so its columns are not known"):
        open_writer(tmp_path / "out.csv").commit()
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_small_batches_are_gathered_to_row_groups(tmp_path):
    with open_writer(tmp_path / "out.parquet", metadata={"model": "m1"}) as writer:
        for start in range(0, 300_000, 1000):
            writer.write(batch(x=np.arange(start, start + 1000), f=np.zeros(1000), e=[[0.5]] * 1000))
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(3)] == [131_072, 131_072, 37_856]
    assert file.metadata.metadata[b"model"] == b"m1"
    assert file.read().column("x").to_numpy().tolist() == list(range(300_000))
    encodings = {file.metadata.row_group(0).column(i).path_in_schema: i for i in range(3)}
    dictionary = {path: file.metadata.row_group(0).column(i).has_dictionary_page for path, i in encodings.items()}
    assert dictionary == {"x": True, "f": False, "e.list.element": False}


def test_large_rows_do_not_wait_for_a_full_row_group(tmp_path):
    with open_writer(tmp_path / "out.parquet") as writer:
        for _ in range(3):
            writer.write(batch(image=[b"x" * (100 << 20)]))
        assert writer.bytes_written > 0


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.jsonl"])
def test_a_later_type_is_cast_where_no_value_changes(tmp_path, name):
    with open_writer(tmp_path / name) as writer:
        writer.write(batch(x=pa.array([1.5]), y=pa.array([1])))
        writer.write(batch(y=pa.array([2.0]), x=pa.array([2], pa.int32())))
        writer.write(
            batch(
                y=pa.nulls(1),
                x=pa.array(
                    [
                        0.25,
                    ],
                    pa.float32(),
                ),
            )
        )
    rows = pa.Table.from_batches(open_dataset(tmp_path / name).batches()).to_pylist()
    assert rows == [{"x": 1.5, "y": 1}, {"x": 2.0, "y": 2}, {"x": 0.25, "y": None}]


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        (pa.array([1]), pa.array([0.5]), "column 'x' is int64 since the first batch, .* double"),
        (pa.array([1], pa.int8()), pa.array([300]), "column 'x' is int8 since the first batch, .* int64"),
        (pa.array([1], pa.float32()), pa.array([0.1]), "column 'x' is float since the first batch, .* double"),
        (pa.array([[1.0]], pa.list_(pa.float32())), pa.array([[0.1]]), "column 'x' is list"),
        (pa.array([1]), pa.array(["1"]), "column 'x' is int64 since the first batch, .* string"),
        (pa.array(["1"]), pa.array([1]), "column 'x' is string since the first batch, .* int64"),
        (pa.array([1]), pa.array([True]), "column 'x' is int64 since the first batch, .* bool"),
        (pa.nulls(1), pa.array([1]), "column 'x' is null since the first batch, .* int64"),
    ],
)
def test_a_later_type_that_changes_a_value_is_an_error(tmp_path, first, later, message):
    writer = open_writer(tmp_path / "out.parquet")
    writer.write(batch(x=first))
    with pytest.raises(DataError, match=message):
        writer.write(batch(x=later))
    assert os.listdir(tmp_path) == []


def test_nan_survives_a_cast(tmp_path):
    with open_writer(tmp_path / "out.parquet") as writer:
        writer.write(batch(x=pa.array([1.5], pa.float32())))
        writer.write(batch(x=pa.array([math.nan, 0.5, None])))
    assert str(pq.read_table(tmp_path / "out.parquet").column("x").to_pylist()) == "[1.5, nan, 0.5, None]"


def test_other_columns_are_an_error(tmp_path):
    writer = open_writer(tmp_path / "out.csv")
    writer.write(batch(x=[1], y=[2]))
    with pytest.raises(DataError, match=r"other columns than the first; missing: \['y'\], unexpected: \['z'\]"):
        writer.write(batch(x=[1], z=[2]))


def test_csv_refuses_nested_columns_and_names_them(tmp_path):
    writer = open_writer(tmp_path / "out.csv")
    with pytest.raises(DataError, match=r"nested column 'e' \(list.*\), 's.a' \(list.*\); write .parquet or .jsonl"):
        writer.write(batch(x=[1], e=[[1.0]], s=[{"a": [1]}]))
    assert os.listdir(tmp_path) == []


def test_csv_has_a_column_for_each_field_of_a_struct(tmp_path):
    with open_writer(tmp_path / "out.csv") as writer:
        writer.write(batch(x=[1, 2], s=[{"a": 1, "b": {"c": "u"}}, None]))
        writer.write(batch(x=[3], s=[{"a": 2, "b": {"c": "v"}}]))
    assert (tmp_path / "out.csv").read_text().splitlines() == ['"x","s.a","s.b.c"', '1,1,"u"', "2,,", '3,2,"v"']


def test_csv_takes_every_flat_type(tmp_path):
    row = batch(
        b=[b"\xff\x00"], d=pa.array(["u"]).dictionary_encode(), n=[decimal.Decimal("1.10")],
        h=pa.array(np.float16([0.5])), v=pa.array(["w"], pa.string_view()),
        t=[datetime.date(2020, 1, 2)], z=pa.nulls(1),
    )  # fmt: skip
    with open_writer(tmp_path / "out.csv") as writer:
        writer.write(row)
    assert (tmp_path / "out.csv").read_text() == '"b","d","n","h","v","t","z"\n"/wA=","u",1.10,0.5,"w",2020-01-02,\n'


def test_json_has_a_form_for_every_value(tmp_path):
    row = batch(
        f=[math.nan, 1.0, math.inf, -0.0, 1e-7], h=pa.array(np.float16([1, 2, 0.5, 0, 0])),
        d=[decimal.Decimal("1.10")] * 5, day=[datetime.date(2020, 1, 2)] * 5,
        t=pa.array([1] * 5, pa.timestamp("ns", "UTC")), b=[b"\xff"] * 5,
        e=[[1.5, math.nan, None]] * 5, s=[{"x": b"a", "y": decimal.Decimal("2.5")}] * 5,
        q=['"', "\\", "\n", "\x7fé\u2028", None],
        ok=[True, False, None, True, True], c=pa.array(["u"] * 5).dictionary_encode(), n=pa.nulls(5),
    )  # fmt: skip
    with open_writer(tmp_path / "out.jsonl") as writer:
        writer.write(row.slice(0, 2))
        writer.write(row.slice(2))
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in text.split("\n")[:-1]]
    assert [row["f"] for row in rows] == [None, 1.0, None, 0.0, 1e-7]
    assert '"f": 1.0' in text
    assert [row["q"] for row in rows] == ['"', "\\", "\n", "\x7fé\u2028", None]
    assert rows[0] | {"f": 0, "q": 0} == {
        "f": 0, "h": 1.0, "d": "1.10", "day": "2020-01-02", "t": "1970-01-01T00:00:00.000000001Z", "b": "/w==",
        "e": [1.5, None, None], "s": {"x": "YQ==", "y": "2.5"}, "q": 0, "ok": True, "c": "u", "n": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.txt", "out.parquet.gz"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path, name):
    with pytest.raises(ConfigurationError, match=r"by its suffix. Known suffixes: .parquet, .pq, .csv, .tsv, .jsonl"):
        open_writer(tmp_path / name)


@pytest.mark.parametrize("ending", ["", "/", "/new/"])
def test_a_folder_is_refused_for_now(tmp_path, ending):
    with pytest.raises(ConfigurationError, match=r"is a folder; name a file\. Known suffixes"):
        open_writer(f"{tmp_path}{ending}")


def test_one_missing_folder_is_made_and_two_are_an_error(tmp_path):
    with open_writer(tmp_path / "new/out.csv") as writer:
        writer.write(batch(x=[1]))
    assert (tmp_path / "new/out.csv").read_text() == '"x"\n1\n'
    with pytest.raises(DataError, match=r"neither the folder '.*/a/b' nor '.*/a' exists"):
        open_writer(tmp_path / "a/b/out.csv")
    open_writer(tmp_path / "gone/out.csv").abort()
    assert not (tmp_path / "gone").exists()


def test_a_folder_that_takes_no_files_is_an_error():
    with pytest.raises(DataError, match=r"cannot write /proc/out.parquet: "):
        open_writer("/proc/out.parquet")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("rows", [40_000, 400_000])
def test_a_full_disk_is_said_and_nothing_is_left(small_disk, name, rows):
    with pytest.raises(DataError, match=rf"disk full while writing .*{name}"):
        fill(small_disk / name, rows)
    assert os.listdir(small_disk) == []


def test_an_output_that_is_an_input_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    monkeypatch.chdir(tmp_path)
    for output in ("a.csv", "link.csv", f"file://{tmp_path}/a.csv", tmp_path / "." / "a.csv"):
        with pytest.raises(ConfigurationError, match=r"is also an input \('.*a.csv'\); write to another file"):
            ensure_not_input(output, [str(tmp_path / "b.csv"), str(tmp_path / "a.csv")])
    with pytest.raises(ConfigurationError, match="is also an input"):
        ensure_not_input("memory://in/a.csv", ["memory:///in/a.csv"])
    ensure_not_input("b.csv", [str(tmp_path / "a.csv")])


@pytest.mark.parametrize("name", ALL)
def test_a_url_is_committed_at_the_end_or_not_at_all(name):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    url = f"memory://writers/{name}"
    fail_half_way(url)
    assert not memory.exists(url)
    with open_writer(url) as writer:
        writer.write(batch(x=[1, 2]))
        assert not memory.exists(url)
    assert sum(part.num_rows for part in open_dataset(url).batches()) == 2
    assert writer.bytes_written == memory.size(url)
    memory.rm(url)


def test_gzip_is_gzip(tmp_path):
    with open_writer(tmp_path / "out.csv.gz") as writer:
        writer.write(batch(x=[1]))
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()) == b'"x"\n1\n'
    assert pacsv.read_csv(tmp_path / "out.csv.gz").num_rows == 1
