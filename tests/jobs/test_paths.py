"""What INPUT stands for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runinference.errors import ConfigurationError, DataError
from runinference.jobs.paths import expand_input, file_format

fsspec = pytest.importorskip("fsspec")


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(folder: Path, files: tuple[str, ...]) -> list[str]:
    return [os.path.relpath(path, folder) for path in files]


def test_a_file_stands_for_itself(tmp_path):
    make(tmp_path, "a.csv")
    assert expand_input(tmp_path / "a.csv") == (str(tmp_path / "a.csv"),)
    assert expand_input(f"file://{tmp_path}/a.csv") == (str(tmp_path / "a.csv"),)


def test_a_folder_is_searched_at_every_depth_and_sorted(tmp_path):
    make(tmp_path, "b.csv", "a/z.csv.gz", "a.tsv", "notes.md")
    assert names(tmp_path, expand_input(tmp_path)) == ["a.tsv", "a/z.csv.gz", "b.csv"]


def test_hidden_underscored_and_unfinished_files_are_passed_over(tmp_path):
    make(tmp_path, "a.csv", ".b.csv", "_SUCCESS.csv", "c.csv.tmp", "d.csv.tmp-01ab", "_temporary/e.csv", ".git/f.csv")
    assert names(tmp_path, expand_input(tmp_path)) == ["a.csv"]
    assert names(tmp_path, expand_input(f"{tmp_path}/*csv*")) == ["a.csv"]


def test_a_glob_matches_files_and_the_folders_it_names(tmp_path):
    make(tmp_path, "year=1/a.csv", "year=2/deep/b.csv", "other/c.csv")
    assert names(tmp_path, expand_input(f"{tmp_path}/year=*")) == ["year=1/a.csv", "year=2/deep/b.csv"]
    assert len(expand_input(f"{tmp_path}/**/*.csv")) == 3


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path):
    make(tmp_path, "a[1].csv", "a1.csv")
    assert names(tmp_path, expand_input(f"{tmp_path}/a[1].csv")) == ["a[1].csv"]


def test_a_folder_linked_into_itself_is_followed_once(tmp_path):
    make(tmp_path, "in/a.csv")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "elsewhere").symlink_to(tmp_path / "out")
    make(tmp_path, "out/b.csv")
    assert names(tmp_path / "in", expand_input(tmp_path / "in")) == ["a.csv", "elsewhere/b.csv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", r"no file in .*empty' can be read: it is empty. Known suffixes: .parquet, .pq, .csv"),
        ("films", r"no file in .*films' can be read: suffixes found: .avi, .mp4, none. Known suffixes"),
        ("mixed", r"several formats: 2 csv \(a.csv\), 1 parquet \(c.parquet\). Pick one with a glob"),
        ("pipe", "is neither a file nor a folder"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(tmp_path, name, message):
    make(tmp_path, "train.csv", "data/x.csv", "films/a.mp4", "films/b.avi", "films/README")
    make(tmp_path, "mixed/a.csv", "mixed/b.tsv", "mixed/c.parquet")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=message):
        expand_input(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trian.csv", r"trian.csv' does not exist.* Did you mean 'train.csv'\?"),
        ("dta/train.csv", r"does not exist: there is no .*/dta'. Did you mean 'data'\?"),
        ("*.parquet", r"no file matches .*\*\.parquet"),
    ],
)
def test_what_is_not_there_is_wrong_usage(tmp_path, name, message):
    make(tmp_path, "train.csv", "data/x.csv")
    with pytest.raises(ConfigurationError, match=message):
        expand_input(tmp_path / name)


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.parquet.gz", "a.csv.lz4", "a.jpg.gz"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path, name):
    make(tmp_path, name)
    with pytest.raises(
        ConfigurationError, match=r"by its suffix. Known suffixes: .*\.txt, \.jpg, .*; text formats also with \.gz"
    ):
        expand_input(tmp_path / name)


def test_an_empty_path_is_refused():
    with pytest.raises(ConfigurationError, match="the path is empty"):
        expand_input("")


def test_suffixes_name_format_and_compression():
    assert file_format("A.CSV.GZ").compression == "gzip"
    assert file_format("x.ndjson.zst").name == "jsonl"
    assert file_format("https://host/data.parquet?token=a.b/c").name == "parquet"


def test_urls_are_expanded_by_fsspec():
    memory = fsspec.filesystem("memory")
    for name in ("a.csv", "sub/b.csv", "_c.csv"):
        memory.pipe(f"/paths/{name}", b"x")
    assert expand_input("memory://paths") == ("memory:///paths/a.csv", "memory:///paths/sub/b.csv")
    assert expand_input("memory://paths/*.csv") == ("memory:///paths/a.csv",)
    assert expand_input("memory://paths/a.csv") == ("memory://paths/a.csv",)
    with pytest.raises(ConfigurationError, match=r"memory://paths/b.csv' does not exist. Did you mean 'a.csv'"):
        expand_input("memory://paths/b.csv")
    with pytest.raises(ConfigurationError, match="no file matches"):
        expand_input("memory://paths/*.parquet")


def test_an_unknown_protocol_is_named():
    with pytest.raises(ConfigurationError, match=r"no protocol 'memry'. Did you mean 'memory'\?"):
        expand_input("memry://a.csv")


def test_a_missing_protocol_package_is_named():
    # In a process of its own, where the package is hidden whether or not it is installed here.
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from runinference.jobs.paths import expand_input\n"
        "try: expand_input('s3://bucket/a.csv')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ConfigurationError cannot open 's3://bucket/a.csv': ")
    assert "s3fs" in done.stdout


def test_missing_fsspec_says_what_to_install():
    code = (
        "import sys; sys.modules['fsspec'] = None; sys.modules['pyarrow'] = None\n"
        "from runinference.jobs.paths import expand_input\n"
        "from runinference.jobs.readers import open_dataset\n"
        "from runinference.jobs.writers import open_writer\n"
        "for call, path in ((expand_input, 's3://b/a.csv'), (open_dataset, 'a.csv'), (open_writer, 'a.csv')):\n"
        "    try: call(path)\n"
        "    except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        'fsspec is needed to read and write tables behind URLs. Install it: pip install "runinference[cli]"',
        'pyarrow is needed to read and write tables. Install it: pip install "runinference[cli]"',
        'pyarrow is needed to read and write tables. Install it: pip install "runinference[cli]"',
    ]
