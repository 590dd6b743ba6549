"""A model of 100 MB is exchanged 50 times: what the process holds after the last exchange, against after the fifth.

Resident memory is read when the new version has served two batches. Each run is a process of its own.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from harness import child
from harness.result import Result, Settings
from model_cases.weights import weight_files

_EARLY = 5
_TARGET = 1.1


def run(settings: Settings) -> list[Result]:
    """The one divided by the other, for each run."""
    swaps = 12 if settings.quick else 50
    files = weight_files(1_000 if settings.quick else 5_000)
    runs: list[dict[str, Any]] = [child.program("swap_memory.py", str(swaps), *files) for _ in range(settings.repeat)]
    after = {
        exchanges: [each["held_bytes"][exchanges] / 1e6 for each in runs] for exchanges in (_EARLY, swaps // 2, swaps)
    }
    return [
        Result(
            f"swap_memory: after {swaps} exchanges vs after {_EARLY}",
            ours=median(after[swaps]),
            peer=median(after[_EARLY]),
            unit="MB",
            values=[late / early for late, early in zip(after[swaps], after[_EARLY], strict=True)],
            target=_TARGET,
            at_least=False,
            answers_equal=all(each["right"] for each in runs),
            note=f"after {swaps // 2} exchanges {median(after[swaps // 2]):.0f} MB; "
            f"weights of {files[0].stat().st_size / 1e6:.0f} MB",
            samples={f"mb_after_{exchanges}": megabytes for exchanges, megabytes in after.items()},
        )
    ]
