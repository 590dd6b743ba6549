"""Measures the Beam transform of this package against Beam's own, and against `infer` on the same rows.

    python benchmarks/beam_transform.py [--quick] [--repeat 5] [--only NAME ...] [--output FILE.json]

Each case is a file in `beam_cases/`. Both transforms run in this process, on the same runner with the same options and
as many threads, on the same file of a model; they take turns, and must give the same answers. Models have random
weights.
"""

from __future__ import annotations

import sys

from beam_cases import CASES
from harness.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], CASES, ["apache-beam", "numpy", "scikit-learn", "torch", "transformers"]))
