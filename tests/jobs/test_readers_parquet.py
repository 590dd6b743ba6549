"""Parquet files, and what all formats share."""

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from runinference.errors import ConfigurationError, DataError  # noqa: E402
from runinference.jobs.readers import Split, open_dataset  # noqa: E402


def rows(dataset, **options):
    return [row for batch in dataset.batches(**options) for row in batch.to_pylist()]


def write(path, columns, **options):
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def test_footers_give_schema_and_rows(tmp_path):
    write(tmp_path / "in/a.parquet", {"x": [1, 2, 3], "s": ["a", None, "c"]})
    write(tmp_path / "in/b.pq", {"x": [4], "s": ["d"]})
    dataset = open_dataset(tmp_path / "in", columns_needed=["x"])
    assert dataset.format == "parquet"
    assert dataset.num_rows == 4
    assert dataset.num_bytes == sum(path.stat().st_size for path in (tmp_path / "in").iterdir())
    assert dataset.schema.names == ["x", "s"]
    assert [row["x"] for row in rows(dataset)] == [1, 2, 3, 4]


def test_splits_are_the_whole_and_read_alone(tmp_path):
    for name in "ab":
        write(tmp_path / f"in/{name}.parquet", {"x": [name]})
    dataset = open_dataset(tmp_path / "in")
    assert [split.position for split in dataset.splits] == [0, 1]
    (batch,) = dataset.read_split(Split(dataset.files[1], 1))
    assert batch.to_pydict() == {"x": ["b"]}


def test_batches_are_no_larger_than_asked_and_small_row_groups_are_joined(tmp_path):
    path = write(tmp_path / "a.parquet", {"x": list(range(1000))}, row_group_size=10)
    sizes = [batch.num_rows for batch in open_dataset(path).batches(batch_rows=300)]
    assert sum(sizes) == 1000
    assert max(sizes) <= 300
    assert len(sizes) < 10


@pytest.mark.parametrize("limit", [0, 1, 5, 7, 100])
def test_limit_stops(tmp_path, limit):
    for name in "ab":
        write(tmp_path / f"in/{name}.parquet", {"x": [1, 2, 3, 4, 5]})
    assert len(rows(open_dataset(tmp_path / "in"), limit=limit)) == min(limit, 10)


def test_limit_does_not_touch_later_files(tmp_path):
    write(tmp_path / "in/a.parquet", {"x": [1, 2]})
    late = write(tmp_path / "in/b.parquet", {"x": [3]})
    dataset = open_dataset(tmp_path / "in")
    late.unlink()
    assert len(rows(dataset, limit=2)) == 2
    with pytest.raises(DataError, match=r"cannot read .*b\.parquet: .*No such file"):
        rows(dataset)


def test_columns_are_reordered_and_numbers_unified(tmp_path):
    write(tmp_path / "in/a.parquet", {"x": pa.array([1], pa.int32()), "y": pa.nulls(1)})
    write(tmp_path / "in/b.parquet", {"y": ["b"], "x": pa.array([2.5], pa.float32())})
    write(tmp_path / "in/c.parquet", {"x": pa.array([3]), "y": pa.array(["c"]).dictionary_encode()})
    dataset = open_dataset(tmp_path / "in")
    assert dataset.schema == pa.schema([("x", pa.float64()), ("y", pa.string())])
    assert rows(dataset) == [{"x": 1.0, "y": None}, {"x": 2.5, "y": "b"}, {"x": 3.0, "y": "c"}]


@pytest.mark.parametrize(
    ("third", "message"),
    [
        ({"x": [1]}, r"c.parquet: column 'y' is missing, but .*a.parquet has it"),
        ({"x": [1], "y": [1], "z": [1]}, r"c.parquet: column 'z' is not in .*a.parquet"),
        ({"x": ["1"], "y": [1]}, r"c.parquet: column 'x' is string, but .*a.parquet has int64"),
    ],
)
def test_a_file_that_does_not_fit_is_found_before_any_row_is_read(tmp_path, third, message):
    for name in "ab":
        write(tmp_path / f"in/{name}.parquet", {"x": [1], "y": [1]})
    write(tmp_path / "in/c.parquet", third)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "in")


def test_a_value_that_does_not_fit_the_common_type_is_an_error(tmp_path):
    write(tmp_path / "in/a.parquet", {"x": [0.5]})
    write(tmp_path / "in/b.parquet", {"x": [2**53 + 1]})
    with pytest.raises(DataError, match=r"b.parquet: column 'x' is int64 and cannot become double"):
        rows(open_dataset(tmp_path / "in"))


def test_an_unknown_column_names_the_closest(tmp_path):
    path = write(tmp_path / "a.parquet", {"age": [1], "name": ["x"]})
    with pytest.raises(ConfigurationError, match=r"no column 'agee'. Did you mean 'age'\? The columns are: age, name"):
        open_dataset(path, columns_needed=["name", "agee"])


def test_a_file_of_zero_bytes_is_an_error(tmp_path):
    (tmp_path / "a.parquet").touch()
    with pytest.raises(DataError, match=r"a.parquet is empty \(0 bytes\)"):
        open_dataset(tmp_path / "a.parquet")


def test_a_table_without_rows_yields_nothing(tmp_path):
    dataset = open_dataset(write(tmp_path / "a.parquet", {"x": pa.array([], pa.int64())}))
    assert dataset.num_rows == 0
    assert list(dataset.batches()) == []
    assert dataset.schema.field("x").type == pa.int64()


@pytest.mark.parametrize("damage", ["text", "truncated"])
def test_a_damaged_footer_names_the_file_and_the_reason(tmp_path, damage):
    path = write(tmp_path / "a.parquet", {"x": list(range(1000))})
    path.write_bytes(b"this is no Parquet file" if damage == "text" else path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"cannot read .*a.parquet: .*[Pp]arquet"):
        open_dataset(path)


def test_damage_within_a_row_group_is_found_when_it_is_read(tmp_path):
    path = write(tmp_path / "a.parquet", {"x": [float(i) for i in range(5000)]}, row_group_size=2500)
    content = bytearray(path.read_bytes())
    begin = pq.read_metadata(path).row_group(1).column(0).dictionary_page_offset
    content[begin : begin + 200] = b"\xff" * 200
    path.write_bytes(content)
    batches = open_dataset(path).batches(batch_rows=2500)
    assert next(batches).num_rows == 2500
    with pytest.raises(DataError, match=r"row group 1 is damaged, cannot read .*a.parquet: "):
        next(batches)


def test_a_flipped_bit_is_found_where_pages_have_checksums(tmp_path):
    path = write(
        tmp_path / "a.parquet", {"x": [0.5] * 500}, use_dictionary=False, compression="none", write_page_checksum=True
    )
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.parquet: .*[Cc][Rr][Cc]"):
        rows(open_dataset(path))


def test_a_column_that_appears_twice_is_an_error(tmp_path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(DataError, match=r"a.parquet: column 'x' appears 2 times"):
        open_dataset(write(tmp_path / "a.parquet", table))


def test_a_url_is_read_like_a_file(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    path = write(tmp_path / "a.parquet", {"x": list(range(100))}, row_group_size=10)
    fsspec.filesystem("memory").pipe("/readers/a.parquet", path.read_bytes())
    dataset = open_dataset("memory://readers/a.parquet")
    assert (dataset.num_rows, dataset.num_bytes) == (100, path.stat().st_size)
    assert [row["x"] for row in rows(dataset)] == list(range(100))


def test_batch_rows_must_be_positive(tmp_path):
    dataset = open_dataset(write(tmp_path / "a.parquet", {"x": [1]}))
    with pytest.raises(ConfigurationError, match="batch_rows must be at least 1, got 0"):
        next(dataset.batches(batch_rows=0))
