"""Single rows from many threads: how full the batches become that they share.

Sixteen threads submit a row, wait for its result, and submit the next. The model sleeps 1 ms and 10 us for each row.
Ideal are batches of 16 one after the other; what this machine makes of them is measured by calling the same model in a
plain loop, because a sleep takes longer than it is asked to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from statistics import mean, median
from typing import Any

from harness.measure import alternate, ratios
from harness.result import Result, Settings
from runinference import Engine, ModelHandler

_THREADS = 16
_TARGET = 0.8


class _Sleeper(ModelHandler[int, int, None]):
    def load_model(self) -> None:
        return None

    def run_inference(self, batch: Sequence[int], model: None, inference_args: Any = None) -> list[int]:
        del model, inference_args
        time.sleep(1e-3 + 1e-5 * len(batch))
        return [2 * row for row in batch]


def run(settings: Settings) -> list[Result]:
    """Rows per second, and the mean size of the batches."""
    seconds = 0.5 if settings.quick else 3.0
    sizes: list[float] = []
    wrong: list[tuple[int, int]] = []
    samples = alternate(
        {"ours": lambda: _submit(seconds, sizes, wrong), "full batches": lambda: _full_batches(seconds)},
        settings.repeat,
    )
    nominal = _THREADS / (1e-3 + 1e-5 * _THREADS)
    return [
        Result(
            "submit: 16 threads vs full batches",
            ours=median(samples["ours"]),
            peer=median(samples["full batches"]),
            unit="rows/s",
            values=ratios(samples["ours"], samples["full batches"]),
            target=_TARGET,
            answers_equal=not wrong,
            note=f"mean batch {mean(sizes):.2f} rows; with exact sleeps full batches would give {nominal:,.0f} rows/s",
            samples={**samples, "mean_batch_rows": sizes},
        )
    ]


def _submit(seconds: float, sizes: list[float], wrong: list[tuple[int, int]]) -> float:
    counts = [0] * _THREADS
    with Engine(_Sleeper()) as engine:
        engine.submit(0).result()
        end = time.perf_counter() + seconds

        def ask(thread: int) -> None:
            row = thread
            while time.perf_counter() < end:
                result = engine.submit(row).result()
                if result != 2 * row:
                    wrong.append((row, result))
                row += _THREADS
                counts[thread] += 1

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(_THREADS)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - start
        sizes.append(engine.metrics().to_dict()["batch_size_MEAN"])
    return sum(counts) / took


def _full_batches(seconds: float) -> float:
    handler = _Sleeper()
    batch = list(range(_THREADS))
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        handler.run_inference(batch, None)
        count += len(batch)
    return count / (time.perf_counter() - start)
