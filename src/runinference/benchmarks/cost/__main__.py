"""Prints the price table, as a start for one's own: `python -m runinference.benchmarks.cost > prices.json`."""

from __future__ import annotations

import sys

from runinference.benchmarks.cost.price_file import shipped_text

sys.stdout.write(shipped_text())
