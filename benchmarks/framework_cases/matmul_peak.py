"""How fast the device multiplies large matrices, which bounds every model; no contest."""

from __future__ import annotations

from harness import compute
from harness.result import Result, Settings


def run(settings: Settings) -> list[Result]:
    """In each precision."""
    precisions = ["fp32", "bf16"] if settings.device == "cpu" else ["fp32", "tf32", "bf16"]
    results = []
    for precision in precisions:
        rates = compute.matmuls(settings.device, precision, settings.repeat, settings.quick)
        lacks = precision == "bf16" and not compute.has_bf16(settings.device)
        results.append(
            Result(
                f"matmul_peak: {settings.device}, {precision}",
                values=[rate / 1e9 for rate in rates],
                value_unit="GFLOP/s",
                note="this processor has no instructions for it" if lacks else "",
            )
        )
    return results
