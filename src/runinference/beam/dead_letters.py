"""Elements that failed, in an output of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.transforms.window import BoundedWindow

from runinference.prediction import Failure

MAIN = "good"
FAILED = "bad"
COUNTS = "counts"

Reason = tuple[type[BaseException], str, list[str]]
"""Class of the exception, its `repr`, and the lines of its traceback."""


class RunInferenceDLQ(NamedTuple):
    """The elements that failed, by the step in which they did.

    Attributes:
        failed_inferences: A PCollection of `(element, (class of the exception, its repr, lines of its traceback))`,
            one for each element that failed and for no other. With `per_batch=True` the first is a list of
            all elements of a batch that failed alike.
        failed_preprocessing: For each preprocessing function, in the order in which they run, a PCollection of
            `(element, reason)` with the same reason.
        failed_postprocessing: The same for each postprocessing function, with the prediction that it was given.
    """

    failed_inferences: pvalue.PCollection
    failed_preprocessing: list[pvalue.PCollection]
    failed_postprocessing: list[pvalue.PCollection]


@dataclass(frozen=True)
class Catching:
    """Which failures become dead letters, and how.

    Attributes:
        exc_class: The exceptions that do; others fail the bundle.
        use_subprocess: Run the model in a process of its own.
        threshold: The largest share of elements that may fail.
        timeout_s: Longest time for a batch, and for each pre- and postprocessing of an element, in seconds.
        per_batch: One dead letter for all elements of a batch that failed alike.
    """

    exc_class: type[BaseException] | tuple[type[BaseException], ...]
    use_subprocess: bool
    threshold: float
    timeout_s: float | None
    per_batch: bool

    def of_step(self) -> dict[str, Any]:
        """The same for Beam's own steps."""
        return {
            "exc_class": self.exc_class,
            "use_subprocess": self.use_subprocess,
            "threshold": self.threshold,
            "timeout": self.timeout_s,
        }


def reason(failure: Failure) -> Reason:
    """Why an element failed, in the form that Beam gives it."""
    error = failure.error
    if error is None:
        return RuntimeError, f"{failure.error_type}({failure.message!r})", failure.traceback.splitlines(keepends=True)
    return type(error), repr(error), failure.traceback.splitlines(keepends=True)


class CheckThreshold(beam.PTransform):
    """Fails the pipeline if too many elements of a window have failed.

    Takes `(failed, all)` of each bundle and window.

    Args:
        threshold: The largest share that may fail.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self._threshold = threshold

    def expand(self, counts: pvalue.PCollection) -> pvalue.PCollection:
        """Adds up and compares."""
        return (
            counts
            | "Add" >> beam.CombineGlobally(_sum).without_defaults()
            | "Compare" >> beam.Map(_compare, self._threshold)
        )


def _sum(counts: Any) -> tuple[int, int]:
    failed = total = 0
    for each_failed, each_total in counts:
        failed, total = failed + each_failed, total + each_total
    return failed, total


def _compare(counts: tuple[int, int], threshold: float, window: BoundedWindow = beam.DoFn.WindowParam) -> None:
    failed, total = counts
    if failed > total * threshold:
        raise ValueError(
            f"The number of failing elements within the window {window} exceeded threshold: "
            f"{failed:,} / {total:,} = {failed / total:.3g} > {threshold}"
        )
