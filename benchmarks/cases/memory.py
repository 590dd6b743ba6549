"""Whether memory grows with the input: peak memory of 2,000,000 generated rows against 100,000.

Each run is a process of its own. Rows pile up where something behind the source is slow, so that is what is tried:
a slow model, and somebody who takes the results slowly.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from harness import child
from harness.measure import alternate, ratios
from harness.result import Result, Settings

_TARGET = 1.1


def run(settings: Settings) -> list[Result]:
    """With a slow sink and with a slow model."""
    many, few = (200_000, 50_000) if settings.quick else (2_000_000, 100_000)
    return [_compare(slow, many, few, settings.repeat) for slow in ("slow_sink", "slow_model")]


def _compare(slow: str, many: int, few: int, repeat: int) -> Result:
    seen: dict[int, list[dict[str, Any]]] = {many: [], few: []}

    def peak(rows: int) -> float:
        seen[rows].append(child.program("memory_run.py", str(rows), slow))
        return seen[rows][-1]["peak_bytes"] / 1e6

    samples = alternate({f"{rows}": partial(peak, rows) for rows in (many, few)}, repeat)
    batches = [int(median(run["largest_batch"] for run in seen[rows])) for rows in (many, few)]
    seconds = [median(run["total_s"] for run in seen[rows]) for rows in (many, few)]
    return Result(
        f"memory: {many:,} vs {few:,} rows, {slow.replace('_', ' ')}",
        ours=median(samples[f"{many}"]),
        peer=median(samples[f"{few}"]),
        unit="MB",
        values=ratios(samples[f"{many}"], samples[f"{few}"]),
        target=_TARGET,
        at_least=False,
        answers_equal=all(run["right"] for runs in seen.values() for run in runs),
        note=f"largest batch {batches[0]:,} vs {batches[1]:,} rows; {seconds[0]:.1f} s vs {seconds[1]:.1f} s; "
        f"{seen[many][-1]['mode']}",
        samples={f"peak_mb_{rows}": figures for rows, figures in samples.items()},
    )
