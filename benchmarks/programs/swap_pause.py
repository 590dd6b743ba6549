"""A stream of 500 rows per second, whose model is exchanged meanwhile: `swap_pause.py SECONDS SWAPS FILE FILE`.

Says what the longest time between two results was, also around each exchange, and how long a batch took.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

from threadpoolctl import threadpool_limits
from weights_model import FACTORS, WeightsHandler, stream

from runinference import Engine, PredictionResult

_PER_SECOND = 500
_BATCH_ROWS = 16
_AFTER_S = 0.1  # An exchange is over when the first batch of the new model has worked.


def main(seconds: float, swaps: int, files: list[str]) -> None:
    """Prints a JSON document."""
    rows = int(_PER_SECOND * seconds)
    results: list[PredictionResult] = []
    times: list[float] = []
    exchanges: list[tuple[float, float]] = []
    with Engine(WeightsHandler(files[0], _BATCH_ROWS)) as engine:
        list(engine.map(range(_BATCH_ROWS)))
        swapper = threading.Thread(target=lambda: exchanges.extend(_swap(engine, seconds, swaps, files)))
        swapper.start()
        for result in engine.map(stream(_PER_SECOND, rows)):
            times.append(time.perf_counter())
            results.append(result)
        swapper.join()
        metrics = engine.metrics()
    factors = dict(zip(files, FACTORS, strict=True))
    exchanged = metrics["model_updates"] == swaps and metrics["failed_model_updates"] == 0
    in_order = [result.example for result in results] == list(range(rows))
    true = all(each.inference == factors[each.model_id or ""] * each.example for each in results)
    document = {
        "longest_gap_s": max(after - before for before, after in pairwise(times)),
        "gaps_s": [
            max(after - before for before, after in pairwise(times) if after > asked and before < served + _AFTER_S)
            for asked, served in exchanges
        ],
        "batch_s": metrics["inference_batch_latency_micro_secs_MEAN"] / 1e6,
        "update_s": [served - asked for asked, served in exchanges],
        "right": exchanged and in_order and true,
    }
    print(json.dumps(document))


def _swap(engine: Engine, seconds: float, swaps: int, files: list[str]) -> Iterator[tuple[float, float]]:
    """Exchanges the model at equal intervals; gives when each exchange was asked for and when the model served."""
    started = time.perf_counter()
    for number in range(1, swaps + 1):
        time.sleep(max(0.0, started + number * seconds / (swaps + 1) - time.perf_counter()))
        asked = time.perf_counter()
        engine.update_model(files[number % len(files)]).result()
        yield asked, time.perf_counter()


if __name__ == "__main__":
    threadpool_limits(1)  # One core computes, the other is there for whatever else happens.
    main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
