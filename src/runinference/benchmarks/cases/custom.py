"""One's own handler on one's own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.rows import read_rows
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError
from runinference.handler import ModelHandler, num_bytes


class Custom(Benchmark):
    """Runs a handler of one's own over rows of one's own table.

    `--handler` names the handler and `--input` the table as for `runinference run`: all columns are what the model is
    given. Handlers for arrays, frames or tensors are given a row as such; others the value where there is one column,
    else a dict. `beam-original` runs handlers of `apache_beam.ml.inference` only, which the other engines run too.
    Answers are compared by their text, or their number with three digits; of several numbers by which one is the
    largest.
    """

    name = "custom"
    title = "Your handler"
    extras = ("cli",)
    standard = False
    equal = 0.99  # Three digits may be rounded either way.

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if settings.handler is None:
            raise ConfigurationError(
                "custom runs a handler of yours. Name it: --handler sklearn:model.joblib, --handler my_models.py:name "
                "or whatever else `runinference run` takes"
            )
        if settings.input is None:
            raise ConfigurationError(
                "custom runs over data of yours. Name it: --input rows.parquet, or a .csv, .jsonl or .txt file, a "
                "folder or a glob"
            )
        if settings.weights is not None:
            raise ConfigurationError("custom runs the model of the handler. Leave out --weights")
        self._handler_text, self._input = settings.handler, settings.input

    def prepare(self) -> None:
        """Reads a row, so that what is wrong with the handler or the data is said first."""
        read_rows(self._input, 1, self._handler)

    def examples(self) -> Sequence[Any]:
        """Rows, as many as there are."""
        return read_rows(self._input, self.settings.examples, self._handler)

    def handler(self) -> Any:
        """The one that is named."""
        return self._handler

    def beams_handler(self) -> Any:
        """The one that is named, where it is one of Beam's."""
        return self._handler if _is_beams(self._handler) else None

    def answer(self, inference: Any) -> float | str:
        """What a prediction says, in short."""
        return _in_short(inference)

    def num_bytes(self, examples: Sequence[Any]) -> int:
        """Of what the handler is given."""
        return sum(map(num_bytes, examples))

    @cached_property
    def _handler(self) -> Any:
        from runinference.jobs.resolve import resolve_handler

        handler = resolve_handler(self._handler_text)
        options = dict(self.settings.handler_options)
        if not options:
            return handler
        if not isinstance(handler, ModelHandler):
            raise ConfigurationError(
                f"{self._handler_text} does not derive from runinference.ModelHandler, so it takes no options "
                f"({', '.join(options)}). Set them where it is made"
            )
        return handler.with_options(**options)


def _is_beams(handler: Any) -> bool:
    return any(kind.__module__ == "apache_beam.ml.inference.base" for kind in type(handler).__mro__)


def _in_short(value: Any) -> float | str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_in_short(each)}" for name, each in value.items())
    if hasattr(value, "detach"):  # A tensor of PyTorch, which may be on a device or of a type that numpy lacks.
        value = value.detach().cpu().double() if value.is_floating_point() else value.detach().cpu()
    if isinstance(value, (list, tuple)) and any(isinstance(each, (str, Mapping)) for each in value):
        return "; ".join(str(_in_short(each)) for each in value)
    try:
        array = np.asarray(value)
    except ValueError:  # Lists of several lengths.
        return str(value)
    if array.dtype.kind in "biu":
        return int(array) if array.ndim == 0 else int(array.sum())
    if array.dtype.kind != "f" or not array.size:
        return str(value)
    return float(f"{array.item():.3g}") if array.size == 1 else int(array.argmax())
