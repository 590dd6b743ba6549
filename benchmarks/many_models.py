"""Measures several models in one pass, one after another, exchanged while running, and shared between processes.

    python benchmarks/many_models.py [--quick] [--repeat 5] [--only NAME ...] [--output FILE.json]

Each case is a file in `model_cases/`. The contestants of a case take turns, and must give the same answers. Where a
case is about waiting, `time.sleep` stands for reading from elsewhere and for a device; where it is about memory or
pauses, each run is a process of its own. Models have random weights. Beam is skipped where it is not installed.
"""

from __future__ import annotations

import sys

from harness.command import main
from model_cases import CASES

if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], CASES, ["numpy", "scikit-learn", "torch", "apache-beam"]))
