"""The page from the value."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from string import Template

from runinference import __version__
from runinference.metrics.snapshot import human
from runinference.report import charts, sections
from runinference.report.histogram import ranges, single_values
from runinference.report.markup import escaped, section
from runinference.report.summary import RunSummary


def page(summary: RunSummary) -> str:
    """The whole page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    state, word = _state(summary)
    folder = files("runinference.report")
    body = [
        sections.error(summary),
        sections.headline_figures(summary),
        sections.time(summary),
        sections.failures(summary),
        _throughput(summary),
        _batches(summary),
        sections.models(summary),
        sections.what_ran(summary),
        sections.all_metrics(summary),
    ]
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        title=escaped(summary.run.name),
        style=(folder / "page.css").read_text("utf-8"),
        state=state,
        word=escaped(word),
        subtitle=_subtitle(summary),
        body="\n".join(part for part in body if part),
        version=escaped(__version__),
        test_id=escaped(summary.run.test_id),
    )


def _state(summary: RunSummary) -> tuple[str, str]:
    """The class of the badge and its words."""
    if summary.error is not None:
        return "bad", "Stopped" if summary.error.error_type == "Interrupted" else "Failed"
    if summary.failed and not summary.done:
        return "bad", "All rows failed"
    return ("warn", f"Done, {human(summary.failed, 'rows')} failed") if summary.failed else ("good", "Done")


def _subtitle(summary: RunSummary) -> str:
    run = summary.run
    started = datetime.fromtimestamp(run.started, UTC)
    when = f'<time datetime="{started.isoformat()}">{started:%Y-%m-%d %H:%M} UTC</time>'
    return f"{when} · took {escaped(human(summary.times.elapsed, 's'))} · on {escaped(run.host)}"


def _throughput(summary: RunSummary) -> str:
    legend = "rows with a prediction <i></i>, average <i class='dashed'></i>"
    failed = ", failed rows <i class='failed'></i>" if summary.failed else ""
    points, lanes = summary.points, summary.times.lanes
    sizes = {"wide": charts.WIDE, "narrow": charts.NARROW}
    rows = [charts.throughput(points, size, name) for name, size in sizes.items()]
    if not all(rows):
        return section("Throughput", '<p class="note">The run was too short for curves.</p>' if summary.done else "")
    busy = [charts.model_busy(points, lanes, (width, charts.LOW), f"{name}-busy") for name, (width, _) in sizes.items()]
    return section(
        "Throughput",
        _figure("Rows per second", legend + failed, rows),
        _figure("Model busy", "share of the time in which it ran", busy),
    )


def _batches(summary: RunSummary) -> str:
    distributions = summary.metrics.distributions
    sizes = distributions["batch_size"]
    latencies = distributions["inference_batch_latency_micro_secs"]
    size_chart = charts.distribution(single_values(sizes), "rows", "sizes", "How many batches had which size")
    latency_chart = charts.distribution(ranges(latencies), "µs", "latencies", "How many batches took how long")
    note = f"{_middle(latencies.quantile(0.5), 'µs')}, 99 % within {human(latencies.quantile(0.99) or 0.0, 'µs')}"
    pair = [
        _figure("Batches by rows", _middle(sizes.quantile(0.5), "rows"), [size_chart]),
        _figure("Batches by time", note, [latency_chart]),
    ]
    figures = f'<div class="pair">{"".join(pair)}</div>' if any(pair) else ""
    return section("Batches", figures, sections.batching(summary))


def _middle(value: float | None, unit: str) -> str:
    return f"half at most {escaped(human(value or 0.0, unit))}"


def _figure(title: str, note: str, drawn: list[str | None]) -> str:
    """A figure with its caption; none where nothing was drawn."""
    if not all(drawn):
        return ""
    caption = f"<figcaption><b>{title}</b> <span>{note}</span></figcaption>"
    return f"<figure>{caption}{''.join(filter(None, drawn))}</figure>"
