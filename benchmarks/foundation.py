"""Measures what the library costs, against the loop that a user would write by hand.

    python benchmarks/foundation.py [--quick] [--repeat 5] [--only NAME ...] [--output FILE.json]

Each case is a file in `cases/`. The contestants of a case take turns within one run and must give the same answers.
The table shows medians and, in brackets, the smallest and the largest value of all repetitions; the last line of the
output is one JSON document with every single measurement. Ratios are what counts: they carry over to other machines.
"""

from __future__ import annotations

import sys

from cases import CASES
from harness.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], CASES, ["numpy", "scikit-learn", "pyarrow"]))
