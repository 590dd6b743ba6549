"""CSV and TSV files."""

import bz2
import gzip

import pytest

pa = pytest.importorskip("pyarrow")

from runinference.errors import DataError  # noqa: E402
from runinference.jobs.readers import open_dataset  # noqa: E402


def read(path, **options):
    """The rows and the failures."""
    failures = []
    dataset = open_dataset(path)
    return [row for batch in dataset.batches(failures.append, **options) for row in batch.to_pylist()], failures


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_types_are_inferred(tmp_path):
    path = write(tmp_path / "a.csv", "a,b,c,d\n1,1.5,x,true\n2,,y,false\n")
    dataset = open_dataset(path)
    assert dataset.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.bool_()]
    assert dataset.num_rows is None
    assert read(path)[0][1] == {"a": 2, "b": None, "c": "y", "d": False}


def test_quotes_may_hold_delimiters_quotes_and_line_ends(tmp_path):
    path = write(tmp_path / "a.csv", 'a,b\r\n"x, ""y""\nz",1\r\nw,2\r\n')
    assert read(path)[0] == [{"a": 'x, "y"\nz', "b": 1}, {"a": "w", "b": 2}]


def test_tsv_bom_and_compression(tmp_path):
    assert read(write(tmp_path / "a.tsv", "a\tb\n1\tx,y\n"))[0] == [{"a": 1, "b": "x,y"}]
    assert read(write(tmp_path / "b.csv", b"\xef\xbb\xbfa,b\n1,2\n"))[0] == [{"a": 1, "b": 2}]
    assert read(write(tmp_path / "c.csv.gz", gzip.compress(b"a\n1\n")))[0] == [{"a": 1}]
    assert read(write(tmp_path / "d.csv.bz2", bz2.compress(b"a\n1\n")))[0] == [{"a": 1}]
    assert read(write(tmp_path / "e.csv.zst", pa.compress(b"a\n1\n", "zstd", asbytes=True)))[0] == [{"a": 1}]


def test_ragged_lines_are_set_aside_with_their_line_numbers(tmp_path):
    text = 'a,b\n1,x\n\n2,"two\nlines"\n3\n4,y,z\n5,v\n6\n'
    rows, failures = read(write(tmp_path / "a.csv", text))
    assert [row["a"] for row in rows] == [1, 2, 5]
    assert [(f.index, f.example, f.stage) for f in failures] == [
        (6, "3", "read"), (7, "4,y,z", "read"), (9, "6", "read"),
    ]  # fmt: skip
    assert failures[0].message == f"{tmp_path}/a.csv, line 6: expected 2 columns, found 1"
    assert failures[0].error_type == "runinference.errors.DataError"


def test_a_ragged_line_ends_the_job_when_nobody_takes_failures(tmp_path):
    path = write(tmp_path / "a.csv", "a,b\n1,2\n3\n")
    with pytest.raises(DataError, match=r"a.csv, line 3: expected 2 columns, found 1"):
        list(open_dataset(path).batches())


def test_a_text_late_in_a_number_column_loses_only_its_row(tmp_path):
    count = 2_000_000
    lines = [f"{i},{i / 2}\n" for i in range(count)]
    lines[1_500_000] = "oops,1\n"
    lines[1_600_000] = "1,2,3\n"
    lines[1_999_999] = "7,word\n"
    rows, failures = [], []
    for batch in open_dataset(write(tmp_path / "a.csv", "a,b\n" + "".join(lines))).batches(failures.append):
        rows += batch.column("a").to_pylist()
    assert rows == [i for i in range(count) if i not in (1_500_000, 1_600_000, 1_999_999)]
    assert [failure.index for failure in failures] == [1_500_002, 1_600_002, 2_000_001]
    assert failures[0].message.endswith("line 1500002: column 'a': 'oops' is not int64, the column's type")
    assert failures[2].example == {"a": "7", "b": "word"}


def test_the_careful_reader_converts_as_arrow_does(tmp_path):
    head = "i,f,b,d,t,s\n" + "1,1.5,true,2020-01-01,2020-01-01 10:00:00,é\n" * 300_000
    tail = ' 2 ,"2.5",False,,2020-01-02T11:00:00,NA\nNA,nan,1,2020-01-03,,\n'
    clean, _ = read(write(tmp_path / "clean.csv", head + tail))
    rows, failures = read(write(tmp_path / "a.csv", head + tail + "bad,1,true,,,\n"))
    assert len(failures) == 1
    assert rows[-2:] == clean[-2:]
    assert rows[-2]["i"] == 2
    assert rows[-2]["s"] == "NA"
    assert rows[-1]["f"] is None
    assert len(rows) == len(clean)


def test_bytes_that_are_not_utf8_lose_only_their_row(tmp_path):
    rows, failures = read(write(tmp_path / "a.csv", b"a,\xc3\xa9\nx,1\ncaf\xe9,2\ny\xe9\n\xc3\xa9,3\n"))
    assert rows == [{"a": "x", "é": 1}, {"a": "é", "é": 3}]
    assert [(f.index, f.example) for f in failures] == [(3, {"a": "caf\\xe9", "é": "2"}), (4, "y\\xe9")]
    assert "column 'a': 'caf\\\\xe9' is not UTF-8" in failures[0].message


def test_types_are_unified_over_all_files(tmp_path):
    write(tmp_path / "in/a.csv", "n,t,e\n1,1,\n")
    write(tmp_path / "in/b.csv", "e,t,n\n5,x,2.5\n")
    write(tmp_path / "in/c.csv", "n,t,e\n")
    dataset = open_dataset(tmp_path / "in")
    assert dataset.schema == pa.schema([("n", pa.float64()), ("t", pa.string()), ("e", pa.int64())])
    assert read(tmp_path / "in")[0] == [{"n": 1.0, "t": "1", "e": None}, {"n": 2.5, "t": "x", "e": 5}]


def test_a_column_without_values_at_first_is_text(tmp_path):
    text = "a,b\n" + "1,\n" * 3_000_000 + "1,late\n"
    dataset = open_dataset(write(tmp_path / "a.csv", text))
    assert dataset.schema.field("b").type == pa.string()
    *_, last = dataset.batches()
    assert last.column("b")[-1].as_py() == "late"


def test_long_integers_stay_exact(tmp_path):
    rows, _ = read(write(tmp_path / "a.csv", "id,x\n12345678901234567890,1.5\n"))
    assert rows == [{"id": "12345678901234567890", "x": 1.5}]


@pytest.mark.parametrize(
    ("third", "message"),
    [
        ("x\n1\n", r"c.csv: column 'y' is missing, but .*a.csv has it"),
        ("x,y,z\n1,2,3\n", r"c.csv: column 'z' is not in .*a.csv"),
        ("x,x\n1,2\n", r"c.csv: column 'x' appears 2 times"),
        ("", r"c.csv is empty \(0 bytes\)"),
        ("\ufeffx".encode("utf-16").decode("latin-1"), None),
    ],
)
def test_a_file_that_does_not_fit_is_found_before_any_row_is_read(tmp_path, third, message):
    for name in "ab":
        write(tmp_path / f"in/{name}.csv", "x,y\n1,2\n")
    write(tmp_path / "in/c.csv", third.encode("latin-1"))
    with pytest.raises(DataError, match=message or "c.csv is UTF-16; only UTF-8"):
        open_dataset(tmp_path / "in")


def test_a_header_without_rows_yields_nothing(tmp_path):
    dataset = open_dataset(write(tmp_path / "a.csv", "a,b\n"))
    assert dataset.schema.names == ["a", "b"]
    assert list(dataset.batches()) == []


def test_a_quote_that_is_never_closed_is_an_error(tmp_path):
    path = write(tmp_path / "a.csv", 'a,b\n1,2\n3,"' + "4,5\n" * 800_000)
    with pytest.raises(DataError, match=r"cannot read .*a.csv: "):
        list(open_dataset(path).batches(lambda failure: None))


def test_a_quote_that_is_open_at_the_end_is_an_error(tmp_path):
    path = write(tmp_path / "a.csv", 'a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(DataError, match=r"a.csv: a quote is never closed; the last value holds the rest"):
        list(open_dataset(path).batches())
    assert read(write(tmp_path / "b.csv", 'a,b\n1,"x\n"\n'))[0] == [{"a": 1, "b": "x\n"}]


@pytest.mark.parametrize("header", [b"\xef\xbb\xbfa,b", b'\xef\xbb\xbf"a","b"', b"\n\na,b"])
def test_ragged_lines_do_not_disturb_the_header(tmp_path, header):
    rows, failures = read(write(tmp_path / "a.csv", header + b"\n1,2\n3\n"))
    assert rows == [{"a": 1, "b": 2}]
    assert [failure.example for failure in failures] == ["3"]


def test_a_truncated_archive_is_an_error(tmp_path):
    path = write(tmp_path / "a.csv.gz", gzip.compress(b"a\n" + b"1\n" * 100_000)[:-20])
    with pytest.raises(DataError, match=r"cannot read .*a.csv.gz: Truncated compressed stream"):
        list(open_dataset(path).batches())


def test_limit_reads_a_part_only(tmp_path):
    path = write(tmp_path / "a.csv", "a\n" + "1\n" * 3_000_000 + "1,2\n")
    rows, failures = read(path, limit=1000)
    assert (len(rows), failures) == (1000, [])
