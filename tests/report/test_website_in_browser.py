"""The performance website in a real browser: no complaint, nothing too wide, nothing loaded. Leaves pictures behind."""

from __future__ import annotations

import re

import pytest
from matplotlib.image import imread, imsave

from runinference.report.website import write_site

from .conftest import Elements
from .made_runs import CASES, months_of_runs, run_of
from .test_in_browser import CHROMIUM, SCREENSHOTS, asked_for, browse

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

PAGES = {
    "front": "months/index.html",
    "months": "months/benchmarks/pytorch-image-classification.html",
    "load": "months/benchmarks/open-loop-latency.html",
    "without-runs": "months/benchmarks/vllm-completions.html",
    "glossary": "months/glossary.html",
    "long-front": "long/index.html",
    "long-names": "long/benchmarks/a-name-that-is-*.html",
}
WINDOWS = {"phone": (390, 1600), "desktop": (1400, 1600)}
WIDTHS = [320, 390, 768, 1000, 1400]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    name = f"a name that is {'long' * 30}"
    samples = {"JobRuntimeSeconds": [41.0, 42.0], "w" * 120: [1.0]}
    work = {"model": "m" * 90, "examples": 5, "device": "cpu", "input": "/data/" + "x" * 90}
    lonely = run_of(name, "e" * 60, samples=samples, work=work, machine=("h" * 80, "p" * 80, 1, None))
    write_site(folder / "long", [lonely])
    write_site(folder / "months", months_of_runs(90), CASES)
    return folder


@pytest.fixture(params=PAGES)
def page(request, site):
    (found,) = site.glob(PAGES[request.param])
    return found


def test_there_is_no_complaint_and_nothing_is_loaded(page, tmp_path):
    log = tmp_path / "net.json"
    elements, console = browse(page, "--dump-dom", f"--log-net-log={log}")
    assert console == []
    assert not {url for url in asked_for(log) if not url.startswith(("file:", "data:"))}
    assert Elements(elements).named("h1")


def test_it_is_no_wider_than_the_window_with_everything_unfolded(page):
    """Frames are as wide as they are told, while the window of a browser has a least width."""
    inner, outer = page.with_name("inner.html"), page.with_name("outer.html")
    content = re.sub(r"<meta http-equiv.*?>", "", page.read_text("utf-8")).replace("<details", "<details open")
    told = "<script>document.title = document.documentElement.scrollWidth</script>"
    inner.write_text(content.replace("</body>", f"{told}</body>"), "utf-8")
    frames = [
        f'<iframe src="inner.html" style="width: {each}px; height: 844px; border: 0"></iframe>' for each in WIDTHS
    ]
    tell = "onload = () => document.title = Array.from(frames).map(frame => frame.document.title)"
    outer.write_text(f"{''.join(frames)}<script>{tell}</script>")
    elements, _ = browse(outer, "--dump-dom", "--allow-file-access-from-files")
    for path in (inner, outer):
        path.unlink()
    assert f"<title>{','.join(map(str, WIDTHS))}</title>" in elements


def test_charts_by_date_and_by_version_take_turns_without_a_script(site):
    page = site / PAGES["load"]
    inner = page.with_name("inner.html")
    count = (
        "const shown = css => Array.from(document.querySelectorAll(css)).filter(each => each.checkVisibility()).length;"
        "const both = () => [shown('.by-date'), shown('.by-version')];"
        "const before = both(); document.getElementById('axis-version').click();"
        "document.title = [before, both()]"
    )
    content = re.sub(r"<meta http-equiv.*?>", "", page.read_text("utf-8"))
    inner.write_text(content.replace("</body>", f"<script>{count}</script></body>"), "utf-8")
    elements, _ = browse(inner, "--dump-dom")
    inner.unlink()
    charts = content.count('<div class="by-date">')
    assert charts > 10
    assert f"<title>{charts},0,0,{charts}</title>" in elements


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", ["front", "months", "load"])
def test_it_looks_as_the_reader_likes_it(site, name, window, scheme):
    width, height = WINDOWS[window]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    picture = SCREENSHOTS / f"website-{name}-{window}-{scheme}.png"
    picture.unlink(missing_ok=True)
    # A window has a least width, so that a phone is a frame in it, and a part of its height is not the page's.
    frame = f"width: {width}px; height: {height}px; border: 0; display: block"
    shown = site / "shown.html"
    shown.write_text(f'<body style="margin: 0"><iframe src="{PAGES[name]}" style="{frame}"></iframe>')
    settings = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    browse(shown, settings, f"--window-size={max(width, 500)},{height + 200}", f"--screenshot={picture}")
    shown.unlink()
    pixels = imread(picture)[:height, :width, :3]
    imsave(picture, pixels)
    corners = pixels[[2, -2], 2].mean(axis=1)
    assert all(corners > 0.9 if scheme == "light" else corners < 0.1)
    assert pixels.shape[:2] == (height, width)


def test_on_paper_both_kinds_of_charts_are_there_in_light_colours(site):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    paper = SCREENSHOTS / "website-load.pdf"
    paper.unlink(missing_ok=True)
    browse(site / PAGES["load"], "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    assert paper.read_bytes().startswith(b"%PDF")
