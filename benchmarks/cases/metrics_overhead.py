"""What measuring costs, at about 1,000 batches per second.

For each batch of 32 rows the model hashes as many bytes as this machine hashes in 1 ms. All contestants run it in the
caller's thread, where nothing hides what is spent beside it. One records its metrics as always, one has a recorder that
records nothing, and one has besides its metrics published to SQLite and fetched by Prometheus, both each second. They
take turns every second, because other work of the machine does more to a pass than what is looked for; a repetition is
the median of five turns of each. CPU time, of all threads of the process, suffers less from such work. One more
contestant takes the time of everything that the engine does to record a batch: putting the figures together, and the
recorder.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from harness import data
from harness.child import PROGRAMS
from harness.measure import alternate, ratios, seconds
from harness.result import Result, Settings
from runinference import Metrics, ModelHandler, infer
from runinference.engine.report import Reporter
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.prometheus import serve_metrics
from runinference.metrics.publisher import Publisher

_BATCH_S = 1e-3
_BATCH_ROWS = 32
_BATCHES = 1000
_TURNS = 5
_EACH_S = 1.0
_TARGET = 0.02


class _Hashing(ModelHandler[Any, float, bytes]):
    """Hashes all of its model for each batch, without the interpreter lock; that also empties the small caches."""

    def __init__(self, size: int) -> None:
        super().__init__(min_batch_size=_BATCH_ROWS, max_batch_size=_BATCH_ROWS)
        self._size = size

    def load_model(self) -> bytes:
        return b"x" * self._size

    def run_inference(self, batch: Sequence[Any], model: bytes, inference_args: Any = None) -> list[float]:
        del inference_args
        hashlib.sha256(model).digest()
        return [float(row[0]) for row in batch]


class _Nothing(Metrics):
    """Records nothing."""

    def record(self, *_: Any) -> None:
        pass

    def set(self, *_: Any) -> None:
        pass


def run(settings: Settings) -> list[Result]:
    """Recorded, and published too, against nothing; and what recording takes by itself."""
    rows = list(data.matrix(_BATCHES * _BATCH_ROWS))
    handler = _Hashing(_size())
    cpu_s: defaultdict[str, list[float]] = defaultdict(list)
    recording_s: list[float] = []
    wrong: list[str] = []

    def measure(name: str, metrics: Metrics) -> float:
        results: list[float] = []
        before = time.process_time()
        took = seconds(lambda: results.extend(infer(rows, handler, workers=0, metrics=metrics)))
        cpu_s[name].append(time.process_time() - before)
        if results != [float(row[0]) for row in rows]:
            wrong.append(name)
        return took

    def published() -> float:
        metrics = Metrics()
        with _published(metrics):
            return measure("published", metrics)

    def timed() -> float:
        with _timed() as spent:
            took = measure("timed", Metrics())
        recording_s.append(sum(spent))
        return took

    wall_s = alternate(
        {
            "nothing": lambda: measure("nothing", _Nothing()),
            "recorded": lambda: measure("recorded", Metrics()),
            "published": published,
            "timed": timed,
        },
        settings.repeat * (1 if settings.quick else _TURNS),
    )

    def result(name: str, ours: list[float], peer: list[float], limit: float) -> Result:
        mine, theirs = _medians(ours, settings.repeat), _medians(peer, settings.repeat)
        return Result(
            f"metrics_overhead: {name}",
            ours=median(mine) / _BATCHES * 1e6,
            peer=median(theirs) / _BATCHES * 1e6,
            unit="us/batch",
            values=ratios(mine, theirs),
            target=limit,
            at_least=False,
            answers_equal=not wrong,
            samples={"ours_s": ours, "peer_s": peer},
        )

    return [
        *(
            result(f"{name} vs nothing, {what}", figures[name], figures["nothing"], 1 + _TARGET)
            for name in ("recorded", "published")
            for what, figures in (("time", wall_s), ("CPU time", cpu_s))
        ),
        result("recording, of a batch", recording_s, wall_s["timed"], _TARGET),
    ]


def _medians(figures: Sequence[float], repeat: int) -> list[float]:
    """The median of the turns of each repetition."""
    turns = len(figures) // repeat
    return [median(figures[start : start + turns]) for start in range(0, len(figures), turns)]


def _size() -> int:
    """How many bytes this machine hashes in the time of a batch."""
    sample = b"x" * 2**20
    return round(len(sample) * _BATCH_S / min(seconds(lambda: hashlib.sha256(sample)) for _ in range(50)))


@contextmanager
def _published(metrics: Metrics) -> Iterator[None]:
    """Publishes to SQLite and lets another process fetch, as Prometheus does, until the block ends."""
    done = threading.Event()
    with tempfile.TemporaryDirectory() as name, serve_metrics(metrics, port=0) as server:
        folder = Path(name)
        publisher = Publisher([f"sqlite:{folder / 'metrics.db'}"], folder / "unpublished")
        run = RunInfo("metrics_overhead")

        def publish() -> None:
            while True:
                publisher.publish(Measurement.of(run, metrics.snapshot()))
                if done.wait(_EACH_S):
                    return

        url = f"http://127.0.0.1:{server.port}/metrics"
        command = [sys.executable, PROGRAMS / "scrape.py", url, str(_EACH_S)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as scraper:
            publishing = threading.Thread(target=publish)
            try:
                assert scraper.stdout is not None
                if not scraper.stdout.readline():
                    raise RuntimeError(f"{url} could not be fetched")
                publishing.start()
                yield
            finally:
                done.set()
                scraper.terminate()
                if publishing.ident is not None:
                    publishing.join()
                (delivery,) = publisher.close(60)
        if delivery.problem is not None:
            raise RuntimeError(f"not everything was published: {delivery.problem}")


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Collects how long each batch took to be recorded."""
    spent: list[float] = []
    record, clock = Reporter.batch, time.perf_counter

    def timed(*arguments: Any) -> None:
        start = clock()
        record(*arguments)
        spent.append(clock() - start)

    Reporter.batch = timed  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        Reporter.batch = record  # type: ignore[method-assign]
