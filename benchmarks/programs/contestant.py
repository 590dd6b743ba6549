"""What the contestants of the peer cases share: their arguments, two passes, and a digest of the answers."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# The harness is beside the folder of this program.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

Array = np.ndarray[Any, Any]


def parse() -> argparse.Namespace:
    """The arguments that every contestant takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--input", type=Path)
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


def report(one_pass: Callable[[], int], digest: Callable[[], int] | None = None) -> None:
    """Runs `one_pass` twice and prints a JSON document as the last line.

    The first pass pays for starting whatever the contestant starts; the second finds it running.

    Args:
        one_pass: Does the work and returns the number of rows that came out.
        digest: Does the work once more, untimed, and condenses the answers.
    """
    rows = one_pass()
    first_ended = time.time()
    start = time.perf_counter()
    rows_again = one_pass()
    warm_s = time.perf_counter() - start
    document = {"first_ended": first_ended, "warm_s": warm_s, "rows": [rows, rows_again]}
    if digest is not None:
        document["digest"] = digest()
    print(json.dumps(document), flush=True)


def digest_of(features: Array, predictions: Array) -> int:
    """A number that depends on which row got which prediction, but not on the order of the rows."""
    marks = np.ascontiguousarray(features[:, 0]).view(np.uint32).astype(np.int64) % 65_521
    return int((marks * (np.asarray(predictions, dtype=np.int64) + 1)).sum())


def cores() -> int:
    """Cores that may be used."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
