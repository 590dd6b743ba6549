"""Results as a table for a page in Markdown: ours beside Beam's own RunInference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from runinference.benchmarks.engines import PEER
from runinference.metrics.history import Run

_HEAD = ("Benchmark", "Elements", "Ours, elements/s", "× Beam's RunInference", "Ours on Beam, ×", "Loading, ×")
_PACKAGES = ("python", "torch", "transformers", "apache-beam")


def results_table(runs: Sequence[Run]) -> str:
    """A line for each benchmark and model that ran on the embedded engine and with Beam's own transform.

    Ratios are of run times, and of the times to load the model, round by round: their median, smallest and largest.

    Args:
        runs: Of one machine.
    """
    rows = [_HEAD, ("---", "--:", "--:", "--:", "--:", "--:"), *_rows(runs)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def machine_line(runs: Sequence[Run]) -> str:
    """The machine, the versions and the commit, in one line.

    Args:
        runs: Of one machine; at least one.
    """
    info = runs[0].info
    versions = {name: version for run in runs for name, version in run.info.versions.items()}
    parts = [f"{info.processor}, {info.cores} cores, {round((info.memory_bytes or 0) / 2**30)} GiB"]
    parts += [f"{name} {versions[name]}" for name in _PACKAGES if name in versions]
    parts += [f"commit {info.commit[:7]}"] if info.commit else []
    return ", ".join(parts)


def _rows(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    for engines in _together(runs):
        ours, on_beam, peer = (engines.get(name) for name in ("embedded", "beam", PEER))
        if ours is None or peer is None or ours.work is None or _is_of_loads(ours):
            continue
        yield (
            f"`{ours.info.name}` {ours.work['model']}",
            f"{ours.work['examples']:,}",
            _figure(ours.value("AvgThroughputElements") or 0.0),
            _ratio(ours, peer, "JobRuntimeSeconds"),
            "" if on_beam is None else _ratio(on_beam, peer, "JobRuntimeSeconds"),
            _ratio(ours, peer, "load_model_latency_milli_secs_MEAN"),
        )


def _is_of_loads(run: Run) -> bool:
    """Whether elements came at the rates that were asked for, so that the run time says nothing."""
    return any(metric.startswith("latency_p") for metric in run.samples)


def _together(runs: Sequence[Run]) -> Iterator[Mapping[str, Run]]:
    """The engines of each session by their names."""
    sessions: dict[str, dict[str, Run]] = {}
    for run in runs:
        sessions.setdefault(run.session, {})[run.info.engine] = run
    yield from sessions.values()


def _ratio(ours: Run, peer: Run, metric: str) -> str:
    """How many times the figure of the peer is ours, round by round."""
    pairs = zip(peer.samples.get(metric, ()), ours.samples.get(metric, ()), strict=True)
    ratios = [theirs / mine for theirs, mine in pairs if mine > 0 and theirs > 0]
    return f"{_figure(median(ratios))} ({_figure(min(ratios))}–{_figure(max(ratios))})" if ratios else ""


def _figure(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"
