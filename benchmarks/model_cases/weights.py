"""The files of two versions of a model, in which all weights are the same number."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from harness import data

_FACTORS = (2, 3)  # As the programs that load them expect it.


def weight_files(width: int) -> list[Path]:
    """A square matrix of float32 in each; 100 MB where it is 5,000 wide."""
    return [data.made_once(f"weights-{factor}-{width}.npy", partial(_write, factor, width)) for factor in _FACTORS]


def _write(factor: int, width: int, path: Path) -> None:
    with path.open("wb") as file:  # numpy would add its suffix to a name.
        np.save(file, np.full((width, width), factor, np.float32))
