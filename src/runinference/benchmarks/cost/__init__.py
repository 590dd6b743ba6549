"""What a run costs: prices, and estimates for machines and for jobs of Dataflow."""

from __future__ import annotations

from runinference.benchmarks.cost.cost import Cost, CostLine, format_money
from runinference.benchmarks.cost.job import job_cost
from runinference.benchmarks.cost.local import default_machine_type, local_cost
from runinference.benchmarks.cost.price_file import load_prices
from runinference.benchmarks.cost.prices import GpuPrice, MachineType, Prices, Rates

__all__ = [
    "Cost",
    "CostLine",
    "GpuPrice",
    "MachineType",
    "Prices",
    "Rates",
    "default_machine_type",
    "format_money",
    "job_cost",
    "load_prices",
    "local_cost",
]
