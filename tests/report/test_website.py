"""The performance website: what is in it, what is never mixed, what becomes of odd input."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runinference.errors import ConfigurationError, DataError
from runinference.metrics.history import read_runs
from runinference.metrics.measures import MEASURES, Measure
from runinference.metrics.table import METRICS
from runinference.report.website import Case, write_site
from runinference.report.website.site import file_name

from .conftest import Elements
from .made_runs import CASES, LARGE_MACHINE, SMALL_MACHINE, months_of_runs, nightly, run_of

NASTY = "<script>alert('x')</script> \"&\u202e'`../../etc ümläut 数"


def pages_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.html")}


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder, runs, cases=()):
    write_site(folder, runs, cases)
    return pages_of(folder)


def charts(page, css):
    """The drawings of a class, each as its text."""
    return re.findall(rf'<svg class="chart {css}".*?</svg>', page, flags=re.DOTALL)


def words(page):
    return " ".join(Elements(page).text.split())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "new"
    assert write_site(folder, months_of_runs(60), CASES) == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return pages_of(site)


def test_there_is_a_front_page_a_glossary_and_for_each_benchmark_a_page_and_its_data(site):
    names = {"pytorch-image-classification", "sklearn-table", "open-loop-latency"}
    without_runs = {"vllm-completions", "pytorch-language-modeling"}
    assert set(files_of(site)) == {
        "index.html",
        "glossary.html",
        ".runinference-site.json",
        *(f"benchmarks/{name}.html" for name in names | without_runs),
        *(f"data/{name}.json" for name in names),
    }


def test_every_link_leads_to_a_place_that_is_there(site, pages):
    places = {name: {attributes.get("id") for _, attributes in Elements(page).tags} for name, page in pages.items()}
    checked = 0
    for name, page in pages.items():
        for attributes in Elements(page).named("a"):
            target, _, anchor = attributes["href"].partition("#")
            path = (site / name).parent / target if target else site / name
            assert path.is_file(), f"{name}: {attributes['href']}"
            if anchor:
                assert anchor in places[path.resolve().relative_to(site.resolve()).as_posix()], attributes["href"]
            checked += 1
    assert checked > 100


def test_identifiers_are_there_once(pages):
    for page in pages.values():
        found = [attributes["id"] for _, attributes in Elements(page).tags if "id" in attributes]
        assert len(found) == len(set(found))


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_run(pages):
    for page in pages.values():
        assert "default-src 'none'" in page
        assert not re.search(r"<script|https?:|@import|url\(|\son\w+=", page)
        sources = [attributes.get(name) for _, attributes in Elements(page).tags for name in ("src", "href")]
        assert all(
            source.startswith(("data:", "#", "../", "benchmarks/", "glossary", "index")) for source in sources if source
        )


def test_the_same_runs_in_another_order_give_the_same_files(site, tmp_path):
    write_site(tmp_path / "again", months_of_runs(60)[::-1], CASES[::-1])
    assert files_of(tmp_path / "again") == files_of(site)


def test_what_got_slower_is_told_with_its_date_versions_and_interval(pages):
    (slower,) = [
        item
        for item in re.findall(r'<li class="slower">.*?</li>', pages["index.html"])
        if "embedded</a>" in item and "2026-01-31" in item
    ]
    told = words(slower)
    assert re.search(r"1[0-4] % slower Image classification, PyTorch · embedded resnet50, 50,000 elements, cpu", told)
    assert re.search(r"since 2026-01-31 · 0\.1\.0 \w{7} → 0\.1\.0 \w{7} · 95 % interval [\d.]+ to [\d.]+ %", told)
    assert re.search(r"run time 4\d\.\d s → 4\d\.\d s · throughput 1,\d\d\d elements/s → ", told)
    assert "so did beam" in told
    assert "torch 2.5.0 → 2.6.0" in told


def test_changes_are_listed_the_newest_first(pages):
    dates = re.findall(r"since <time>([\d-]+)</time>", pages["index.html"])
    assert len(dates) >= 3
    assert dates == sorted(dates, reverse=True)


def test_without_a_change_it_says_so(tmp_path):
    front = write(tmp_path, [run_of(night=night) for night in range(10)])["index.html"]
    assert "Nothing: no line has a change of 5 % or more that noise does not explain." in words(front)


def test_the_front_page_has_the_newest_figures_of_each_engine_with_the_ratio_to_beam(tmp_path):
    runs = [
        run_of(engine="embedded", seconds=(10.0, 11.0, 9.0)),
        run_of(engine="beam-original", seconds=(20.0, 21.0, 22.0)),
        run_of(engine="embedded", night=1, seconds=(30.0, 30.0, 30.0), session="alone"),
        run_of(engine="beam-original", night=-1, seconds=(90.0,), session="another"),
    ]
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', write(tmp_path, runs)["index.html"])
    told = [words(row) for row in rows]
    assert told[0].startswith("embedded 30.0 s 33.3 – –")  # Of its newest run, which had no peer beside it.
    assert told[1].startswith("beam-original 21.0 s 20.0 s – 22.0 s 47.6 – 1×")
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', write(tmp_path, runs[:2])["index.html"])
    # The middle one of 20 / 10, 21 / 11 and 22 / 9.
    assert words(rows[0]).startswith("embedded 10.0 s 9.00 s – 11.0 s 100 – 2.00× 1.91× – 2.44×")


def test_runs_that_did_not_finish_are_listed_and_in_no_figure(tmp_path):
    done = run_of(seconds=(10.0,))
    failed = replace(run_of(night=1, seconds=(777.0,)), info=replace(run_of(night=1).info, state="failed"))
    killed = replace(run_of(night=2, seconds=(888.0,)), info=replace(run_of(night=2).info, state="running"))
    pages = write(tmp_path, [done, failed, killed])
    for name in ("index.html", "benchmarks/sklearn-table.html"):
        told = words(pages[name])
        assert "running, or killed" in told
        assert "2026-01-02" in told
        assert told.index("2026-01-03") < told.index("2026-01-02 03:10")
        assert "777" not in told
        assert "888" not in told


def test_runs_of_something_else_are_counted_only(pages):
    assert "1 other run is no benchmark and is not shown" in words(pages["index.html"])
    assert not any("rent.joblib" in page for page in pages.values())


def test_a_run_that_is_in_two_stores_counts_once_as_what_tells_more(tmp_path):
    run = run_of(engine="embedded")
    started = replace(run, info=replace(run.info, state="running"), samples={})
    assert "1 run of 1 benchmark" in words(write(tmp_path, [started, run, run])["index.html"])


@pytest.mark.parametrize(
    "other",
    [
        {"machine": LARGE_MACHINE},
        {"machine": (*SMALL_MACHINE[:2], 4, SMALL_MACHINE[3])},
        {"device": "NVIDIA H200"},
        {"work": {"model": "default", "examples": 2000, "device": "cpu"}},
        {"work": {"model": "other", "examples": 1000, "device": "cpu"}},
        {"work": {"model": "default", "examples": 1000, "device": "cpu", "handler_options": {"precision": "bf16"}}},
    ],
    ids=["machine", "cores", "device", "examples", "model", "options"],
)
def test_what_is_not_comparable_is_never_in_one_line_nor_held_against_each_other(tmp_path, other):
    runs = [run_of(night=night, session=f"a{night}") for night in range(6)]
    runs += [run_of(night=night, seconds=(400.0,), session=f"b{night}", **other) for night in range(6, 12)]
    pages = write(tmp_path, runs)
    page = pages["benchmarks/sklearn-table.html"]
    assert "Nothing: no line has a change" in words(pages["index.html"])
    assert page.count("<article") == 2
    drawn = charts(page, "wide")
    assert len(drawn) == 2 * 2 * 2  # Sections, run time and throughput, by date and by version.
    for chart in drawn:
        nights = len(re.findall(r"2026-01-\d\d", chart)) or 6
        assert nights == 6
        assert ("400 s" in chart) + ("41.0 s" in chart) <= 1


def test_a_peer_of_another_session_machine_or_work_is_no_peer(tmp_path):
    runs = [
        run_of(engine="embedded", session="one"),
        run_of(engine="beam-original", session="two"),
        run_of(engine="beam-original", session="one", machine=LARGE_MACHINE),
    ]
    assert "Speed against Beam" not in write(tmp_path, runs)["benchmarks/sklearn-table.html"]


def test_engines_are_lines_of_one_chart_with_a_legend(pages):
    page = pages["benchmarks/pytorch-image-classification.html"]
    chart = charts(page, "wide")[0]
    assert [len(re.findall(f'<g class="trace l{number}">', chart)) for number in range(4)] == [1, 1, 1, 0]
    legend = re.findall(r'<span class="legend">(.*?)</figcaption>', page)[0]
    assert words(legend) == "embedded beam beam-original"


def test_a_page_has_all_charts_by_date_and_by_version(pages):
    page = pages["benchmarks/pytorch-image-classification.html"]
    section = page.split("<article")[1]
    titles = re.findall(r"<figcaption><b>(.*?)</b>", section)
    assert titles == [
        "Run time",
        "Throughput",
        "Speed against Beam&#x27;s RunInference",
        "Estimated cost",
        "Estimated cost per million",
        "Throughput in bytes",
        "Throughput after loading",
        *(f"Batch latency, {statistic}" for statistic in ("mean", "p50", "p95", "p99")),
        "Load time, mean",
        "Peak memory",
        "CPU utilisation",
        "Share of the limit",
        "Padding efficiency",
        "Batch size, mean",
        "Batch fill, mean",
    ]
    assert section.count('<div class="by-date">') == section.count('<div class="by-version">') == len(titles)


def test_by_version_the_runs_of_one_version_and_commit_are_one_point(tmp_path):
    runs = [run_of(night=night, seconds=(40.0 + night,)) for night in range(7)]  # Commits change every third night.
    by_version = charts(write(tmp_path, runs)["benchmarks/sklearn-table.html"], "wide")[1]
    notes = re.findall(r"<title>(.*?)</title>", by_version, flags=re.DOTALL)
    assert [re.sub(r" \w{7},", ",", note) for note in notes] == [
        "0.1.0, 3 runs\nembedded: 41.0 s (40.0 s – 42.0 s)",
        "0.1.0, 3 runs\nembedded: 44.0 s (43.0 s – 45.0 s)",
        "0.1.0, 1 run\nembedded: 46.0 s",
    ]


def test_the_numbers_below_a_chart_are_those_of_the_runs(tmp_path):
    runs = [run_of(engine=engine, seconds=(40.0, 41.0, 42.0)) for engine in ("embedded", "beam")]
    page = write(tmp_path, runs)["benchmarks/sklearn-table.html"]
    numbers = re.findall(r"<summary>Numbers</summary>(.*?)</details>", page)[0]
    commit = runs[0].info.commit[:7]
    assert words(numbers) == (
        f"Run (UTC) Version embedded beam 2026-01-01 03:10 0.1.0 {commit} 41.0 s 40.0 s – 42.0 s 41.0 s 40.0 s – 42.0 s"
    )


def test_the_raw_data_can_be_read_back_with_every_run(site):
    runs = read_runs(site / "data" / "sklearn-table.json")
    assert {run.info.state for run in runs} == {"done", "running", "failed"}
    expected = {run.info.test_id: run for run in months_of_runs(60) if run.info.name == "sklearn-table"}
    assert {run.info.test_id for run in runs} == set(expected)
    assert all(run.samples == expected[run.info.test_id].samples for run in runs)


def test_a_single_run_is_a_point_and_no_line(tmp_path):
    chart = charts(write(tmp_path, [run_of()])["benchmarks/sklearn-table.html"], "wide")[0]
    assert chart.count('class="marks"') == 1
    assert 'class="line"' not in chart
    assert 'class="bars"' in chart


def test_hundreds_of_runs_have_a_band_and_few_rows_of_numbers(tmp_path):
    page = write(tmp_path, list(nightly("sklearn-table", 300)))["benchmarks/sklearn-table.html"]
    assert 'class="band"' in charts(page, "wide")[0]
    assert "earlier ones, which are in the raw data" in page
    assert len(page) < 2_500_000


def test_a_line_breaks_where_a_run_lacks_the_metric(tmp_path):
    runs = [run_of(night=night) for night in range(9)]
    runs[4] = replace(runs[4], samples={"AvgThroughputElements": [25.0]})
    page = write(tmp_path, runs)["benchmarks/sklearn-table.html"]
    line = re.search(r'class="line" d="(.*?)"', charts(page, "wide")[0])[1]
    assert line.count("M") == 2
    throughput = charts(page, "wide")[2]
    assert re.search(r'class="line" d="(.*?)"', throughput)[1].count("M") == 1


def test_a_metric_that_nobody_declares_has_a_chart_too_and_those_of_one_of_several_models_do_not(tmp_path):
    samples = {"JobRuntimeSeconds": [1.0], "beam_hits": [3.0], "old-batch_size_MEAN": [2.0], "num_inferences": [9.0]}
    page = write(tmp_path, [run_of(samples=samples)])["benchmarks/sklearn-table.html"]
    assert re.findall(r"<figcaption><b>(.*?)</b>", page) == ["Run time", "beam_hits"]
    table = page[page.index("Everything that the newest runs measured") :]
    assert all(name in table for name in samples)


def test_equal_answers_and_failed_elements_have_a_chart_once_they_vary(tmp_path):
    def page(failed):
        runs = [
            run_of(night=n, samples={"JobRuntimeSeconds": [1.0], "failed_elements": [failed * n]}) for n in range(3)
        ]
        return write(tmp_path, runs)["benchmarks/sklearn-table.html"]

    assert "<b>Failed elements</b>" not in page(0.0)
    assert "<b>Failed elements</b>" in page(1.0)


def test_latency_is_drawn_against_the_load(pages):
    page = pages["benchmarks/open-loop-latency.html"]
    for percentile in (50, 99):
        (figure,) = [part for part in page.split("<figure ") if f"<b>Latency, p{percentile}, against the load" in part]
        assert "elements offered per second, newest run" in figure
        assert len(re.findall(r'<g class="trace', figure)) == 3
        assert words(figure).count(" % ") >= 4
    assert "P99 at 70 %" in page  # The highest percentile over time as well.
    assert "P50 at 70 %</b>" not in page


def test_without_the_offered_rate_the_load_is_a_share(tmp_path):
    samples = {f"latency_p9{n}_ms_at_{load}_percent": [load / 10] for n in (5, 9.5) for load in (50, 90)}
    page = write(tmp_path, [run_of(samples=samples)])["benchmarks/sklearn-table.html"]
    assert page.count("share of the highest rate, newest run") == 2
    assert page.index("Latency, p95, against") < page.index("Latency, p99.5, against")


def test_the_glossary_defines_every_measure_and_metric(pages):
    told = words(pages["glossary.html"])
    for row in [*MEASURES.values(), *METRICS.values(), *CASES[2].measures]:
        assert row.name in told
        assert row.help in told
    assert "Measures of Latency at a given load alone" in told


def test_a_benchmark_without_runs_says_why_or_how_to_run_it(pages):
    assert "It cannot run yet: it needs a GPU with 16 GB" in words(pages["benchmarks/vllm-completions.html"])
    told = words(pages["benchmarks/pytorch-language-modeling.html"])
    assert "There is no run of it yet: runinference bench run pytorch-language-modeling" in told
    front = words(pages["index.html"])
    assert "Text generation, vLLM cannot run yet: it needs a GPU with 16 GB" in front
    assert "Language modelling, BERT Fills in a masked word." in front


def test_a_description_has_paragraphs_lists_and_code_and_no_markup_of_its_own(tmp_path):
    text = "It *is* <b>bold</b>.\nStill.\n\n`a < b` and **this**.\n\nModels:\n- one\n  and more\n- `two`\n"
    page = write(tmp_path, [], [Case("x", "X", text)])["benchmarks/x.html"]
    assert (
        "<p>It <i>is</i> &lt;b&gt;bold&lt;/b&gt;. Still.</p><p><code>a &lt; b</code> and <b>this</b>.</p>"
        "<p>Models:</p><ul><li>one and more</li><li><code>two</code></li></ul>"
    ) in page


def test_whatever_is_in_names_is_text(tmp_path):
    samples = {"JobRuntimeSeconds": [1.0, 2.0], NASTY: [1.0, 2.0], f"{NASTY}_at_5_percent": [1.0]}
    samples |= {f"{NASTY}_at_9_percent": [2.0]}
    options = {
        "work": {"model": NASTY, "examples": NASTY, "device": "cpu", NASTY: {NASTY: [NASTY]}},
        "machine_type": NASTY,
        "prices": NASTY,
    }
    fields = {"device": NASTY, "commit": NASTY, "versions": {NASTY: NASTY, "runinference": NASTY}, "options": options}
    runs = [
        run_of(NASTY, engine, night, machine=(NASTY, NASTY, 2, None), samples=samples, session="", **fields)
        for engine in ("embedded", NASTY)
        for night in (0, 1)
    ]
    runs.append(run_of(NASTY, NASTY, state=NASTY, samples={}, **fields))
    runs = [replace(run, info=replace(run.info, test_id=str(n)), texts={NASTY: NASTY}) for n, run in enumerate(runs)]
    case = Case(NASTY, NASTY, f"{NASTY}\n\n- {NASTY}", NASTY, [Measure(NASTY, NASTY, NASTY, NASTY)])
    pages = write(tmp_path / "site", runs, [case])
    assert len(pages) == 3
    for name, page in pages.items():
        assert re.fullmatch(r"[a-z0-9/-]+\.html", name)
        assert not re.search(r"<script|alert\('|\u202e", page)
        tags = {tag for tag, _ in Elements(page).tags}
        assert not {"script", "iframe", "img", "etc"} & tags
        assert all(re.fullmatch(r"[A-Za-z0-9_/-]+", each["id"]) for _, each in Elements(page).tags if "id" in each)


def test_names_that_look_alike_have_pages_of_their_own(tmp_path):
    names = ["a b", "a-b", "A-B", "a/b", "数", "データ", "", ".", "..", "index", "x" * 300, "x" * 301, "con\n"]
    runs = [run_of(name, session=str(n)) for n, name in enumerate(names)]
    pages = write(tmp_path, runs)
    assert len(pages) == len(names) + 2
    assert len({file_name(name) for name in names}) == len(names)
    assert file_name("a-b") == "a-b"
    assert all(len(file_name(name)) <= 70 for name in names)


def test_times_that_no_calendar_has_are_taken_for_the_nearest(tmp_path):
    runs = [run_of(night=night, session=str(night)) for night in (0, 1e12, -1e12)]
    runs.append(replace(runs[0], info=replace(runs[0].info, test_id="n", started=float("nan"))))
    assert "4 runs of 1 benchmark" in words(write(tmp_path, runs)["index.html"])


@pytest.mark.parametrize(
    "samples",
    [
        {},
        {"JobRuntimeSeconds": []},
        {"JobRuntimeSeconds": [0.0], "AvgThroughputElements": [0.0]},
        {"JobRuntimeSeconds": [float("nan"), float("inf")]},
        {"JobRuntimeSeconds": [1e-9, 1e12], "cpu_utilization": [-3.0], "peak_memory_bytes": [0.0]},
        {"JobRuntimeSeconds": ["many", None, [1]]},
    ],
    ids=["nothing", "empty", "zero", "not finite", "far apart", "no numbers"],
)
def test_odd_samples_leave_a_page_that_can_be_read(tmp_path, samples):
    runs = [run_of(engine=engine, samples=samples) for engine in ("embedded", "beam-original")]
    page = write(tmp_path, runs)["benchmarks/sklearn-table.html"]
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    json.loads((tmp_path / "data" / "sklearn-table.json").read_text(), parse_constant=pytest.fail)


def test_many_engines_share_colours_and_differ_in_shape(tmp_path):
    runs = [run_of(engine=f"loop-{number:02}") for number in range(12)]
    chart = charts(write(tmp_path, runs)["benchmarks/sklearn-table.html"], "wide")[0]
    assert chart.count('<g class="trace') == 12


def test_a_later_site_replaces_an_earlier_one_and_removes_what_is_gone(tmp_path):
    write_site(tmp_path, [run_of("old"), run_of("kept")])
    (tmp_path / "CNAME").write_text("performance.example.org")
    write_site(tmp_path, [run_of("kept", seconds=(5.0,)), run_of("new")])
    found = set(files_of(tmp_path))
    assert {"benchmarks/new.html", "benchmarks/kept.html", "data/new.json", "CNAME"} <= found
    assert not {"benchmarks/old.html", "data/old.json"} & found
    assert "5.00 s" in (tmp_path / "benchmarks" / "kept.html").read_text("utf-8")


def test_a_folder_that_holds_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(
        ConfigurationError, match=r"holds other things than a site .*: thesis\.tex\. Name an empty folder"
    ):
        write_site(tmp_path, [run_of()])
    assert set(files_of(tmp_path)) == {"thesis.tex"}


def test_a_file_that_somebody_put_where_a_page_goes_is_left_alone(tmp_path):
    write_site(tmp_path, [run_of("one")])
    (tmp_path / "benchmarks" / "two.html").write_text("mine")
    with pytest.raises(
        ConfigurationError, match=r"two\.html is there already, and is not what `runinference report` wrote"
    ):
        write_site(tmp_path, [run_of("one"), run_of("two")])
    assert (tmp_path / "benchmarks" / "two.html").read_text() == "mine"


def test_pages_that_somebody_else_put_in_place_of_ours_are_left_alone(tmp_path):
    """As other makers of sites do, which empty a folder of all that does not begin with a dot."""
    write_site(tmp_path, [run_of("one")])
    (tmp_path / "index.html").write_text("mine")
    (tmp_path / "data" / "one.json").write_text("mine too")
    with pytest.raises(ConfigurationError, match=r"one\.json is there already, and is not what"):
        write_site(tmp_path, [run_of("one")])
    (tmp_path / "data" / "one.json").unlink()
    with pytest.raises(ConfigurationError, match=r"index\.html is there already, and is not what"):
        write_site(tmp_path, [run_of("one")])
    assert (tmp_path / "index.html").read_text() == "mine"
    (tmp_path / "index.html").unlink()
    (tmp_path / "data" / "one.json").write_text("mine again")
    write_site(tmp_path, [run_of("two")])
    assert (tmp_path / "data" / "one.json").read_text() == "mine again"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": [1]}', '{"files": {"index.html": 5}}', "\x00"])
def test_a_damaged_list_of_files_is_none(tmp_path, content):
    write_site(tmp_path, [run_of()])
    (tmp_path / ".runinference-site.json").write_text(content)
    with pytest.raises(ConfigurationError, match="holds other things than a site"):
        write_site(tmp_path, [run_of()])


def test_a_folder_of_a_version_control_system_is_no_obstacle(tmp_path):
    (tmp_path / ".git").mkdir()
    write_site(tmp_path, [run_of()])
    assert (tmp_path / "index.html").exists()


def test_a_list_of_files_that_lie_elsewhere_removes_none_of_them(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    site = tmp_path / "site"
    write_site(site, [run_of()])
    digest = hashlib.sha256(b"mine").hexdigest()
    listed = {"files": {name: [digest] for name in ("../outside.txt", str(outside), "a/../../outside.txt", ".", "")}}
    (site / ".runinference-site.json").write_text(json.dumps(listed))
    for name in ("index.html", "glossary.html", "benchmarks", "data"):
        path = site / name
        path.unlink() if path.is_file() else path.rename(tmp_path / name)
    write_site(site, [run_of()])
    assert outside.read_text() == "mine"


def test_a_site_that_was_broken_off_can_be_written_again(tmp_path):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    for seconds in (5.0, 6.0, 7.0):
        with pytest.raises(KeyboardInterrupt):
            write_site(tmp_path, [run_of("one", seconds=(seconds,)), run_of("two")], progress=stop)
    write_site(tmp_path, [run_of("two")])
    assert not (tmp_path / "benchmarks" / "one.html").exists()
    assert (tmp_path / "index.html").exists()


def test_progress_is_told_up_to_the_last_file(tmp_path):
    told = []
    write_site(tmp_path, [run_of("one"), run_of("two")], CASES, progress=lambda *counts: told.append(counts))
    number = len(files_of(tmp_path)) - 1  # Without the list of files.
    assert told == [(done, number) for done in range(1, number + 1)]


@pytest.mark.parametrize("place", ["file", "file/site"])
def test_a_folder_that_cannot_be_is_an_error(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises((ConfigurationError, DataError), match=r"is a file; name a folder|cannot be written to"):
        write_site(tmp_path / place, [run_of()])


def test_no_charting_library_is_needed(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from tests.report.made_runs import run_of\n"
        "from runinference.report.website import write_site\n"
        "write_site(sys.argv[1], [run_of()])\n"
        "assert not {'torch', 'pyarrow', 'apache_beam', 'scipy'} & set(sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "site")], check=True, timeout=60, cwd=root)
    assert (tmp_path / "site" / "index.html").exists()
