"""Where the time of a run went, and what held it up, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from runinference.metrics.snapshot import MetricsSnapshot

_MOSTLY: Final = 0.5
_BUSY: Final = 0.8
_NOTABLE: Final = 0.2

_ADVICE = {
    "Reading": "use a faster disk, a format that is quick to read, such as Parquet, or fewer columns.",
    "Pre-processing": "add workers, or take work out of it.",
    "Post-processing": "add workers, or take work out of it.",
    "Writing": "use a faster disk, or a format that is quick to write, such as Parquet.",
    "Taking the results": "do less between two results.",
}


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds that each stage took. Stages that run side by side add up to more than the run.

    Attributes:
        elapsed: From the start of the run to its end.
        running: Since the first batch; so without loading the model.
        loading: Loading the model.
        reading: Getting rows from the input; `None` where that was not measured.
        preprocess: Pre-processing, over all threads.
        model: Running the model, over all copies.
        postprocess: Post-processing, over all threads.
        writing: Writing results; `None` where that was not measured.
        taking: What who takes the results did between two of them; `None` where that was not measured.
        copies: How many copies of the model, or models, may run at the same time.
        workers: How many threads pre- and post-process at the same time.
        device: The share of the time in which the device of the model computed, from 0 to 1; `None` where that was not
            measured.
    """

    elapsed: float
    running: float
    loading: float = 0.0
    reading: float | None = None
    preprocess: float = 0.0
    model: float = 0.0
    postprocess: float = 0.0
    writing: float | None = None
    taking: float | None = None
    copies: int = 1
    workers: int = 1
    device: float | None = None

    @property
    def lanes(self) -> int:
        """How many models ran at the same time at least; what was timed may show more than is known."""
        return self._side_by_side(self.model, self.copies)

    @property
    def busy(self) -> float:
        """The share of the time since the first batch in which a copy of the model ran, from 0 to 1."""
        return min(1.0, self.model / self.running / self.lanes) if self.running > 0 else 0.0

    def stages(self) -> dict[str, float]:
        """The seconds of each stage by its name, in the order in which a row passes them.

        Of the model they are those of one copy, and of pre- and post-processing those of one thread.
        """
        times = {
            "Loading the model": self.loading,
            "Reading": self.reading,
            "Pre-processing": self.preprocess / self._side_by_side(self.preprocess, self.workers),
            "Model": self.model / self.lanes,
            "Post-processing": self.postprocess / self._side_by_side(self.postprocess, self.workers),
            "Writing": self.writing,
            "Taking the results": self.taking,
        }
        return {name: seconds for name, seconds in times.items() if seconds}

    def _side_by_side(self, seconds: float, known: int) -> int:
        return max(known, math.ceil(seconds / self.running - 0.05)) if self.running > 0 else known


@dataclass(frozen=True, slots=True)
class Verdict:
    """What held a run up.

    Attributes:
        headline: In one short sentence.
        advice: What to do about it.
    """

    headline: str
    advice: str

    def __str__(self) -> str:
        return f"{self.headline} {self.advice}"


def device_share(metrics: MetricsSnapshot) -> float | None:
    """The share of the time in which the devices computed, from 0 to 1; `None` where that was not measured."""
    mean = metrics.distributions["device_utilization_percent"].mean
    return None if mean is None else mean / 100


def verdict(times: StageTimes) -> Verdict:
    """What held a run up, and what to do about it."""
    if not times.model:
        return Verdict("The model was never run.", "No row reached it.")
    if times.elapsed and times.loading >= (_NOTABLE if times.loading >= times.running else _MOSTLY) * times.elapsed:
        return Verdict(
            f"Loading the model took {_percent(times.loading / times.elapsed)} of the time.",
            "It is loaded once, however many rows there are.",
        )
    headline = f"The model was busy {_percent(times.busy)} of the time."
    if times.busy >= _BUSY:
        return Verdict(headline, _faster(times.device))
    others = {name: seconds for name, seconds in times.stages().items() if name in _ADVICE}
    slowest = max(others, key=others.__getitem__, default="")
    share = min(1.0, others[slowest] / times.running) if others else 0.0
    if share >= _NOTABLE:
        return Verdict(headline, f"{slowest} took {_percent(share)} of it: {_ADVICE[slowest]}")
    if times.reading is None:
        return Verdict(headline, "It waited for whoever makes the rows or takes the results, which was not measured.")
    return Verdict(headline, "No other stage took long; the rest passed in between.")


def _faster(device: float | None) -> str:
    if device is not None and device < _MOSTLY:
        return f"Its device computed only {_percent(device)} of it: larger batches or more copies may help."
    return "Only a faster model helps: a faster device, lower precision, more copies."


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
