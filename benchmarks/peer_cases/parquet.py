"""2,000,000 rows of 64 float32 columns from Parquet to Parquet: Ray Data, Daft and ours.

All write snappy. What was tried, on 2 cores, seconds of the second pass:

- Ray Data: a task that keeps the model in its process, on Arrow batches of 65,536 rows (40 or 10 blocks 9 to 10 s, its
  own choice of blocks 9 s), on numpy batches of 65,536 or 16,384 rows (16 s); one actor with a core (31 s), two actors
  with half a core each (40 s); the writer's default, dictionaries for floats too, on numpy batches (31 s).
- Daft: batches of 65,536 (4.9 s) and 16,384 rows (5.8 s); processes and a single worker lost already in `rows.py`.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness import data
from harness.measure import alternate, ratios
from harness.peers import Contestant, Run, measure
from harness.result import Result, Settings

_TARGET = 8
_OURS = Contestant("ours", "peer_ours.py", "parquet")
_PEERS = (
    Contestant("Ray Data", "peer_ray.py", "parquet", "ray"),
    Contestant("Daft", "peer_daft.py", "parquet", "daft"),
)


def run(settings: Settings) -> list[Result]:
    """With start-up, which is what the target is about, and the second pass alone."""
    rows = 200_000 if settings.quick else 2_000_000
    source, model = data.parquet_file(rows), data.model_file()
    present = [contestant for contestant in (_OURS, *_PEERS) if contestant.installed]
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in present}
    answers: dict[str, Any] = {}

    def once(contestant: Contestant) -> float:
        output = data.folder() / f"peer-{contestant.program.removesuffix('.py')}"
        shutil.rmtree(output, ignore_errors=True)
        try:
            runs[contestant.name].append(measure(contestant, "--model", model, "--input", source, "--output", output))
            if contestant.name not in answers:
                answers[contestant.name] = _answers(output)
        finally:
            shutil.rmtree(output, ignore_errors=True)
        return runs[contestant.name][-1].cold_s

    alternate({contestant.name: partial(once, contestant) for contestant in present}, settings.repeat)
    results = []
    for peer in _PEERS:
        if not peer.installed:
            results.append(Result(f"parquet: ours vs {peer.name}", skipped=f"{peer.package} is not installed"))
            continue
        mine, theirs = runs[_OURS.name], runs[peer.name]
        equal = np.array_equal(answers[_OURS.name], answers[peer.name]) and all(
            run.rows == [rows, rows] for run in [*mine, *theirs]
        )
        for what, field, target in (("with start-up", "cold_s", _TARGET), ("second pass", "warm_s", None)):
            own, other = ([getattr(run, field) for run in each] for each in (mine, theirs))
            results.append(
                Result(
                    f"parquet: ours vs {peer.name}, {what}",
                    ours=median(own),
                    peer=median(other),
                    unit="s",
                    values=ratios(other, own),
                    target=target,
                    answers_equal=equal,
                    samples={"ours_s": own, "peer_s": other},
                )
            )
    return results


def _answers(folder: Path) -> Any:
    """The predictions of all files, in an order that the features give: not all systems keep that of the input."""
    tables = [pq.read_table(file, columns=["f00", "f01", "prediction"]) for file in sorted(folder.glob("*.parquet"))]
    columns = [column.to_numpy() for column in pa.concat_tables(tables).columns]
    return np.column_stack(columns)[np.lexsort(columns[:2])]
