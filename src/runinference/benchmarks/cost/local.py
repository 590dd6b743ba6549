"""What a run on one machine costs."""

from __future__ import annotations

from runinference.benchmarks.cost.cost import Cost, CostLine
from runinference.benchmarks.cost.price_file import load_prices
from runinference.benchmarks.cost.prices import GpuPrice, MachineType, Prices
from runinference.errors import ConfigurationError


def local_cost(
    run_s: float, machine_type: str, gpu: str | None = None, prices: Prices | None = None, *, gpus: int | None = None
) -> Cost:
    """What a machine costs for the time of a run, as if it was a worker of a batch job.

    A machine costs the same whether its cores are busy or idle, so the time alone decides. Disks, network, storage and
    the time that a machine takes to start are left out.

    Args:
        run_s: Seconds.
        machine_type: A machine type of the price table, such as `n1-standard-4`.
        gpu: The GPU that the machine has, such as `T4`. Those that are built in are known: `g2-standard-4` has an L4.
        prices: The price table; the one that comes with the package by default.
        gpus: How many GPUs; one by default, or as many as are built in.

    Raises:
        ConfigurationError: The time is no time, the machine type or GPU is not in the price table, or the machine has
            other GPUs.

    Example:
        ```python
        from runinference.benchmarks.cost import local_cost

        local_cost(3600, "n1-standard-4", gpu="T4").total  # 0.697355
        ```
    """
    if not 0 <= run_s < float("inf"):
        raise ConfigurationError(f"run_s={run_s!r}: expected seconds, 0 or more")
    prices = prices or load_prices()
    machine = prices.machine_type(machine_type)
    hours = run_s / 3600
    if machine.hour is not None:
        return Cost([CostLine(machine.name, "h", hours, machine.hour, "with all that it has", main=True)], prices)
    kind, count = _gpus(machine, gpu, gpus, prices)
    rates = prices.batch
    lines = [
        CostLine("vCPU", "vCPU h", machine.vcpus * hours, rates.vcpu_hour, main=True),
        CostLine("memory", "GB h", machine.memory_gb * hours, rates.memory_gb_hour, main=True),
    ]
    if kind is not None:
        lines.append(CostLine(f"GPU {kind.name}", "GPU h", count * hours, kind.gpu_hour, main=True))
    return Cost(lines, prices)


def default_machine_type(cores: int, prices: Prices | None = None) -> str:
    """The machine type that stands for a machine with so many cores, if nothing else is said.

    Args:
        cores: How many, as the operating system counts them.
        prices: The price table; the one that comes with the package by default.

    Returns:
        `n1-standard-N` where that exists, else the next larger machine.

    Raises:
        ConfigurationError: No machine of the table has so many.
    """
    return (prices or load_prices()).default_machine_type(cores).name


def _gpus(machine: MachineType, gpu: str | None, gpus: int | None, prices: Prices) -> tuple[GpuPrice | None, int]:
    """Which GPUs a machine has, and how many."""
    if gpus is not None and gpus < 1:
        raise ConfigurationError(f"gpus={gpus!r}: expected 1 or more; leave it out for a machine without a GPU")
    if machine.gpu is None:
        if gpu is None and gpus is not None:
            raise ConfigurationError(f"gpus={gpus}: say which GPU, such as gpu='T4'; {machine.name} has none built in")
        return (None, 0) if gpu is None else (prices.gpu(gpu), gpus or 1)
    built_in = prices.gpu(machine.gpu)
    if (gpu is not None and prices.gpu(gpu) != built_in) or gpus not in (None, machine.gpus):
        raise ConfigurationError(
            f"{machine.name} has {machine.gpus} × {built_in.name} built in, not {gpus or 1} × {gpu or built_in.name}; "
            "name another machine type, or leave the GPU out"
        )
    return built_in, machine.gpus
