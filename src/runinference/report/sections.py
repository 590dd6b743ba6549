"""The sections of the page that are words and tables."""

from __future__ import annotations

from collections.abc import Iterator

from runinference.metrics import METRICS, MetricSpec, MetricsSnapshot
from runinference.metrics.bottleneck import verdict
from runinference.metrics.snapshot import human
from runinference.report.failures import FailureGroup
from runinference.report.markup import definitions, escaped, section, table
from runinference.report.summary import RunSummary

_MOST_MODELS = 50
_STATISTICS = {"MEAN": "mean", "P50": "p50", "P95": "p95", "P99": "p99", "MAX": "max"}


def error(summary: RunSummary) -> str:
    """Why the run did not reach its end."""
    if summary.error is None:
        return ""
    trace = summary.error.traceback
    more = f"<details><summary>Where</summary><pre>{escaped(trace)}</pre></details>" if trace else ""
    said = f"<p><code>{escaped(summary.error.error_type)}</code></p><pre>{escaped(summary.error.message)}</pre>"
    note = "<p>What follows was measured until then.</p>"
    return section("The run did not reach its end", said, more, note, css="error")


def headline_figures(summary: RunSummary) -> str:
    """The few numbers that everybody looks for."""
    rows, times, gauges = summary.done + summary.failed, summary.times, summary.metrics.gauges
    share = f"{_share(summary.failed / rows)} of {rows:,}" if summary.failed else f"of {rows:,}"
    rate = rows / times.elapsed if times.elapsed else 0.0
    throughput = float(gauges.get("throughput_rows_per_sec", 0))
    tiles = [
        ("Rows predicted", f"{summary.done:,}", ""),
        ("Rows per second", _number(rate), f"{_number(throughput)} once it ran" if throughput else ""),
        ("Failed rows", f"{summary.failed:,}", share),
        ("Duration", human(times.elapsed, "s"), f"{human(times.running, 's')} running" if times.model else ""),
        ("Model load", human(times.loading, "s") if times.loading else "–", _model_size(summary.metrics)),
    ]
    if summary.peak_bytes is not None:
        tiles.append(("Peak memory", human(summary.peak_bytes, "bytes"), "of this process"))
    tiles += _device(summary.metrics)
    cells = [
        f'<div class="tile{" bad" if name == "Failed rows" and summary.failed else ""}">'
        f"<span>{escaped(name)}</span><b>{escaped(value)}</b><small>{escaped(note)}</small></div>"
        for name, value, note in tiles
    ]
    return f'<div class="tiles">{"".join(cells)}</div>'


def _device(metrics: MetricsSnapshot) -> Iterator[tuple[str, str, str]]:
    busy = metrics.distributions["device_utilization_percent"]
    if busy.mean is not None:
        yield "Device busy", human(round(busy.mean), "%"), f"on average; {human(round(busy.max or 0), '%')} at most"
    # What the driver tells, or what PyTorch does, which does not know of the memory that others use.
    most = metrics.distributions["device_memory_used_bytes"].max or metrics.gauges.get("peak_device_memory_bytes")
    if most is not None:
        yield "Device memory", human(most, "bytes"), "at most"


def time(summary: RunSummary) -> str:
    """What held the run up, and how long each stage took."""
    times = summary.times
    found = verdict(times)
    words = f'<p class="verdict">{escaped(found.headline)}</p><p>{escaped(found.advice)}</p>'
    rows = []
    for name, seconds in times.stages().items():
        share = min(1.0, seconds / times.elapsed) if times.elapsed else 0.0
        bar = f'<span class="bar"><i class="{"model" if name == "Model" else ""}" style="width:{share:.1%}"></i></span>'
        rows.append((escaped(name), bar, escaped(human(seconds, "s")), escaped(f"{share:.0%}".replace("%", " %"))))
    bars = table((), rows, "bars") if rows else ""
    note = "Shares of the whole run. Stages that run side by side add up to more than all of it"
    if times.lanes > 1:
        note += f"; the model's time is the mean of {times.lanes} that run side by side"
    if times.workers > 1:
        note += f"; pre- and post-processing are shared by {times.workers} threads"
    return section("Where the time went", words, bars, f'<p class="note">{note}.</p>' if rows else "")


def failures(summary: RunSummary) -> str:
    """The rows that were set aside, by reason."""
    groups = "".join(_group(group, summary.failed) for group in summary.failures)
    if not groups and summary.failed:
        groups = "<p>Their reasons were not recorded.</p>"
    return section("Failed rows by reason", groups)


def _group(group: FailureGroup, failed: int) -> str:
    shown = [
        f"<li><span>row {row.index:,}{'' if row.key is None else f' · {escaped(row.key)}'}</span>"
        f"<code>{escaped(row.example)}</code>"
        f"{f'<small>{escaped(row.message)}</small>' if '…' in group.reason or not group.reason else ''}</li>"
        for row in group.rows
    ]
    more = group.count - len(group.rows)
    rest = f"<li><small>and {more:,} more</small></li>" if more > 0 else ""
    trace = f"<details><summary>Traceback of the first</summary><pre>{escaped(group.traceback)}</pre></details>"
    where = " · ".join(escaped(part) for part in (group.stage, group.error_type) if part)
    return (
        f'<article class="group"><h3><b>{group.count:,}</b> {escaped(group.reason or "several messages")}</h3>'
        f"<p>{where} · {escaped(human(group.count / max(failed, group.count), 'ratio'))} of the failed rows</p>"
        f"<ul>{''.join(shown)}{rest}</ul>{trace if group.traceback else ''}</article>"
    )


def batching(summary: RunSummary) -> str:
    """The batch size that was settled on, and why."""
    gauges = summary.metrics.gauges
    names = ("tuned_batch_size", "tuned_batch_tokens", "batch_size_reason", "execution_mode")
    pairs = [(METRICS[name].label, human(gauges[name], METRICS[name].unit)) for name in names if name in gauges]
    counters = [spec for spec in METRICS.values() if spec.name.startswith("batches_flushed_")]
    pairs += [(spec.label, human(count, spec.unit)) for spec in counters if (count := _count(summary, spec))]
    return definitions([(name.capitalize(), value) for name, value in pairs]) if pairs else ""


def _count(summary: RunSummary, spec: MetricSpec) -> int:
    return summary.metrics.counters.get(spec.name, 0)


def models(summary: RunSummary) -> str:
    """A line for each of several models."""
    parts = list(summary.metrics.parts.items())
    if not parts:
        return ""
    rows = [[f"<code>{escaped(name)}</code>", *map(escaped, _model(part))] for name, part in parts[:_MOST_MODELS]]
    more = len(parts) - len(rows)
    head = ("Model", "Rows", "Calls", "Rows per batch", "Batch latency", "Loads")
    return section("Models", table(head, rows, "numbers"), f"<p>and {more:,} more</p>" if more else "")


def _model(part: MetricsSnapshot) -> Iterator[str]:
    yield f"{part.counters['num_inferences']:,}"
    yield f"{part.counters['inference_calls']:,}"
    yield _number(part.distributions["batch_size"].mean or 0)
    yield human(part.distributions["inference_batch_latency_micro_secs"].mean or 0, "µs")
    yield f"{part.distributions['load_model_latency_milli_secs'].count:,}"


def what_ran(summary: RunSummary) -> str:
    """The options, the machine and the versions."""
    run = summary.run
    machine = {"Machine": run.host, "Cores": run.cores, "Device": run.device, "Engine": run.engine}
    machine |= {"Commit": run.commit} if run.commit else {}
    machine |= {"Job": run.job_id} if run.job_id else {}
    columns = [
        ("Options", [(name, str(value)) for name, value in run.options.items()]),
        ("Environment", [(name, str(value)) for name, value in machine.items()]),
        ("Versions", list(run.versions.items())),
    ]
    cells = "".join(f"<div><h3>{name}</h3>{definitions(pairs)}</div>" for name, pairs in columns if pairs)
    return section("What ran", f'<div class="columns">{cells}</div>')


def all_metrics(summary: RunSummary) -> str:
    """Every metric with its value and its definition."""
    groups: dict[str, list[list[str]]] = {}
    flat = summary.metrics.to_dict()
    for spec in METRICS.values():
        values = _values(f"{summary.metrics.prefix}{spec.name}", spec, flat)
        name = f"<b>{escaped((spec.label or spec.name.replace('_', ' ')).capitalize())}</b><code>{spec.name}</code>"
        groups.setdefault(spec.group, []).append([name, values, escaped(spec.help)])
    tables = [f"<h3>{escaped(name.capitalize())}</h3>{table((), rows, 'metrics')}" for name, rows in groups.items()]
    return section("All metrics", *tables)


def _values(name: str, spec: MetricSpec, flat: dict[str, float | int | str]) -> str:
    if spec.kind != "distribution":
        return escaped(human(flat[name], spec.unit)) if name in flat else "–"
    if not flat.get(f"{name}_COUNT"):
        return "–"
    shown = {label: flat[f"{name}_{key}"] for key, label in _STATISTICS.items() if f"{name}_{key}" in flat}
    texts = {"count": f"{flat[f'{name}_COUNT']:,}"} | {label: human(value, spec.unit) for label, value in shown.items()}
    cells = "".join(f"<span><small>{label}</small> {escaped(text)}</span>" for label, text in texts.items())
    return f'<div class="statistics">{cells}</div>'


def _model_size(metrics: MetricsSnapshot) -> str:
    size = metrics.distributions["model_byte_size"].max
    return f"{human(size, 'bytes')} large" if size else ""


def _share(share: float) -> str:
    return human(share, "ratio") if share >= 0.001 else "under 0.1 %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
