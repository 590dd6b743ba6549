"""The page: what it says, and that nothing from outside becomes markup."""

from __future__ import annotations

import dataclasses

import pytest

from runinference import DataError, EnsembleModelHandler
from runinference.metrics import METRICS
from runinference.report import Recording, write_report
from runinference.report.page import page
from runinference.report.recording import without_secrets
from runinference.testing.fakes import CountingHandler, FailingHandler

from .conftest import curve, record

NASTY = """<script>alert("1")</script><img src=x onerror='a()'>&amp;"' </style></title> \x00\x1b \u202e ]]>"""


def test_it_says_what_ran_and_how_far_it_came(read):
    summary = record(range(1000), FailingHandler({3, 5}), options={"input": "numbers.csv", "retries": 2})
    text = read(summary).text
    assert "Done, 2 rows failed" in text
    for said in ("998", "0.2 % of 1,000", "numbers.csv", "retries", "bad row …", "row 3", "python", summary.run.host):
        assert said in text


def test_every_metric_is_there_with_its_definition(read):
    text = read(record(range(10))).text
    for spec in METRICS.values():
        assert spec.name in text
        assert spec.help in text


def test_the_batch_size_is_there_with_the_reason(read):
    summary = record(range(100))
    assert str(summary.metrics["batch_size_reason"]) in read(summary).text


def test_the_device_has_figures_where_there_is_one(read):
    recording = Recording("a run")
    assert "Device busy" not in read(recording.summary()).text
    recording.metrics.set("peak_device_memory_bytes", 1e9)
    assert "Device memory 1.0 GB at most" in read(recording.summary()).text
    for percent, used in [(20, 2e9), (60, 3e9)]:
        recording.metrics.record({}, {"device_utilization_percent": percent, "device_memory_used_bytes": used})
    text = read(recording.summary()).text
    assert "Device busy 40 % on average; 60 % at most" in text
    assert "Device memory 3.0 GB at most" in text


def test_an_idle_device_of_a_busy_model_is_told_of(read):
    summary = record(range(100))
    times = dataclasses.replace(summary.times, running=10.0, elapsed=10.0, model=9.6, loading=0.0, device=0.25)
    assert "Its device computed only 25 % of it" in read(dataclasses.replace(summary, times=times)).text


@pytest.mark.parametrize("rows", [0, 1])
def test_a_run_of_few_rows_has_a_page(read, rows):
    elements = read(record(range(rows)))
    assert "Done" in elements.text
    assert ("The model was never run." in elements.text) == (rows == 0)
    assert elements.text.count("The run was too short for curves") == rows


def test_a_run_of_which_all_rows_failed_says_so(read):
    summary = record([1, 2], FailingHandler(lambda row: True))
    text = read(summary).text
    assert "All rows failed" in text
    assert "100.0 % of 2" in text


def test_several_models_have_a_line_each(read):
    models = EnsembleModelHandler({"old": CountingHandler(), "<b>new</b>": CountingHandler()})
    elements = read(record(range(20), models))
    assert "old" in elements.text
    assert "<b>new</b>" in elements.text
    assert "Rows per batch" in elements.text


def test_a_run_that_broke_off_says_why(read):
    recording = Recording("rents")
    with pytest.raises(RuntimeError), recording:
        raise RuntimeError("the disk <i>is</i> full")
    elements = read(recording.summary())
    assert "The run did not reach its end" in elements.text
    assert "the disk <i>is</i> full" in elements.text
    assert not [tag for tag, attributes in elements.tags if tag == "i" and not attributes]


def test_a_run_that_was_interrupted_says_so(read):
    recording = Recording("rents")
    with pytest.raises(KeyboardInterrupt), recording:
        raise KeyboardInterrupt
    assert "Stopped" in read(recording.summary()).text


def test_nothing_from_outside_becomes_markup(read):
    def bad(row):
        return ValueError(f"cannot {row}")

    plain = record([b"row", "row"], FailingHandler(lambda row: True, bad), options={"input": "name"})
    rows = [{NASTY: NASTY}, NASTY, NASTY.encode(), [NASTY]]
    nasty = record(rows, FailingHandler(lambda row: True, bad), options={NASTY: NASTY})
    nasty = dataclasses.replace(nasty, run=dataclasses.replace(nasty.run, name=NASTY, host=NASTY, job_id=NASTY))
    elements = read(nasty)
    assert {tag for tag, _ in elements.tags} == {tag for tag, _ in read(plain).tags}
    assert elements.named("script") == elements.named("img") == []
    assert not [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]
    content = page(nasty)
    assert content.count("</style>") == content.count("</title>") == 1
    assert not {"\x00", "\x1b", "\u202e"} & set(content)
    assert "\\x1b" in elements.text


def test_long_texts_are_cut():
    def bad(row):
        return ValueError("y" * 10**6)

    summary = record(["x" * 10**6, b"x" * 10**6], FailingHandler(lambda row: True, bad))
    assert len(page(summary)) < 100_000


def test_the_page_may_load_nothing(read):
    elements = read(dataclasses.replace(record(range(10)), points=curve()))
    (policy,) = [meta["content"] for meta in elements.named("meta") if meta.get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert elements.named("script") == []
    addresses = [attributes.get(name) for _, attributes in elements.tags for name in ("src", "href", "srcset", "data")]
    assert {address[0] for address in addresses if address} <= {"#", "d"}
    assert len(elements.named("svg")) == 6


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("s3://key:secret@bucket/x.csv", "s3://…@bucket/x.csv"),
        ("https://host/x.csv?sig=abc&v=1", "https://host/x.csv?sig=…&v=…"),
        ("data.csv", "data.csv"),
        ("a?b=c", "a?b=c"),
        (["a", "b"], "a, b"),
    ],
)
def test_secrets_of_urls_are_left_out(told, shown):
    assert without_secrets(told) == shown


def test_a_text_that_is_no_unicode_can_be_written(tmp_path):
    summary = record(["\ud800"], FailingHandler(lambda row: True))
    write_report(tmp_path / "run.html", summary)
    assert "\\ud800" in (tmp_path / "run.html").read_text("utf-8")


def test_a_report_replaces_the_one_before_and_leaves_nothing_else(tmp_path):
    (tmp_path / "run.html").write_text("before")
    write_report(tmp_path / "run.html", record(range(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["run.html"]
    assert (tmp_path / "run.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_report_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"The report cannot be written to .*folder"):
        write_report(tmp_path / "folder", record(range(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
