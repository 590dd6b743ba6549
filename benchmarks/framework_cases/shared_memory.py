"""Memory of four processes that each load a BERT-large of 1.3 GB and predict one sentence, at the same time.

Counted is what they hold proportionally (PSS: a page that four processes map counts a quarter for each), minus that of
four processes with a tiny model, which is what Python and the libraries take, divided by the size of the weights. One
copy for all is 1, a copy for each is 4. Nobody else may have the file mapped meanwhile: they would count as sharing it.
"""

from __future__ import annotations

from functools import partial
from statistics import median

from harness import beam, child
from harness.measure import alternate
from harness.proportional import proportional_bytes
from harness.result import Result, Settings
from harness.transformer_models import bert_file

_PROCESSES = 4
_TARGET = 1.2


def run(settings: Settings) -> list[Result]:
    """In sizes of the weights."""
    name = "shared_memory: 4 processes, ours and Beam's handler"
    size = "base" if settings.quick else "large"
    weights = bert_file(size).stat().st_size
    kinds = ["ours", "beam"] if beam.installed() else ["ours"]
    samples = alternate({kind: partial(_copies, kind, size, weights) for kind in kinds}, settings.repeat)
    return [
        Result(
            name,
            ours=median(samples["ours"]),
            peer=median(samples["beam"]) if "beam" in samples else None,
            unit="x weights",
            values=samples["ours"],
            target=_TARGET,
            at_least=False,
            note=f"weights of {weights / 1e6:,.0f} MB",
            samples=samples,
        )
    ]


def _copies(kind: str, size: str, weights: int) -> float:
    large, tiny = (
        proportional_bytes(child.PROGRAMS / "torch_load.py", [kind, each, str(bert_file(each)), "--wait"], _PROCESSES)
        for each in (size, "tiny")
    )
    return (large - tiny) / weights
