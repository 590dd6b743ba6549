"""Exchanges a model many times while rows are running: `swap_memory.py SWAPS FILE FILE`.

Says how much memory the process held after each exchange.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

from weights_model import FACTORS, WeightsHandler, stream

from runinference import Engine

_PER_SECOND = 500
_AN_HOUR = 3600 * _PER_SECOND
_BATCH_ROWS = 16


def main(swaps: int, files: list[str]) -> None:
    """Prints a JSON document."""
    factors = dict(zip(files, FACTORS, strict=True))
    wanted, *others = itertools.islice(itertools.cycle(files), swaps + 1)
    held: list[int] = []
    served, right = 0, True
    with Engine(WeightsHandler(wanted, _BATCH_ROWS)) as engine:
        for number, result in enumerate(engine.map(stream(_PER_SECOND, _AN_HOUR))):
            right &= result.example == number and result.inference == factors[result.model_id] * number
            served += result.model_id == wanted
            # After its first batch nothing holds the version before any more.
            if served < 2 * _BATCH_ROWS:
                continue
            held.append(_resident_bytes())
            if not others:
                break
            wanted, served = others.pop(0), 0
            engine.update_model(wanted)
        updates = engine.metrics()["model_updates"]
    print(json.dumps({"held_bytes": held, "right": right and updates == swaps}))


def _resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("The system does not tell the memory of this process")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
