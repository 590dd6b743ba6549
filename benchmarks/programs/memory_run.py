"""Runs generated rows through `infer` and says how much memory it took: `memory_run.py ROWS slow_sink|slow_model`.

The model is plain numpy, so that the process is small and a few megabytes of held rows show.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from runinference import Engine, ModelHandler

_FEATURES = 64
_KINDS = 1000

Array = np.ndarray[Any, Any]


class _Sum(ModelHandler[Array, float, None]):
    """Sums each row; a slow one sleeps so long that the source is several times as fast."""

    def __init__(self, slow: bool) -> None:
        super().__init__()
        self._slow = slow

    def load_model(self) -> None:
        return None

    def run_inference(self, batch: Sequence[Array], model: None, inference_args: Any = None) -> list[float]:
        del model, inference_args
        if self._slow:
            time.sleep(2e-3 + 6e-6 * len(batch))
        sums: list[float] = np.array(batch).sum(axis=1).tolist()
        return sums


def main(rows: int, slow: str) -> None:
    """Prints a JSON document with the peak of the resident memory in bytes."""
    total = taken = 0.0
    with Engine(_Sum(slow == "slow_model")) as engine:
        for taken, result in enumerate(engine.map(_generated(rows)), 1):
            total += result
            if slow == "slow_sink" and taken % 1000 == 0:
                time.sleep(6e-3)
        metrics = engine.metrics().to_dict()
    expected = sum(_FEATURES * (row % _KINDS) for row in range(rows))
    print(
        json.dumps(
            {
                "peak_bytes": _peak_bytes(),
                "right": taken == rows and total == expected,
                "largest_batch": metrics["batch_size_MAX"],
                "mode": metrics["execution_mode"],
            }
        )
    )


def _peak_bytes() -> int:
    """The peak of this process alone."""
    # On Linux a new program inherits ru_maxrss from the process that started it, which may have been much larger.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # macOS counts in bytes, all others in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _generated(rows: int) -> Iterator[Array]:
    for row in range(rows):
        yield np.full(_FEATURES, row % _KINDS, dtype=np.float32)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
