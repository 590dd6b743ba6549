"""One file for each comparison with another system."""

from __future__ import annotations

from harness.command import Case
from peer_cases import parquet, rows

CASES: dict[str, Case] = {"rows": rows.run, "parquet": parquet.run}
