"""One file for each comparison; the order here is the order of the table."""

from __future__ import annotations

from cases import engine_overhead, memory, metrics_overhead, overlap, startup, submit, table_job
from harness.command import Case

CASES: dict[str, Case] = {
    "engine_overhead": engine_overhead.run,
    "table_job": table_job.run,
    "submit": submit.run,
    "memory": memory.run,
    "startup": startup.run,
    "overlap": overlap.run,
    "metrics_overhead": metrics_overhead.run,
}
