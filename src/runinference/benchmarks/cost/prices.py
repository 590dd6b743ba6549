"""What resources cost: the values of a price table, and finding an entry of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from runinference.errors import ConfigurationError, closest

_REPLACE = "--prices FILE.json gives prices of your own"


@dataclass(frozen=True, slots=True)
class Rates:
    """What the workers of batch jobs, or those of streaming jobs, cost. GB are 2**30 bytes.

    Attributes:
        vcpu_hour: A virtual core for an hour.
        memory_gb_hour: A GB of memory for an hour.
        pd_gb_hour: A GB of persistent disk for an hour.
        ssd_gb_hour: A GB of persistent disk on SSD for an hour.
        data_gb: A GB that the service shuffles for a batch job, or that Streaming Engine moves for a streaming job.
    """

    vcpu_hour: float
    memory_gb_hour: float
    pd_gb_hour: float
    ssd_gb_hour: float
    data_gb: float


@dataclass(frozen=True, slots=True)
class GpuPrice:
    """What a GPU costs.

    Attributes:
        name: What people call it, such as `A100-40GB`.
        accelerator: What Google Cloud calls it, such as `nvidia-tesla-a100`.
        gpu_hour: One for an hour.
    """

    name: str
    accelerator: str
    gpu_hour: float


@dataclass(frozen=True, slots=True)
class MachineType:
    """What a machine has.

    Attributes:
        name: Its name, such as `n1-standard-4`.
        vcpus: Virtual cores.
        memory_gb: Memory in GB of 2**30 bytes.
        gpu: The GPU that is built in; `None` where none is.
        gpus: How many of them.
        hour: What all of it costs for an hour; `None` where that follows from what it has.
    """

    name: str
    vcpus: float
    memory_gb: float
    gpu: str | None = None
    gpus: int = 0
    hour: float | None = None


@dataclass(frozen=True)
class Prices:
    """A price table.

    Attributes:
        date: The day on which it was written down, as `YYYY-MM-DD`.
        region: Where these prices hold.
        currency: What they are in; `USD`.
        source: Where they are from, in words.
        batch: What workers of batch jobs cost, and machines that run something else.
        streaming: What workers of streaming jobs cost.
        gpus: GPUs by their name.
        machine_types: Machine types by their name.
    """

    date: str
    region: str
    currency: str
    source: str
    batch: Rates
    streaming: Rates
    gpus: Mapping[str, GpuPrice]
    machine_types: Mapping[str, MachineType]

    def __str__(self) -> str:
        return f"list prices of {self.region}, {self.date}"

    def gpu(self, name: str) -> GpuPrice:
        """The GPU of that name: `T4`, `nvidia-tesla-t4`, or as the driver calls it, `NVIDIA A100-SXM4-40GB`.

        Raises:
            ConfigurationError: There is no price for it; the nearest name is told.
        """
        wanted = name.lower()
        for gpu in self.gpus.values():
            if wanted in (gpu.name.lower(), gpu.accelerator.lower()):
                return gpu
        words = _words(name)
        fitting = [gpu for gpu in self.gpus.values() if _words(gpu.name) <= words]
        if fitting:
            return max(fitting, key=lambda gpu: len(_words(gpu.name)))
        said_in_part = [repr(gpu.name) for gpu in self.gpus.values() if words and words <= _words(gpu.name)]
        # In upper case, for these names are short: one letter in the wrong case would make them strangers.
        nearest = f" Did you mean {' or '.join(said_in_part)}?" if said_in_part else closest(name.upper(), self.gpus)
        raise ConfigurationError(
            f"There is no price for a GPU {name!r}.{nearest} There are {', '.join(self.gpus)}; {_REPLACE}"
        )

    def machine_type(self, name: str) -> MachineType:
        """The machine type of that name.

        Raises:
            ConfigurationError: It is not in the table; the nearest name is told.
        """
        try:
            return self.machine_types[name]
        except KeyError:
            families = sorted({each.rpartition("-")[0] for each in self.machine_types})
            raise ConfigurationError(
                f"There is no machine type {name!r} in the price table.{closest(name, self.machine_types)} There are "
                f"those of {', '.join(families)}; {_REPLACE}"
            ) from None

    def default_machine_type(self, cores: int) -> MachineType:
        """The machine that stands for one with so many cores, if nothing else is said.

        It is the smallest `n1-standard` with as many cores, or where that family ends, the smallest machine without a
        GPU that has them.

        Raises:
            ConfigurationError: No machine of the table has so many.
        """
        enough = [each for each in self.machine_types.values() if each.vcpus >= cores and not each.gpus]
        of_family = [each for each in enough if each.name.startswith("n1-standard-")]
        if not enough:
            raise ConfigurationError(
                f"No machine type of the price table has {cores} cores; add one to a table of your own, with its price "
                f"for an hour: {_REPLACE}"
            )
        return min(of_family or enough, key=lambda each: (each.vcpus, each.memory_gb))


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower()))
