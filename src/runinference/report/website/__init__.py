"""Pages about all runs of benchmarks that are stored: how fast they are, and whether they got slower."""

from __future__ import annotations

from runinference.report.website.case import Case
from runinference.report.website.site import write_site

__all__ = ["Case", "write_site"]
