"""Memory of four worker processes that each load 400 MB of weights of PyTorch and predict 32 rows, at the same time.

Counted as in `framework_cases/shared_memory.py`: what they hold proportionally, minus that of four processes with tiny
weights, divided by the size of the file. One copy for all is 1, a copy for each is 4. Nobody else may have the file
mapped meanwhile: they would count as sharing it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median

from harness import beam, child, data
from harness.measure import alternate
from harness.proportional import proportional_bytes
from harness.result import Result, Settings

_PROCESSES = 4
_TARGET = 1.2
_PROGRAM = "deep_perceptron.py"
_TINY = 8


def run(settings: Settings) -> list[Result]:
    """In sizes of the weights."""
    width = 1_250 if settings.quick else 5_000
    weights = _state_dict(width).stat().st_size
    kinds = ["ours", "beam"] if beam.installed() else ["ours"]
    answers = [child.program(_PROGRAM, kind, str(width), _state_dict(width))["answers"] for kind in kinds]
    samples = alternate({kind: partial(_copies, kind, width) for kind in kinds}, settings.repeat)
    return [
        Result(
            f"shared_weights: {_PROCESSES} processes, ours and Beam's handler",
            ours=median(samples["ours"]),
            peer=median(samples["beam"]) if "beam" in samples else None,
            unit="x weights",
            values=samples["ours"],
            target=_TARGET,
            at_least=False,
            answers_equal=all(answer == answers[0] for answer in answers),
            note=f"weights of {weights / 1e6:,.0f} MB",
            samples=samples,
        )
    ]


def _copies(kind: str, width: int) -> float:
    held, base = (
        proportional_bytes(child.PROGRAMS / _PROGRAM, [kind, str(each), str(_state_dict(each)), "--wait"], _PROCESSES)
        for each in (width, _TINY)
    )
    return (held - base) / _state_dict(width).stat().st_size


def _state_dict(width: int) -> Path:
    def make(path: Path) -> None:
        child.python(child.PROGRAMS / _PROGRAM, "make", str(width), path)

    return data.made_once(f"deep-perceptron-{width}.pth", make)
