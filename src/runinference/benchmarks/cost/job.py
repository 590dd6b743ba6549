"""What a job of Dataflow costs, from what the job itself says that it has used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runinference.benchmarks.cost.cost import Cost, CostLine
from runinference.benchmarks.cost.price_file import load_prices
from runinference.benchmarks.cost.prices import Prices

_HOUR_S = 3600.0
_GB_MB = 1024.0  # The sizes of the service are in powers of two.
_NOT_REPORTED = "not reported"


def job_cost(
    usage: Mapping[str, float],
    *,
    streaming: bool = False,
    gpu: str | None = None,
    prices: Prices | None = None,
    remarks: Sequence[str] = (),
) -> Cost:
    """What a job costs at list prices.

    These metrics of the job are read; GB are 2**30 bytes, MB 2**20:

    | Metric | Unit | For |
    | --- | --- | --- |
    | `TotalVcpuTime` | s, summed over virtual cores | all jobs |
    | `TotalMemoryUsage` | MB × s | all jobs |
    | `TotalPdUsage`, `TotalSsdUsage` | GB × s | all jobs |
    | `BillableShuffleDataProcessed` | GB, of which the service charges all | batch jobs |
    | `TotalShuffleDataProcessed` | GB, before reductions | batch jobs, where the other is not reported |
    | `TotalStreamingDataProcessed` | GB | streaming jobs |
    | `TotalGpuTime` | s, summed over GPUs | jobs with GPUs |

    What is not reported has no cost, and its line says so. Without that of cores, memory or used GPUs there is no
    total, for it would be far too low.

    Args:
        usage: The job's metrics by name.
        streaming: Whether it is a streaming job.
        gpu: The GPU that its workers have, such as `T4` or `nvidia-tesla-t4`; `None` for none.
        prices: The price table; the one that comes with the package by default.
        remarks: What else is to be known of the estimate.

    Raises:
        ConfigurationError: There is no price for the GPU.
    """
    prices = prices or load_prices()
    rates = prices.streaming if streaming else prices.batch
    hours, gb_hours = 1 / _HOUR_S, 1 / (_GB_MB * _HOUR_S)
    lines = [
        _line("vCPU", "vCPU h", usage.get("TotalVcpuTime"), hours, rates.vcpu_hour, main=True),
        _line("memory", "GB h", usage.get("TotalMemoryUsage"), gb_hours, rates.memory_gb_hour, main=True),
        _line("disk", "GB h", usage.get("TotalPdUsage"), hours, rates.pd_gb_hour),
        _line("SSD disk", "GB h", usage.get("TotalSsdUsage"), hours, rates.ssd_gb_hour),
        _streaming_data(usage, rates.data_gb) if streaming else _shuffle(usage, rates.data_gb),
    ]
    gpu_line = _gpu(usage.get("TotalGpuTime"), gpu, prices)
    return Cost([*lines, gpu_line] if gpu_line else lines, prices, remarks)


def _line(
    resource: str, unit: str, used: float | None, scale: float, price: float, *, main: bool = False, note: str = ""
) -> CostLine:
    if used is None:
        return CostLine(resource, unit, None, price, _NOT_REPORTED, main)
    return CostLine(resource, unit, used * scale, price, note, main)


def _streaming_data(usage: Mapping[str, float], price: float) -> CostLine:
    return _line("streaming data", "GB", usage.get("TotalStreamingDataProcessed"), 1, price)


def _shuffle(usage: Mapping[str, float], price: float) -> CostLine:
    billable, processed = usage.get("BillableShuffleDataProcessed"), usage.get("TotalShuffleDataProcessed")
    if billable is None and processed is not None:
        return _line("shuffle", "GB", processed, 1, price, note="all that was shuffled; what is charged is less")
    return _line("shuffle", "GB", billable, 1, price)


def _gpu(used_s: float | None, gpu: str | None, prices: Prices) -> CostLine | None:
    if gpu is None:
        if not used_s:
            return None
        note = "used, but it is not known of which type; name it, such as gpu='T4'"
        return CostLine("GPU", "GPU h", used_s / _HOUR_S, None, note, main=True)
    kind = prices.gpu(gpu)
    note = "none was used, though the job was to have them" if used_s == 0 else ""
    return _line(f"GPU {kind.name}", "GPU h", used_s, 1 / _HOUR_S, kind.gpu_hour, main=True, note=note)
