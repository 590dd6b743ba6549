"""What a running job does, on the terminal: how fast it is, its batches, where the time goes, what fails."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runinference.metrics.bottleneck import verdict
from runinference.metrics.snapshot import human
from runinference.packages import require
from runinference.progress.line import format_line
from runinference.progress.meter import ProgressMeter

if TYPE_CHECKING:
    from runinference.report import Recording, RunSummary

_REFRESHES_PER_SECOND = 4
_BAR = 24
_REASONS = 3


class LiveView:
    """Draws the state of a job again and again, from a thread of its own; the last state stays.

    Args:
        recording: Watches the job.
        total: Rows of the whole input; `None` where that is not known.
        console: Where to draw, as `rich.console.Console`; standard error by default.
    """

    def __init__(self, recording: Recording, total: int | None, console: Any = None) -> None:
        self._recording = recording
        self._meter = ProgressMeter(total, time.monotonic())
        self._counts = (0, 0)
        self._text = require("rich.text", "cli", "show a live view")
        self._table = require("rich.table", "cli", "show a live view")
        live = require("rich.live", "cli", "show a live view")
        self._console = console or require("rich.console", "cli", "show a live view").Console(stderr=True)
        self._live = live.Live(
            get_renderable=self._draw, console=self._console, refresh_per_second=_REFRESHES_PER_SECOND, transient=False
        )

    def update(self, done: int, failed: int) -> None:
        """Says how many rows are done and how many failed, in total."""
        self._counts = (done, failed)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._meter.finish(time.monotonic())
        self._live.stop()

    def _draw(self) -> Any:
        self._meter.update(*self._counts, time.monotonic())
        summary = self._recording.summary()
        grid = self._table.Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, text in _lines(summary):
            # As text, not as markup: reasons hold what rows hold.
            grid.add_row(name, self._text.Text(text))
        whole = self._table.Table.grid()
        whole.add_row(self._text.Text(format_line(self._meter, self._console.width)))
        whole.add_row(grid)
        return whole


def _lines(summary: RunSummary) -> list[tuple[str, str]]:
    """What is shown below the progress: a name and a text for each line."""
    lines = [("Batches", _batches(summary))]
    shares = summary.times.stages()
    for name, seconds in shares.items():
        share = min(1.0, seconds / summary.times.elapsed) if summary.times.elapsed else 0.0
        bar = "█" * round(_BAR * share)
        lines.append((name, f"{bar:<{_BAR}} {share:4.0%}".replace("%", " %")))
    lines.append(("", str(verdict(summary.times))))
    device = _device(summary)
    if device:
        lines.append(("Device", device))
    if summary.failed:
        lines.append(("Failures", human(summary.failed, "rows")))
        lines += [
            ("", f"{group.count:,} × {group.stage}: {group.error_type}: {group.reason}")
            for group in summary.failures[:_REASONS]
        ]
    return lines


def _device(summary: RunSummary) -> str:
    busy = summary.metrics.distributions["device_utilization_percent"]
    memory = summary.metrics.distributions["device_memory_used_bytes"]
    parts = [f"busy {human(round(busy.mean), '%')} on average"] if busy.mean is not None else []
    parts += [f"{human(memory.max, 'bytes')} of its memory in use at most"] if memory.max is not None else []
    return " · ".join(parts)


def _batches(summary: RunSummary) -> str:
    metrics = summary.metrics
    sizes = metrics.distributions["batch_size"]
    if not sizes.count:
        return "none yet"
    latency = metrics.distributions["inference_batch_latency_micro_secs"]
    waits = metrics.distributions["queue_wait_micro_secs"]
    parts = [f"{sizes.count:,} of {human(round(sizes.mean or 0), 'rows')} on average"]
    parts.append(f"{human(latency.mean or 0, 'µs')} each, p95 {human(latency.quantile(0.95) or 0, 'µs')}")
    if waits.count:
        parts.append(f"queue p95 {human(waits.quantile(0.95) or 0, 'µs')}")
    return " · ".join(parts)
