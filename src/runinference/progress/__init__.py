"""The progress of a job in input rows, shown honestly."""

from __future__ import annotations

from runinference.progress.line import format_line
from runinference.progress.meter import ProgressMeter
from runinference.progress.reporter import ProgressReporter

__all__ = ["ProgressMeter", "ProgressReporter", "format_line"]
