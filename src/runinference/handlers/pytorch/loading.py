"""Loading, which several copies of a model do at the same time."""

from __future__ import annotations

import threading

ONE_AT_A_TIME = threading.RLock()
"""Held where something of the whole process is changed meanwhile: warnings, random numbers, what PyTorch is reading."""
