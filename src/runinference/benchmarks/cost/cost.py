"""What something costs, resource by resource."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runinference.benchmarks.cost.prices import Prices


@dataclass(frozen=True, slots=True)
class CostLine:
    """What one resource costs.

    Attributes:
        resource: What it is, such as `vCPU`.
        unit: What is counted, such as `vCPU h`.
        usage: How much was used; `None` where that is not known.
        price: Of one unit; `None` where there is none.
        note: What one has to know of it, such as why it has no cost.
        main: Whether a total without it would mean nothing.
    """

    resource: str
    unit: str
    usage: float | None
    price: float | None
    note: str = ""
    main: bool = False

    @property
    def cost(self) -> float | None:
        """What it costs; `None` where that is not known."""
        return None if self.usage is None or self.price is None else self.usage * self.price


@dataclass(frozen=True)
class Cost:
    """An estimated cost.

    Attributes:
        lines: Each resource.
        prices: The prices that were taken.
        remarks: What the estimate leaves out or takes for granted.
    """

    lines: Sequence[CostLine]
    prices: Prices
    remarks: Sequence[str] = ()

    @property
    def total(self) -> float | None:
        """The sum of all that is known; `None` where a main resource, such as the cores, has no cost."""
        if any(line.main and line.cost is None for line in self.lines):
            return None
        return math.fsum(line.cost for line in self.lines if line.cost is not None)

    @property
    def left_out(self) -> list[str]:
        """The resources without a cost, each with the reason."""
        return [f"{line.resource}: {line.note}" for line in self.lines if line.cost is None]

    def per_million(self, elements: float | None) -> float | None:
        """What a million elements cost, if so many of them had the total; `None` where either is not known."""
        return None if self.total is None or not elements else self.total * 1e6 / elements

    def to_text(self) -> str:
        """As a table for people, with the total below it."""
        rows = [(line.resource, _usage(line), _price(line), _money(line.cost), line.note) for line in self.lines]
        rows.append(("total", "", "", _money(self.total), str(self.prices)))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}  {row[4]}"
            for row in rows
        ]
        return "\n".join(line.rstrip() for line in [*lines, *self.remarks])


def format_money(amount: float) -> str:
    """An amount with at least two decimals, and as many as four significant digits need.

    Example:
        ```python
        from runinference.benchmarks.cost import format_money

        format_money(0.0004), format_money(1234.5)  # ('0.0004', '1,234.50')
        ```
    """
    if not amount:
        return "0.00"
    decimals = max(2, 3 - math.floor(math.log10(abs(amount))))
    whole, _, fraction = f"{amount:,.{decimals}f}".partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2}"


def _money(amount: float | None) -> str:
    return "?" if amount is None else f"{format_money(amount)} USD"


def _usage(line: CostLine) -> str:
    return f"? {line.unit}" if line.usage is None else f"{line.usage:,.4g} {line.unit}"


def _price(line: CostLine) -> str:
    return "" if line.price is None else f"× {format_money(line.price)}"
