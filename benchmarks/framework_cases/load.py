"""Loading a BERT-large of 1.3 GB, and loading it and predicting one sentence; each time in a process of its own.

The file is in the page cache, and all modules are imported before the clock starts.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from harness import beam, child
from harness.measure import alternate, ratios
from harness.result import Result, Settings
from harness.transformer_models import bert_file

_LOAD_TARGET = 10.0
_FIRST_TARGET = 5.0


def run(settings: Settings) -> list[Result]:
    """Seconds of ours and of Beam's handler."""
    size = "tiny" if settings.quick else "large"
    path = bert_file(size)
    path.read_bytes()
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "beam": []}

    def once(kind: str) -> float:
        found[kind].append(child.program("torch_load.py", kind, size, path, "--device", settings.device))
        return float(found[kind][-1]["load_s"])

    kinds = ["ours", "beam"] if beam.installed() else ["ours"]
    alternate({kind: partial(once, kind) for kind in kinds}, settings.repeat)
    megabytes = path.stat().st_size / 1e6
    return [
        _compare(f"load: {megabytes:,.0f} MB", found, "load_s", _LOAD_TARGET),
        _compare("load: and a first prediction", found, "first_s", _FIRST_TARGET),
    ]


def _compare(case: str, found: dict[str, list[dict[str, Any]]], field: str, target: float) -> Result:
    ours, theirs = ([float(run[field]) for run in found[kind]] for kind in ("ours", "beam"))
    if not theirs:
        return Result(f"{case}, ours vs Beam's handler", ours=median(ours), unit="s", samples={"ours_s": ours})
    answers = [run["answer"] for runs in found.values() for run in runs]
    return Result(
        f"{case}, ours vs Beam's handler",
        ours=median(ours),
        peer=median(theirs),
        unit="s",
        values=ratios(theirs, ours),
        target=target,
        answers_equal=all(answer == answers[0] for answer in answers),
        note="file in the page cache, modules imported",
        samples={"ours_s": ours, "peer_s": theirs},
    )
