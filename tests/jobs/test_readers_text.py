"""Plain text files."""

import gzip

import pytest

pa = pytest.importorskip("pyarrow")

from runinference.errors import DataError  # noqa: E402
from runinference.jobs.readers import open_dataset  # noqa: E402
from runinference.jobs.readers.lines import line_blocks  # noqa: E402


def lines(path, **options):
    return [text for batch in open_dataset(path).batches(**options) for text in batch.column("text").to_pylist()]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\n\nb", ["a", "", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        ("é\x00\u2028x\n".encode(), ["é\x00\u2028x"]),
    ],
)
def test_one_row_per_line_without_its_end(tmp_path, content, expected):
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(content))
    assert lines(tmp_path / "a.txt") == expected
    assert lines(tmp_path / "b.txt.gz") == expected


def test_a_line_that_is_not_utf8_is_set_aside(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a\ncaf\xe9\nb\n")
    failures = []
    assert lines(tmp_path / "a.txt", on_failure=failures.append) == ["a", "b"]
    assert [(f.index, f.example, f.stage) for f in failures] == [(2, "caf\\xe9", "read")]
    with pytest.raises(DataError, match=r"a.txt, line 2: not UTF-8"):
        lines(tmp_path / "a.txt")


def test_blocks_end_at_lines_whatever_their_length(tmp_path):
    text = b"".join(b"x" * (i % 50) + b"\n" for i in range(1000)) + b"last"
    (tmp_path / "a.txt").write_bytes(text)
    for size in (1, 7, 100, 100_000):
        blocks = list(line_blocks(str(tmp_path / "a.txt"), size))
        assert b"".join(blocks) == text
        assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_an_archive_that_is_none_is_an_error(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(b"plain")
    with pytest.raises(DataError, match=r"cannot read .*a.txt.gz: .*zlib"):
        open_dataset(tmp_path / "a.txt.gz")


def test_limit_and_batch_rows(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"line\n" * 1000)
    assert len(lines(tmp_path / "a.txt", limit=30)) == 30
    assert {batch.num_rows for batch in open_dataset(tmp_path / "a.txt").batches(batch_rows=250)} == {250}
