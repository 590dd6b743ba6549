"""The page in a real browser: nothing is loaded, nothing complained of, nothing too wide.

Pictures of it stay in `build/screenshots`, or in the folder that `RUNINFERENCE_SCREENSHOTS` names.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from matplotlib.image import imread, imsave

from runinference import EnsembleModelHandler
from runinference.report.page import page
from runinference.report.recording import Recording
from runinference.testing.fakes import CountingHandler, FailingHandler

from .conftest import Elements, curve, record

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ.get("RUNINFERENCE_SCREENSHOTS") or ROOT / "build" / "screenshots")
WINDOWS = {"phone": (390, 844), "desktop": (1400, 1000)}
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
    # The browser itself is not to ask anybody for anything.
    *("--disable-background-networking", "--disable-component-update", "--no-first-run", "--no-pings"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
LONG = {"id": "row-" + "7" * 60, "text": "<b>" + "longword" * 60, "photo": b"\x89PNG\x00" * 100}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


def _summary(name):
    if name == "broken":
        recording = Recording("rent.joblib over s3://flats/" + "x" * 90)
        with pytest.raises(RuntimeError), recording:
            raise RuntimeError("no space left " + "y" * 200)
        return recording.summary()
    if name == "models":
        return record(range(200), EnsembleModelHandler({"old": CountingHandler(), "n" * 70: CountingHandler()}))
    if name == "empty":
        return record([])
    rows = [LONG if i % 90 == 0 else i for i in range(3000)]

    def bad(row):
        return ValueError(f"Column 'text' holds text that is not a number: {row!s:.300}")

    failing = FailingHandler(lambda row: isinstance(row, dict), bad)
    options = {"input": "flats.csv", "output": "rents.parquet", "columns": ["rooms", "area"]}
    return dataclasses.replace(record(rows, failing, options=options), points=curve())


@pytest.fixture(scope="module", params=["failures", "models", "broken", "empty"])
def written(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / f"{request.param}.html"
    path.write_text(page(_summary(request.param)), "utf-8")
    return path


def browse(path, *flags):
    """What the browser prints: the page's elements, and the lines of its console."""
    data = path.parent / "browser"
    arguments = [str(CHROMIUM), *FLAGS, f"--user-data-dir={data}", *flags, path.as_uri()]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=100, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def asked_for(log):
    """Every address that a page asked for, and not the browser itself."""
    events = [line for line in log.read_text("utf-8").splitlines() if '"initiator":' in line]
    return {url for line in events if "not an origin" not in line for url in re.findall(r'"url":"([^"]*)"', line)}


def test_the_charts_are_there_and_nothing_is_loaded_or_complained_of(written):
    log = written.with_name("net.json")
    elements, console = browse(written, "--dump-dom", f"--log-net-log={log}")
    assert console == []
    assert not {url for url in asked_for(log) if not url.startswith(("file:", "data:"))}
    charts = {"failures": 6, "models": 2, "broken": 0, "empty": 0}[written.stem]
    assert len(Elements(elements).named("svg")) == charts


def test_what_is_loaded_would_be_seen(tmp_path):
    """With the page's policy in the console, without it in the log of the network."""
    image = '<img src="http://192.0.2.1/x.png">'
    refused, loaded = tmp_path / "refused.html", tmp_path / "loaded.html"
    refused.write_text(page(record([])).replace("</main>", f"{image}</main>"), "utf-8")
    _, console = browse(refused, "--dump-dom")
    assert "Content Security Policy" in "".join(console)
    loaded.write_text(image)
    browse(loaded, "--dump-dom", f"--log-net-log={tmp_path / 'net.json'}")
    assert "http://192.0.2.1/x.png" in asked_for(tmp_path / "net.json")


def test_it_is_no_wider_than_the_window(written):
    """Frames are as wide as they are told, while the window of a browser has a least width."""
    inner, outer = written.with_name("inner.html"), written.with_name("outer.html")
    told = "<script>document.title = document.documentElement.scrollWidth</script>"
    content = re.sub(r"<meta http-equiv.*?>", "", written.read_text("utf-8"))
    inner.write_text(content.replace("</body>", f"{told}</body>"), "utf-8")
    widths = [320, 390, 768, 1400]
    frames = [
        f'<iframe src="inner.html" style="width: {width}px; height: 844px; border: 0"></iframe>' for width in widths
    ]
    tell = "onload = () => document.title = Array.from(frames).map(frame => frame.document.title)"
    outer.write_text(f"{''.join(frames)}<script>{tell}</script>")
    elements, _ = browse(outer, "--dump-dom", "--allow-file-access-from-files")
    assert f"<title>{','.join(map(str, widths))}</title>" in elements


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", WINDOWS)
def test_it_looks_as_the_reader_likes_it(written, window, scheme):
    width, height = WINDOWS[window]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    picture = SCREENSHOTS / f"report-{written.stem}-{window}-{scheme}.png"
    picture.unlink(missing_ok=True)
    # A window has a least width, so that a phone is a frame in it, and a part of its height is not the page's.
    frame = f"width: {width}px; height: {height}px; border: 0; display: block"
    shown = written.with_name("shown.html")
    shown.write_text(f'<body style="margin: 0"><iframe src="{written.name}" style="{frame}"></iframe>')
    settings = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    browse(shown, settings, f"--window-size={max(width, 500)},{height + 200}", f"--screenshot={picture}")
    pixels = imread(picture)[:height, :width, :3]
    imsave(picture, pixels)
    corners = pixels[[2, -2], 2].mean(axis=1)
    assert all(corners > 0.9 if scheme == "light" else corners < 0.1)
    assert pixels.shape[:2] == (height, width)
