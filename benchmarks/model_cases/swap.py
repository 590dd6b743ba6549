"""A model of 100 MB is exchanged 20 times while 500 rows per second come: how long no result comes.

Counted is the longest time between two results of a run with exchanges, against that of a run without any and the time
of one batch on top. A batch of 16 rows is full every 32 ms, so results come that often at best. Each run is a process
of its own; the files are in the page cache.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from harness import child
from harness.measure import alternate
from harness.result import Result, Settings
from model_cases.weights import weight_files


def run(settings: Settings) -> list[Result]:
    """The pause is at most one batch; no row is lost, doubled or out of order."""
    seconds, swaps = (3.0, 5) if settings.quick else (12.0, 20)
    files = weight_files(5_000)
    for file in files:
        file.read_bytes()
    found: dict[str, list[dict[str, Any]]] = {"steady": [], "swapped": []}

    def longest_gap(kind: str, count: int) -> float:
        found[kind].append(child.program("swap_pause.py", str(seconds), str(count), *files))
        return float(found[kind][-1]["longest_gap_s"])

    samples = alternate(
        {"steady": partial(longest_gap, "steady", 0), "swapped": partial(longest_gap, "swapped", swaps)},
        settings.repeat,
    )
    batch_s = [float(each["batch_s"]) for each in found["steady"]]
    allowed = [gap + batch for gap, batch in zip(samples["steady"], batch_s, strict=True)]
    updates = [update for each in found["swapped"] for update in each["update_s"]]
    around = [gap for each in found["swapped"] for gap in each["gaps_s"]]
    return [
        Result(
            f"swap: longest gap, {swaps} exchanges vs none and one batch",
            ours=median(samples["swapped"]) * 1e3,
            peer=median(allowed) * 1e3,
            unit="ms",
            values=[gap / most for gap, most in zip(samples["swapped"], allowed, strict=True)],
            target=1.0,
            at_least=False,
            answers_equal=all(each["right"] for runs in found.values() for each in runs),
            note=f"longest gap without exchanges {_ms(samples['steady'])}, around an exchange {_ms(around)} in the "
            f"median; a batch takes {_ms(batch_s)}, an exchange {_ms(updates)}",
            samples={
                **{f"{kind}_gap_s": gaps for kind, gaps in samples.items()},
                "gap_around_exchange_s": around,
                "batch_s": batch_s,
                "exchange_s": updates,
            },
        )
    ]


def _ms(seconds: list[float]) -> str:
    return f"{median(seconds) * 1e3:.0f} ms"
