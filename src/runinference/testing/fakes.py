"""Small handlers that count, fail, run out of memory or sleep, for tests without a framework."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from runinference.handler import ModelHandler
from runinference.models.files import open_model_file
from runinference.options import HandlerOptions
from runinference.prediction import PredictionResult


class FakeModel:
    """A model that doubles; as an object of its own it can be watched for its release."""

    def __init__(self) -> None:
        self.weights = np.array([2.0])

    def predict(self, example: Any, factor: Any = 2) -> Any:
        """The example, `factor` times."""
        return example * factor


class CallLog:
    """What was asked of a handler, recorded from any thread.

    A log stays with the copies that `with_preprocess_fn` and the like make of a handler; a pickled handler starts
    with an empty one.

    Attributes:
        batch_sizes: Rows of each call, in the order of the calls.
        threads: Identifier of the thread of each call.
        models: A weak reference to each model that was loaded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.batch_sizes: list[int] = []
        self.threads: list[int] = []
        self.models: list[weakref.ref[Any]] = []

    @property
    def calls(self) -> int:
        """How often the model was called."""
        return len(self.batch_sizes)

    @property
    def loads(self) -> int:
        """How often the model was loaded."""
        return len(self.models)

    def loaded(self, model: Any) -> None:
        """Takes note of a loaded model."""
        with self._lock:
            self.models.append(weakref.ref(model))

    def called(self, rows: int) -> None:
        """Takes note of a call with so many rows."""
        with self._lock:
            self.batch_sizes.append(rows)
            self.threads.append(threading.get_ident())

    def __reduce__(self) -> tuple[type[CallLog], tuple[()]]:
        return CallLog, ()


class CountingHandler(ModelHandler[Any, PredictionResult, FakeModel]):
    """Doubles each example and keeps a log of its calls.

    ```python
    handler = CountingHandler(max_batch_size=4)
    results = list(infer(range(10), handler))
    assert handler.log.loads == 1
    assert max(handler.log.batch_sizes) <= 4
    ```

    Args:
        **options: See [HandlerOptions][runinference.options.HandlerOptions].
    """

    def __init__(self, **options: Unpack[HandlerOptions]) -> None:
        super().__init__(**options)
        self.log = CallLog()

    def load_model(self) -> FakeModel:
        """Makes a model."""
        model = FakeModel()
        self.log.loaded(model)
        return model

    def run_inference(
        self, batch: Sequence[Any], model: FakeModel, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Doubles the examples; `factor` in `inference_args` says otherwise."""
        self.log.called(len(batch))
        self.before(batch)
        arguments = inference_args or {}
        return [
            PredictionResult(example, model.predict(example, **arguments), self.get_model_id()) for example in batch
        ]

    def before(self, batch: Sequence[Any]) -> None:
        """What happens before the model runs; for subclasses."""

    def get_model_id(self) -> str:
        """`fake`."""
        return "fake"


class FailingHandler(CountingHandler):
    """Fails as long as a batch holds one of certain rows.

    Args:
        bad: The rows that fail, or a function that tells for each.
        error: Makes the exception for a row; a `ValueError` by default.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].
    """

    def __init__(
        self,
        bad: Container[Any] | Callable[[Any], bool],
        error: Callable[[Any], Exception] | None = None,
        **options: Unpack[HandlerOptions],
    ) -> None:
        super().__init__(**options)
        self._is_bad = bad if callable(bad) else bad.__contains__
        self._error = error or _bad_row

    def before(self, batch: Sequence[Any]) -> None:
        """Raises at the first bad row."""
        for row in batch:
            if self._is_bad(row):
                raise self._error(row)


def _bad_row(row: Any) -> Exception:
    return ValueError(f"bad row {row!r}")


class MemoryCapHandler(CountingHandler):
    """Runs out of memory on batches of more rows than a cap that nobody is told.

    Args:
        cap: Most rows that fit; may be changed while running.
        seconds: How long each call takes, so that larger batches pay.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].
    """

    def __init__(self, cap: int, seconds: float = 0.0, **options: Unpack[HandlerOptions]) -> None:
        super().__init__(**options)
        self.cap = cap
        self._seconds = seconds

    def before(self, batch: Sequence[Any]) -> None:
        """Raises `MemoryError` where the batch does not fit."""
        if len(batch) > self.cap:
            raise MemoryError(f"{len(batch)} rows do not fit")
        time.sleep(self._seconds)


class SleepingHandler(CountingHandler):
    """Takes its time.

    Args:
        seconds: How long each call takes.
        hangs_on: Rows on which a call waits until `wake` is called.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].
    """

    def __init__(self, seconds: float = 0.0, hangs_on: Container[Any] = (), **options: Unpack[HandlerOptions]) -> None:
        super().__init__(**options)
        self._seconds = seconds
        self._hangs_on = hangs_on
        self._awake = threading.Event()

    def before(self, batch: Sequence[Any]) -> None:
        """Sleeps, and hangs on certain rows."""
        time.sleep(self._seconds)
        if any(row in self._hangs_on for row in batch):
            self._awake.wait()

    def wake(self) -> None:
        """Lets all calls that hang go on, so that their threads end."""
        self._awake.set()


class FileModelHandler(CountingHandler):
    """Multiplies each example with the number in a file, which may be exchanged for another while running.

    Args:
        path: The file, or any URL that fsspec knows; it holds nothing but a whole number.
        bad: The rows that the model fails on by the number that it holds, for models that load but do not work.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        bad: Mapping[int, Container[Any]] | None = None,
        **options: Unpack[HandlerOptions],
    ) -> None:
        super().__init__(**options)
        self._path = os.fspath(path)
        self._bad = bad or {}

    def load_model(self) -> FakeModel:
        """Reads the file."""
        with open_model_file(self._path) as file:
            factor = int(file.read())
        model = super().load_model()
        model.weights = np.array([factor])
        return model

    def run_inference(
        self, batch: Sequence[Any], model: FakeModel, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Multiplies the examples."""
        factor = int(model.weights[0])
        for example in batch:
            if example in self._bad.get(factor, ()):
                raise ValueError(f"model {factor} fails on {example!r}")
        return list(super().run_inference(batch, model, {"factor": factor, **(inference_args or {})}))

    def get_model_id(self) -> str:
        """The path."""
        return self._path

    def update_model_path(self, model_path: str | None = None) -> None:
        """Reads another file from now on."""
        self._path = self._path if model_path is None else model_path
