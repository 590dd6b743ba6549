"""How many rows of a job may fail."""

from __future__ import annotations

from dataclasses import dataclass

from runinference.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class AllowedFailures:
    """How many rows may fail before a job counts as bad.

    Attributes:
        rows: So many rows.
        percent: Or this share of all rows, from 0 to 100.
    """

    rows: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> AllowedFailures:
        """Reads `10` as rows and `1%` as a share.

        Raises:
            ConfigurationError: It is neither.
        """
        try:
            if text.endswith("%"):
                percent = float(text[:-1])
                if 0 <= percent <= 100:
                    return cls(percent=percent)
            elif int(text) >= 0:
                return cls(rows=int(text))
        except ValueError:
            pass
        raise ConfigurationError(f"{text!r} is neither a number of rows, such as 10, nor a share of them, such as 1%")

    def exceeded(self, failed: int, total: int) -> bool:
        """Whether `failed` of `total` rows are too many. Where nothing was said, only all rows are."""
        if self.rows is not None:
            return failed > self.rows
        if self.percent is not None:
            return failed * 100 > self.percent * total
        return failed > 0 and failed == total

    def describe(self, failed: int, total: int) -> str:
        """What to say when `failed` of `total` rows are too many."""
        if failed == total and self.rows is None and self.percent is None:
            return f"All {total:,} rows failed."
        limit = f"{self.rows:,}" if self.rows is not None else f"{self.percent:g} %"
        return f"{failed:,} of {total:,} rows failed; {limit} may."
