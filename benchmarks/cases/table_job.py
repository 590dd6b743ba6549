"""`runinference run` from Parquet to Parquet, against a hand-written pyarrow loop; both with their start-up."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from harness import child, data
from harness.measure import alternate, ratios, settle
from harness.result import Result, Settings

_TARGET = 0.7


def run(settings: Settings) -> list[Result]:
    """Rows of 64 float32 columns, snappy on both sides."""
    rows = 200_000 if settings.quick else 2_000_000
    source, model = data.parquet_file(rows), data.model_file()
    outputs = {name: data.folder() / f"table-job-{name}.parquet" for name in ("ours", "loop")}

    def ours() -> float:
        settle(outputs["ours"])
        return child.run([child.command(), "run", f"sklearn:{model}", source, outputs["ours"], "--quiet"])[0]

    def loop() -> float:
        settle(outputs["loop"])
        return child.python(child.PROGRAMS / "table_loop.py", model, source, outputs["loop"])[0]

    try:
        ours()
        loop()
        equal = _same(source, *outputs.values())
        samples = alternate({"ours": ours, "loop": loop}, settings.repeat)
        sizes = {name: path.stat().st_size / 1e6 for name, path in outputs.items()}
    finally:
        settle(*outputs.values())
    return [
        Result(
            "table_job: Parquet to Parquet",
            ours=rows / median(samples["ours"]),
            peer=rows / median(samples["loop"]),
            unit="rows/s",
            values=ratios(samples["loop"], samples["ours"]),
            target=_TARGET,
            answers_equal=equal,
            note=f"{rows:,} rows; output of ours {sizes['ours']:,.0f} MB, of the loop {sizes['loop']:,.0f} MB",
            samples={f"{name}_s": figures for name, figures in samples.items()},
        )
    ]


def _same(source: Path, ours: Path, theirs: Path) -> bool:
    """Whether both outputs have the columns of the input, unchanged, and the same predictions."""
    read, mine, other = (pq.ParquetFile(path, memory_map=True) for path in (source, ours, theirs))
    names = read.schema_arrow.names
    if not mine.schema_arrow.names == other.schema_arrow.names == [*names, "prediction"]:
        return False
    # A column at a time: three files of half a gigabyte need not be in memory together.
    kept = all(
        read.read([name]).column(0) == mine.read([name]).column(0) == other.read([name]).column(0) for name in names
    )
    return kept and bool(mine.read(["prediction"]).column(0) == other.read(["prediction"]).column(0))
