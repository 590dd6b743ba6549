"""A page about one run: what ran, how fast, what held it up, what failed."""

from __future__ import annotations

from runinference.report.recording import Recording
from runinference.report.summary import RunSummary
from runinference.report.write import write_report

__all__ = ["Recording", "RunSummary", "write_report"]
