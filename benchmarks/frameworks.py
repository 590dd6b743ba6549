"""Measures the handlers of frameworks against loops written by hand and the handlers of Apache Beam.

    python benchmarks/frameworks.py [--quick] [--repeat 5] [--only NAME ...] [--device cpu|cuda] [--output FILE.json]

Each case is a file in `framework_cases/`. The contestants of a case take turns within one process, with the same rows,
the same weights and the same number of threads, and must give the same answers; where it is memory or loading that is
measured, each run is a process of its own. Models have random weights. Beam is skipped where it is not installed.
"""

from __future__ import annotations

import sys

from framework_cases import CASES
from harness.command import main

if __name__ == "__main__":
    packages = ["numpy", "torch", "transformers", "onnxruntime", "xgboost", "apache-beam"]
    sys.exit(main(__doc__.partition("\n")[0], CASES, packages, devices=("cpu", "cuda")))
