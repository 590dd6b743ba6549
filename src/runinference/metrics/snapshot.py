"""What was measured, as a value that no longer changes: a flat dict for programs, a table for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runinference.errors import closest
from runinference.metrics.distribution import Distribution
from runinference.metrics.table import METRICS, MetricSpec

Number = float | int

_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
_SHOWN = ("mean", "p50", "p95", "p99", "max")
_SINGULAR = {"batches": "batch", "calls": "call", "models": "model", "rows": "row", "tokens": "token"}
_SHOWN_OF_MODELS = ("batch_size", "inference_batch_latency_micro_secs", "load_model_latency_milli_secs")
_MOST_MODELS = 20
_QUANTILES = {"P50": 0.50, "P95": 0.95, "P99": 0.99}


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """The metrics at one moment.

    `print(snapshot)` shows a table; `snapshot.to_dict()` is flat and goes into JSON as it is.

    Attributes:
        counters: Every declared counter by name; 0 where nothing was counted.
        distributions: Every declared distribution by name.
        gauges: The gauges that were set.
        namespace: Whose metrics these are.
        prefix: Put before every name in `to_dict()`.
        parts: Where several models ran, the metrics of each by its name.
    """

    counters: Mapping[str, int]
    distributions: Mapping[str, Distribution]
    gauges: Mapping[str, Number | str]
    namespace: str = ""
    prefix: str = ""
    parts: Mapping[str, MetricsSnapshot] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Number | str]:
        """Flat `{name: value}`; a distribution gives `name_COUNT` and, when it is not 0, `_SUM` to `_P99`.

        Counters are always there, gauges when they were set. `total_inference_secs` and `padding_efficiency`
        follow from what was recorded, so that they stay right when recordings are merged. The metrics of one of
        several models are called `<model>-<name>`.
        """
        flat: dict[str, Number | str] = {}
        gauges = self._gauges()
        for name, spec in METRICS.items():
            if spec.kind == "counter":
                flat[name] = self.counters.get(name, 0)
            elif spec.kind == "distribution":
                statistics = _statistics(self.distributions.get(name) or Distribution())
                flat |= {f"{name}_{key}": value for key, value in statistics.items()}
            elif name in gauges:
                flat[name] = gauges[name]
        for model, part in self.parts.items():
            flat |= {f"{model}-{name}": value for name, value in part.to_dict().items()}
        return {f"{self.prefix}{name}": value for name, value in flat.items()}

    def __getitem__(self, flat_name: str) -> Number | str:
        """One value of `to_dict()`.

        Raises:
            KeyError: There is no such name, or it has no value yet.
        """
        flat = self.to_dict()
        if flat_name in flat:
            return flat[flat_name]
        raise KeyError(f"{flat_name!r} has no value.{closest(flat_name, flat)}")

    def __str__(self) -> str:
        gauges = self._gauges()
        groups: dict[str, list[list[str]]] = {}
        for name, spec in METRICS.items():
            if spec.kind == "distribution":
                cells = _cells(self.distributions.get(name) or Distribution(), spec)
            else:
                value = self.counters.get(name, 0) if spec.kind == "counter" else gauges.get(name, 0)
                cells = [human(value, spec.unit)] if value else []
            if cells and spec.label:
                groups.setdefault(spec.group, []).append([spec.label, *cells])
        lines = [*_lines(groups), *_models(self.parts)]
        return "\n".join(lines) if lines else "nothing was recorded"

    def _gauges(self) -> dict[str, Number | str]:
        gauges = dict(self.gauges)
        latency = self.distributions.get("inference_batch_latency_micro_secs")
        if latency is not None and latency.count:
            gauges["total_inference_secs"] = latency.sum * _SECONDS["µs"]
        if padded := self.counters.get("padded_tokens", 0):
            gauges["padding_efficiency"] = self.counters.get("real_tokens", 0) / padded
        return gauges


def human(value: Number | str, unit: str) -> str:
    """A value as people write it: `1.2 ms`, `3.4 MB`, `12,345 rows/s`, `98.0 %`.

    Args:
        value: The value; text is returned as it is.
        unit: The unit as `MetricSpec` has it.
    """
    if isinstance(value, str):
        return value
    if unit == "bytes":
        return _bytes(value)
    if unit in _SECONDS:
        return _duration(value * _SECONDS[unit])
    if unit == "ratio":
        return f"{value:.1%}".replace("%", " %")
    amount = _amount(value)
    return amount if unit == "text" else f"{amount} {_SINGULAR.get(unit, unit) if amount == '1' else unit}"


def _statistics(distribution: Distribution) -> dict[str, Number]:
    statistics: dict[str, Number] = {"COUNT": distribution.count}
    optional = {
        "SUM": distribution.sum if distribution.count else None,
        "MIN": distribution.min,
        "MAX": distribution.max,
        "MEAN": distribution.mean,
        **{key: distribution.quantile(q) for key, q in _QUANTILES.items()},
    }
    # A sum of huge values can overflow, and JSON has no word for infinity.
    return statistics | {key: value for key, value in optional.items() if value is not None and math.isfinite(value)}


def _cells(distribution: Distribution, spec: MetricSpec) -> list[str]:
    """What the text table shows of a distribution: one value where all are equal, else a cell for each heading."""
    if not distribution.count or not (distribution.max or distribution.min):
        return []
    statistics = _statistics(distribution)
    if distribution.min == distribution.max:
        times = f" (each of {distribution.count:,})" if distribution.count > 1 else ""
        return [human(statistics["MAX"], spec.unit) + times]
    return [human(statistics[key.upper()], spec.unit) if key.upper() in statistics else "" for key in _SHOWN]


def _models(parts: Mapping[str, MetricsSnapshot]) -> Iterator[str]:
    """A line for each of several models."""
    if not parts:
        return
    rows = [["Models", "rows", "calls", "rows per batch", "batch latency", "loads"]]
    for name, part in parts.items():
        sizes, latencies, loads = (part.distributions[each] for each in _SHOWN_OF_MODELS)
        rows.append(
            [
                f"  {name}",
                f"{part.counters['num_inferences']:,}",
                f"{part.counters['inference_calls']:,}",
                "" if sizes.mean is None else _amount(sizes.mean),
                "" if latencies.mean is None else human(latencies.mean, "µs"),
                f"{loads.count:,}",
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows[: _MOST_MODELS + 1]:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([f"{row[0]:<{widths[0]}}", *cells]).rstrip()
    if len(parts) > _MOST_MODELS:
        yield f"  … and {len(parts) - _MOST_MODELS:,} more"


def _lines(groups: Mapping[str, list[list[str]]]) -> Iterator[str]:
    if not groups:
        return
    label_width = max(len(row[0]) for rows in groups.values() for row in rows) + 2
    widths = [
        max([len(heading), *(len(row[column]) for rows in groups.values() for row in rows if len(row) > 2)])
        for column, heading in enumerate(_SHOWN, 1)
    ]
    for group, rows in groups.items():
        has_columns = any(len(row) > 2 for row in rows)
        headings = [f"{heading:>{width}}" for heading, width in zip(_SHOWN, widths, strict=True)] if has_columns else []
        yield "  ".join([f"{group.capitalize():<{label_width}}", *headings]).rstrip()
        for label, *cells in rows:
            aligned = (
                [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)] if len(cells) > 1 else cells
            )
            yield "  ".join([f"  {label:<{label_width - 2}}", *aligned])


def _amount(value: Number) -> str:
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _bytes(value: Number) -> str:
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        # Compared after rounding, so that 999,999 bytes are 1.0 MB and not 1000.0 kB.
        if round(abs(value) / factor, 1) >= 1:
            return f"{value / factor:.1f} {unit}"
    return f"{value:,.0f} bytes"


def _duration(seconds: float) -> str:
    if abs(seconds) >= 60:
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if round(abs(seconds) / factor, 1) >= 1:
            return f"{seconds / factor:.1f} {unit}"
    return f"{seconds / 1e-6:.1f} µs"
