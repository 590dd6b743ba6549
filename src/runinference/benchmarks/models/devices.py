"""Devices, as Beam's handlers name them."""

from __future__ import annotations

from runinference.benchmarks.settings import Settings
from runinference.benchmarks.workers import runner_elsewhere
from runinference.errors import ConfigurationError
from runinference.packages import require


def beams_device(settings: Settings) -> str:
    """`CPU` or `GPU`.

    Raises:
        ConfigurationError: The work is done on this machine, which has no GPU. Beam's handlers would run on the CPU
            instead.
    """
    if settings.device == "cpu":
        return "CPU"
    if runner_elsewhere(settings) is not None:
        return "GPU"
    torch = require("torch", "torch", "run this benchmark")
    if not torch.cuda.is_available():
        raise ConfigurationError(f"device='cuda' was asked for, but PyTorch {torch.__version__} finds no GPU")
    return "GPU"
