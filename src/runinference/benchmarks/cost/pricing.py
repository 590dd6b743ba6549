"""The machine whose price the cost of a benchmark is estimated from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from runinference.benchmarks.cost.local import default_machine_type, local_cost
from runinference.benchmarks.cost.price_file import load_prices
from runinference.benchmarks.cost.prices import Prices
from runinference.errors import ConfigurationError
from runinference.metrics.machine import cores


@dataclass(frozen=True)
class Pricing:
    """A machine type with its prices.

    Attributes:
        machine_type: Its name; `None` where none stands for this machine, so that there is no cost.
        gpu: The GPU that goes with it.
        prices: The price table.
    """

    machine_type: str | None
    gpu: str | None
    prices: Prices

    @classmethod
    def of(cls, machine_type: str | None, gpu: str | None, prices: str | Path | None, device: str) -> Self:
        """The pricing that a user asks for, or what stands for this machine.

        Args:
            machine_type: A machine type of the price table; by default one with as many cores as this machine.
            gpu: The GPU that goes with it.
            prices: A file of prices; by default those that come with the package.
            device: `cpu` or `cuda`. A machine with a GPU has no default: prices of GPUs differ too much.

        Raises:
            ConfigurationError: One of them is not there.
        """
        table = load_prices(prices)
        if machine_type is not None:
            local_cost(0, machine_type, gpu, table)
        elif gpu is not None:
            raise ConfigurationError(f"--gpu {gpu}: say which machine it is in, such as --machine-type n1-standard-4")
        elif device == "cpu":
            try:
                machine_type = default_machine_type(cores(), table)
            except ConfigurationError:  # This machine is larger than all of them.
                machine_type = None
        return cls(machine_type, gpu, table)

    def cost(self, run_s: float) -> float | None:
        """What a job of so many seconds costs, in the currency of the table; `None` where that is not known."""
        if self.machine_type is None:
            return None
        return local_cost(run_s, self.machine_type, self.gpu, self.prices).total

    def about(self) -> dict[str, Any]:
        """What is remembered of a run, so that its cost can be told from that on another machine."""
        if self.machine_type is None:
            return {}
        gpu = {} if self.gpu is None else {"gpu": self.gpu}
        return {"machine_type": self.machine_type, **gpu, "prices": str(self.prices.date)}
