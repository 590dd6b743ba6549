"""100,000 arrays in memory through the same model: Apache Beam, Ray Data, Daft and ours.

Beam gets rows and gives a `PredictionResult` for each, as `infer` does. Ray Data and Daft get one array and give
columns, as `infer_table` does; each is compared with its like.

What was tried, on 2 cores, seconds of the second pass:

- Beam: the local runner in one process (best case 1.2 s) and in two, `multi_processing` (6 s). Prism, which Beam
  prefers where it can be had, is a program that is downloaded; it was not tried. Batches have 1,024 rows.
- Ray Data: a task that keeps the model in its process (8 blocks 0.3 s, 2 blocks 1.3 s), one actor with a core (2.5 s),
  two actors with half a core each (4.1 s).
- Daft: batches of 65,536 rows (0.02 s), 16,384 (0.05 s); two processes (4.1 s), one worker without processes (2.7 s).
"""

from __future__ import annotations

from functools import partial
from statistics import median

from harness import data
from harness.measure import alternate, ratios
from harness.peers import Contestant, Run, measure
from harness.result import Result, Settings

_ROW_PEERS = (
    Contestant("Beam, Create", "peer_beam.py", "create", "apache_beam"),
    Contestant("Beam, best case", "peer_beam.py", "best", "apache_beam"),
)
_TABLE_PEERS = (
    Contestant("Ray Data", "peer_ray.py", "rows", "ray"),
    Contestant("Daft", "peer_daft.py", "rows", "daft"),
)


def run(settings: Settings) -> list[Result]:
    """With start-up, and the second pass alone."""
    return [
        *_compare(Contestant("infer", "peer_ours.py", "rows"), _ROW_PEERS, settings),
        *_compare(Contestant("infer_table", "peer_ours.py", "table"), _TABLE_PEERS, settings),
    ]


def _compare(ours: Contestant, peers: tuple[Contestant, ...], settings: Settings) -> list[Result]:
    rows = 5_000 if settings.quick else 100_000
    arguments = ("--model", data.model_file(), "--rows", str(rows))
    present = [contestant for contestant in (ours, *peers) if contestant.installed]
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in present}

    def once(contestant: Contestant) -> float:
        # The answers are compared in the first round; condensing them is not timed.
        check = () if runs[contestant.name] else ("--check",)
        runs[contestant.name].append(measure(contestant, *arguments, *check))
        return runs[contestant.name][-1].cold_s

    alternate({contestant.name: partial(once, contestant) for contestant in present}, settings.repeat)
    results = []
    for peer in peers:
        if not peer.installed:
            results.append(Result(f"rows: {ours.name} vs {peer.name}", skipped=f"{peer.package} is not installed"))
            continue
        mine, theirs = runs[ours.name], runs[peer.name]
        equal = mine[0].digest == theirs[0].digest and all(run.rows == [rows, rows] for run in [*mine, *theirs])
        for what, field in (("with start-up", "cold_s"), ("second pass", "warm_s")):
            own, other = ([getattr(run, field) for run in each] for each in (mine, theirs))
            results.append(
                Result(
                    f"rows: {ours.name} vs {peer.name}, {what}",
                    ours=median(own),
                    peer=median(other),
                    unit="s",
                    values=ratios(other, own),
                    answers_equal=equal,
                    samples={"ours_s": own, "peer_s": other},
                )
            )
    return results
