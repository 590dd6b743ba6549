"""What a benchmark found, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from runinference.benchmarks.cost import format_money
from runinference.benchmarks.engines import PEER
from runinference.metrics.snapshot import human

if TYPE_CHECKING:
    from runinference.benchmarks.suite import Outcome
    from runinference.metrics.history import Run

_LATENCY = "inference_batch_latency_micro_secs_P95"
_LOAD = "load_model_latency_milli_secs_MEAN"
_HEAD = ("", "run time", "spread", "elements/s", "p95 of a batch", "load", "memory", "per million")


def table(outcome: Outcome) -> str:
    """The engines of a benchmark, a line for each, and how many times faster they are than Beam's own transform."""
    settings = outcome.request.settings
    rows = [_row(run) for run in outcome.runs]
    widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [_HEAD, *rows]
    ]
    what = f"{outcome.request.benchmark.title}, {settings.model}: {settings.examples:,} elements on {settings.device}"
    return "\n".join([what, *(line.rstrip() for line in lines), *_ratios(outcome.runs), *_ends(outcome.runs), ""])


def _row(run: Run) -> tuple[str, ...]:
    seconds = run.samples["JobRuntimeSeconds"]
    rate = run.value("AvgThroughputElements")
    cost = run.value("estimated_cost_per_million")
    return (
        run.info.engine,
        human(median(seconds), "s"),
        f"{human(min(seconds), 's')}–{human(max(seconds), 's')}",
        "–" if rate is None else _rate(rate),
        _shown(run, _LATENCY, "µs"),
        _shown(run, _LOAD, "ms"),
        _shown(run, "peak_memory_bytes", "bytes"),
        "–" if cost is None else f"${format_money(cost)}",
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _shown(run: Run, metric: str, unit: str) -> str:
    value = run.value(metric)
    return "–" if value is None else human(value, unit)


def _ratios(runs: Sequence[Run]) -> list[str]:
    """How many times faster than the peer, round by round."""
    peer = next((run for run in runs if run.info.engine == PEER), None)
    if peer is None:
        return []
    lines = []
    for run in runs:
        if run is not peer:
            theirs, ours = peer.samples["JobRuntimeSeconds"], run.samples["JobRuntimeSeconds"]
            ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
            lines.append(
                f"{run.info.engine} is {median(ratios):.2f} times as fast as Beam's RunInference "
                f"({min(ratios):.2f}–{max(ratios):.2f})"
            )
    return lines


def _ends(runs: Sequence[Run]) -> list[str]:
    """What else should be known: elements that failed, and how near to the device's limit each engine is."""
    shares = [(run.info.engine, share) for run in runs if (share := run.value("peak_share")) is not None]
    told = ", ".join(f"{engine} {100 * share:.2g} %" for engine, share in shares)
    failed = [
        f"{run.info.engine} set {count:,.0f} elements aside" for run in runs if (count := run.value("failed_elements"))
    ]
    return [*failed, *([f"Of the device's limit: {told}"] if told else [])]
