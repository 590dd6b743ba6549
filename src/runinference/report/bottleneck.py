"""Where the time of a run went, and what held it up, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_MOSTLY: Final = 0.5
_BUSY: Final = 0.8
_NOTABLE: Final = 0.2

_ADVICE = {
    "Reading": "Read from a faster disk, from a format that is quick to read, such as Parquet, or fewer columns.",
    "Pre-processing": "Add workers (--workers), or take work out of the pre-processing.",
    "Post-processing": "Add workers (--workers), or take work out of the post-processing.",
    "Writing": "Write to a faster disk, or to a format that is quick to write, such as Parquet.",
}


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds that each stage took. Stages that run side by side add up to more than the run.

    Attributes:
        elapsed: From the start of the run to its end.
        running: Since the first batch; so without loading the model.
        loading: Loading the model.
        reading: Getting rows from the input; `None` where that was not measured.
        preprocess: Pre-processing.
        model: Running the model, over all copies.
        postprocess: Post-processing.
        writing: Writing results; `None` where that was not measured.
        copies: How many copies of the model, or models, may run at the same time.
    """

    elapsed: float
    running: float
    loading: float = 0.0
    reading: float | None = None
    preprocess: float = 0.0
    model: float = 0.0
    postprocess: float = 0.0
    writing: float | None = None
    copies: int = 1

    @property
    def lanes(self) -> int:
        """How many models ran at the same time at least; what was timed may show more than is known."""
        return max(self.copies, math.ceil(self.model / self.running - 0.05)) if self.running > 0 else self.copies

    @property
    def busy(self) -> float:
        """The share of the time since the first batch in which a copy of the model ran, from 0 to 1."""
        return min(1.0, self.model / self.running / self.lanes) if self.running > 0 else 0.0

    def stages(self) -> dict[str, float]:
        """The seconds of each stage by its name, in the order in which a row passes them; of the model, per copy."""
        times = {
            "Loading the model": self.loading,
            "Reading": self.reading,
            "Pre-processing": self.preprocess,
            "Model": self.model / self.lanes,
            "Post-processing": self.postprocess,
            "Writing": self.writing,
        }
        return {name: seconds for name, seconds in times.items() if seconds}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What held a run up.

    Attributes:
        headline: In one short sentence.
        advice: What to do about it.
    """

    headline: str
    advice: str


def verdict(times: StageTimes) -> Verdict:
    """What held a run up, and what to do about it."""
    if not times.model:
        return Verdict("The model was never run.", "No row reached it.")
    if times.elapsed and times.loading >= _MOSTLY * times.elapsed:
        return Verdict(
            f"Loading the model took {_percent(times.loading / times.elapsed)} of the time.",
            "It is loaded once, however many rows there are; a longer run has more of it.",
        )
    if times.busy >= _BUSY:
        return Verdict(
            f"The model was busy {_percent(times.busy)} of the time.",
            "The rest keeps up with it. Only a faster model helps: a faster device, lower precision, more copies.",
        )
    headline = f"The model was busy {_percent(times.busy)} of the time and waited {_percent(1 - times.busy)}."
    others = {name: seconds for name, seconds in times.stages().items() if name in _ADVICE}
    slowest = max(others, key=others.__getitem__, default="")
    share = min(1.0, others[slowest] / times.running) if others else 0.0
    if share >= _NOTABLE:
        cause = f"{slowest} took {_percent(share)} of it" if slowest != "Reading" else f"Reading took {_percent(share)}"
        return Verdict(headline, f"{cause}. {_ADVICE[slowest]}")
    if times.reading is None:
        return Verdict(headline, "It waited for whoever makes the rows or takes the results, which was not measured.")
    return Verdict(headline, "No other stage took long; the rest went into forming batches and passing rows on.")


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
