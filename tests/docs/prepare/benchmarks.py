"""The folder for benchmarks of one's own."""

from pathlib import Path

Path("my_benchmarks").mkdir()
