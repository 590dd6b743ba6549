"""JSON Lines files."""

import gzip
import json

import pytest

pa = pytest.importorskip("pyarrow")

from runinference.errors import DataError  # noqa: E402
from runinference.jobs.readers import open_dataset  # noqa: E402


def read(path, **options):
    """The rows and the failures."""
    failures = []
    dataset = open_dataset(path)
    return [row for batch in dataset.batches(failures.append, **options) for row in batch.to_pylist()], failures


def write(path, *lines):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return path


def test_keys_are_columns_and_missing_keys_are_null(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"a": 1, "b": [1, 2]}', "", '{"a": 2.5, "c": {"d": "x"}}')
    rows, failures = read(path)
    assert rows == [{"a": 1.0, "b": [1, 2], "c": None}, {"a": 2.5, "b": None, "c": {"d": "x"}}]
    assert failures == []


def test_texts_that_look_like_times_stay_texts(tmp_path):
    path = write(tmp_path / "a.ndjson", '{"t": "2020-01-01T00:00:00", "n": [{"t": "2020-01-01"}]}')
    assert read(path)[0] == [{"t": "2020-01-01T00:00:00", "n": [{"t": "2020-01-01"}]}]


def test_a_bom_windows_line_ends_and_compression_are_taken(tmp_path):
    content = b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    assert read(tmp_path / "a.jsonl.gz")[0] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1', r"line 8: not JSON: .*delimiter"),
        ("[1]", r"line 8: expected a JSON object, found array \[1\]"),
        ("7", "line 8: expected a JSON object, found number 7"),
        ('{"a": "x"}', "line 8: column 'a': expected int64, found string 'x'"),
        ('{"a": 1.5}', "line 8: column 'a': expected int64, found number 1.5"),
        ('{"a": true}', "line 8: column 'a': expected int64, found boolean True"),
        ('{"a": 99999999999999999999}', "line 8: column 'a': expected int64, found number 9999"),
        ('{"z": 1}', "line 8: unknown key 'z'; the columns, from the first rows, are: a, s, n"),
        ('{"n": {"z": 1}}', "line 8: unknown key 'n.z'"),
        ('{"n": {"x": ["a"]}}', r"line 8: column 'n.x\[\]': expected int64, found string 'a'"),
        ('{"a": 1, "a": 2}', "line 8: key 'a' appears 2 times"),
        ('{"a": 1}{"a": 2}', "line 8: not JSON: Extra data"),
        (b'{"s": "\xe9"}', "line 8: not UTF-8"),
        (r'{"s": "\ud800"}', "line 8: not text"),
        ("[" * 100_000, "line 8: nested too deeply"),
    ],
)
def test_a_line_that_does_not_fit_is_set_aside_alone(tmp_path, line, message):
    # The schema comes from the first 4 MiB, so the line must lie behind them.
    good = '{"a": 1, "s": "x", "n": {"x": [1]}}'
    long = good.replace('"x",', f'"{"x" * (1 << 20)}",')
    path = write(tmp_path / "a.jsonl", *[long] * 6, "", line, good)
    rows, failures = read(path)
    assert rows == [json.loads(long)] * 6 + [json.loads(good)]
    (failure,) = failures
    assert (failure.stage, failure.index) == ("read", 8)
    with pytest.raises(DataError, match=message):
        raise failure.error
    with pytest.raises(DataError, match=message):
        list(open_dataset(path).batches())


def test_a_line_among_the_first_that_disagrees_with_the_ones_before_is_set_aside(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"a": 1}', "broken", '{"a": 2.5}', '{"a": "x"}', '{"a": 3, "b": "y"}')
    rows, failures = read(path)
    assert rows == [{"a": 1.0, "b": None}, {"a": 2.5, "b": None}, {"a": 3.0, "b": "y"}]
    assert [failure.index for failure in failures] == [2, 4]


def test_nan_is_a_number(tmp_path):
    rows, failures = read(write(tmp_path / "a.jsonl", '{"a": 1.5}', '{"a": NaN}', '{"a": "x"}'))
    assert [str(row["a"]) for row in rows] == ["1.5", "nan"]
    assert len(failures) == 1


def test_lines_are_numbered_across_blocks(tmp_path):
    lines = ['{"a": 1, "pad": "' + "x" * 80 + '"}'] * 200_000
    for bad in (10, 120_000, 199_999):
        lines[bad] = "broken"
    rows, failures = read(write(tmp_path / "a.jsonl", *lines))
    assert len(rows) == 199_997
    assert [failure.index for failure in failures] == [11, 120_001, 200_000]


def test_files_of_a_folder_are_one_table(tmp_path):
    write(tmp_path / "in/a.jsonl", '{"x": 1}')
    write(tmp_path / "in/b.jsonl", '{"y": "b", "x": 2.5}')
    (tmp_path / "in/c.jsonl").touch()
    assert read(tmp_path / "in")[0] == [{"x": 1.0, "y": None}, {"x": 2.5, "y": "b"}]


def test_types_that_do_not_go_together_are_an_error_before_any_row(tmp_path):
    write(tmp_path / "in/a.jsonl", '{"x": 1}')
    write(tmp_path / "in/b.jsonl", '{"x": "one"}')
    with pytest.raises(DataError, match=r"b.jsonl: column 'x' is string, but .*a.jsonl has int64"):
        open_dataset(tmp_path / "in")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows, so its columns are not known"),
        ('[{"a": 1},', "no line of the first 1 is a JSON object.* found a JSON array"),
        ("hello", "no line of the first 1 is a JSON object"),
        ("{}", "the objects of the first 1 lines are all empty"),
    ],
)
def test_a_file_without_columns_is_an_error(tmp_path, content, message):
    with pytest.raises(DataError, match=rf"a.jsonl.*{message}"):
        open_dataset(write(tmp_path / "a.jsonl", content))


def test_limit_reads_a_part_only(tmp_path):
    path = write(tmp_path / "a.jsonl", *['{"a": 1}'] * 1_000_000, "broken")
    rows, failures = read(path, limit=10)
    assert (len(rows), failures) == (10, [])
