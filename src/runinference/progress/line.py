"""Progress as one line of text."""

from __future__ import annotations

import math
from typing import Final

from runinference.progress.meter import ProgressMeter

_IN_FLIGHT_AFTER_S: Final = 5.0
_BAR_WIDTH: Final = 20
_SHORTEST_BAR: Final = 5


def format_line(meter: ProgressMeter, width: int | None = None) -> str:
    """The state of `meter` as one line of text, without colours.

    Args:
        meter: What to show.
        width: Columns that there are; the bar shrinks, then the line is cut. `None` sets no limit.

    Example:
        >>> meter = ProgressMeter(total=2745)
        >>> meter.update(done=1233, failed=1, now=10.0)
        >>> format_line(meter)
        '45% ━━━━━━━━╸─────────── 1,234/2,745 rows · 123 rows/s · ETA 0:12 · 1 failed'
    """
    rows = meter.done + meter.failed
    parts = [f"{rows:,}/{meter.total:,} rows" if meter.total is not None else f"{rows:,} rows"]
    if meter.rate > 0:
        parts.append(_per_second(meter.rate))
    if meter.complete:
        parts.append(f"took {_clock_time(meter.elapsed_s)}")
    elif meter.eta_s is not None:
        parts.append(f"ETA {_clock_time(meter.eta_s)}")
    elif meter.total is None:
        parts.append(f"elapsed {_clock_time(meter.elapsed_s)}")
    if meter.failed:
        parts.append(f"{meter.failed:,} failed")
    if not meter.complete and meter.in_flight_s is not None and meter.in_flight_s > _IN_FLIGHT_AFTER_S:
        parts.append(f"batch in flight {meter.in_flight_s:.0f} s")
    text = " · ".join(parts)
    if meter.total is not None:
        share = rows / meter.total if meter.total else 1.0
        # 100 % is for the last row, not for 99.6 % of them.
        percent = 100 if rows == meter.total else min(round(share * 100), 99)
        room = _BAR_WIDTH if width is None else min(_BAR_WIDTH, width - len(f"{percent}%  {text}"))
        bar = f"{_bar(share, room)} " if room >= _SHORTEST_BAR else ""
        text = f"{percent}% {bar}{text}"
    return text if width is None or len(text) <= width else text[: max(0, width - 1)] + "…"


def _bar(share: float, width: int) -> str:
    halves = int(share * width * 2)
    bar = "━" * (halves // 2) + "╸" * (halves % 2)
    return bar + "─" * (width - len(bar))


def _per_second(rate: float) -> str:
    return f"{rate:,.0f} rows/s" if rate >= 10 else f"{rate:.2g} rows/s"


def _clock_time(seconds: float) -> str:
    """`0:03`, `12:40` or `1:02:03`."""
    minutes, rest = divmod(math.ceil(seconds - 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
