"""Data that is made for benchmarks: always the same, no two elements alike; and the user's own in its place."""

import hashlib
import io
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from runinference.benchmarks.data import photos
from runinference.benchmarks.data.own import own_images, own_lines
from runinference.benchmarks.data.photos import make_photo, photo_files
from runinference.benchmarks.data.sentences import make_sentences
from runinference.benchmarks.data.wordpiece import VOCABULARY_SIZE, tokenizer_folder, vocabulary
from runinference.benchmarks.data.words import NOUNS, VERBS
from runinference.errors import ConfigurationError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNINFERENCE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return AutoTokenizer.from_pretrained(tokenizer_folder())


def test_another_process_makes_the_same_data():
    code = """
import hashlib
from runinference.benchmarks.data.photos import make_photo
from runinference.benchmarks.data.sentences import make_sentences
from runinference.benchmarks.data.wordpiece import vocabulary
text = "\\n".join([*make_sentences(300), *vocabulary()]).encode()
print(hashlib.sha256(text + b"".join(map(make_photo, range(5)))).hexdigest())
"""
    another = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "5"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    text = "\n".join([*make_sentences(300), *vocabulary()]).encode()
    assert another.stdout.strip() == hashlib.sha256(text + b"".join(map(make_photo, range(5)))).hexdigest()


def test_sentences_differ_and_more_of_them_begin_with_the_same():
    sentences = make_sentences(5000)
    assert len(set(sentences)) == 5000
    assert make_sentences(70) == sentences[:70]
    assert make_sentences(0) == []


def test_there_are_always_more_sentences_than_short_ones(monkeypatch):
    # Of two words, a determiner and a noun, there are few; what is there already is made anew, longer where need be.
    monkeypatch.setattr("runinference.benchmarks.data.sentences.NOUNS", ("tree", "house"))
    monkeypatch.setattr("runinference.benchmarks.data.sentences.OF_ANY", ("the",))
    sentences = make_sentences(2000)
    assert len(set(sentences)) == 2000


def test_sentences_are_words_and_a_full_stop_behind_a_noun():
    for sentence in make_sentences(200):
        assert re.fullmatch(r"([a-z]+ )+\.", sentence)
        assert sentence.split()[-2] in NOUNS


def test_sentences_have_as_many_tokens_as_texts_have(tokenizer):
    lengths = [len(ids) for ids in tokenizer(make_sentences(5000))["input_ids"]]
    assert min(lengths) == 5
    assert 55 <= max(lengths) <= 60
    assert 18 < statistics.mean(lengths) < 21


def test_the_vocabulary_is_of_the_size_of_berts_with_its_special_tokens(tokenizer):
    pieces = vocabulary()
    assert len(pieces) == len(set(pieces)) == VOCABULARY_SIZE == 30_522
    assert len(tokenizer) == VOCABULARY_SIZE
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 100)
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id) == (101, 102, 103)


def test_common_words_are_one_token_and_with_an_ending_two(tokenizer):
    for words, ending in ((NOUNS, "s"), (VERBS, "ed")):
        for word in words:
            assert tokenizer.tokenize(word) == [word]
            assert tokenizer.tokenize(word + ending) == [word, f"##{ending}"]


def test_any_english_text_has_tokens(tokenizer):
    tokens = tokenizer.tokenize("Unprecedented performance, isn't it? (In 1984.)")
    assert "[UNK]" not in tokens
    assert "".join(token.removeprefix("##") for token in tokens) == "unprecedentedperformance,isn'tit?(in1984.)"


def test_photos_differ_and_more_of_them_are_added_to_those_that_are_there():
    first = photo_files(3)
    times = [os.stat(path).st_mtime_ns for path in first]
    more = photo_files(6)
    assert more[:3] == first
    assert [os.stat(path).st_mtime_ns for path in first] == times
    contents = [Path(path).read_bytes() for path in more]
    assert contents == [make_photo(index) for index in range(6)]
    assert len({hashlib.sha256(content).digest() for content in contents}) == 6
    assert photo_files(0) == []


def test_a_photo_that_went_missing_is_made_again():
    paths = photo_files(4)
    content = Path(paths[2]).read_bytes()
    os.unlink(paths[2])
    assert photo_files(4) == paths
    assert Path(paths[2]).read_bytes() == content


def test_photos_are_jpegs_of_common_sizes_and_look_different():
    shapes, means = set(), set()
    for index in range(20):
        with Image.open(io.BytesIO(make_photo(index))) as photo:
            assert photo.format == "JPEG"
            assert 412 <= max(photo.size) <= 550
            assert 337 <= min(photo.size) <= 413
            shapes.add(photo.size)
            means.add(photo.resize((1, 1)).getpixel((0, 0)))
    assert len(shapes) == 20
    assert {wide > high for wide, high in shapes} == {True, False}
    assert len(means) == 20


def test_many_photos_are_made_by_several_processes(monkeypatch):
    monkeypatch.setattr(photos, "_ALONE", 0)
    monkeypatch.setattr(photos, "_AT_A_TIME", 2)
    paths = photo_files(5)
    assert [Path(path).read_bytes() for path in paths] == [make_photo(index) for index in range(5)]
    assert sorted(os.listdir(os.path.dirname(paths[0]))) == [os.path.basename(path) for path in paths]


def test_own_images_are_those_of_a_folder_a_glob_or_one_file(tmp_path):
    for name in ("b.jpg", "a.png", "inner/c.jpg"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_bytes(make_photo(0))
    names = [str(tmp_path / "own" / name) for name in ("a.png", "b.jpg", "inner/c.jpg")]
    assert own_images(str(tmp_path / "own"), 10) == names
    assert own_images(str(tmp_path / "own"), 2) == names[:2]
    assert own_images(str(tmp_path / "own" / "*.jpg"), 10) == names[1:2]
    assert own_images(names[2], 10) == names[2:]
    assert own_images(str(tmp_path / "own"), 0) == []


def test_own_lines_are_those_of_all_files_that_are_not_empty(tmp_path):
    (tmp_path / "a.txt").write_text("Grüße an alle .\n\n  \n  two words  \n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("last one", encoding="utf-8")
    assert own_lines(str(tmp_path / "*.txt"), 10) == ["Grüße an alle .", "two words", "last one"]
    assert own_lines(str(tmp_path / "*.txt"), 2) == ["Grüße an alle .", "two words"]
    assert own_lines(str(tmp_path / "a.txt"), 0) == []


def test_own_data_that_is_not_there_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("\n \n", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    (tmp_path / "c.jpg").write_bytes(make_photo(0))
    for place, text in {
        "missing": "'.*missing' does not exist",
        "empty": "no file in '.*empty' can be read: it is empty",
        "*.png": r"no file matches '.*\*.png'",
        "a.txt": "reads images; '.*a.txt' is of another kind",
    }.items():
        with pytest.raises(ConfigurationError, match=text):
            own_images(str(tmp_path / place), 10)
    for place, text in {
        "a.txt": "'.*a.txt' has no line of text, only empty ones",
        "latin.txt": "'.*latin.txt' is not text in UTF-8",
        "c.jpg": "reads text; '.*c.jpg' is of another kind",
    }.items():
        with pytest.raises(ConfigurationError, match=text):
            own_lines(str(tmp_path / place), 10)
