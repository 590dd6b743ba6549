"""Measures the library against other systems that run a model over data: Apache Beam, Ray Data and Daft.

    python benchmarks/peers.py [--quick] [--repeat 5] [--only NAME ...] [--output FILE.json]

Those that are not installed are skipped. Each contestant runs in a process of its own, on the same data and the same
model, and must give the same answers. Two figures are taken: from the start of the process to the end of the first
pass, and a second pass in the same process, which finds a running engine. Ratios are the peer's seconds over ours.
"""

from __future__ import annotations

import sys

from harness.command import main
from peer_cases import CASES

if __name__ == "__main__":
    packages = ["numpy", "scikit-learn", "pyarrow", "apache-beam", "ray", "daft"]
    sys.exit(main(__doc__.partition("\n")[0], CASES, packages))
