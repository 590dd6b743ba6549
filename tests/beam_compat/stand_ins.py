"""A pytest plugin: in the modules of `apache_beam.ml.inference` the public names are ours.

What is not public there, and what has no counterpart here, stays Beam's.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import runinference.beam
from runinference.handlers.pytorch import handlers as pytorch_handlers
from tests.beam_compat.shared_models import reduce


class RunInference(runinference.beam.RunInference):  # type: ignore[type-arg]
    """Ours, with the option that gives dead letters as Beam's tests look for them."""

    def with_exception_handling(self, *, per_batch: bool = True, **options: Any) -> Any:
        """The same, with lists of elements as dead letters."""
        return super().with_exception_handling(per_batch=per_batch, **options)


NAMES = {
    "base": [name for name in runinference.beam.__all__ if name != "WatchFilePattern"],
    "utils": ["WatchFilePattern", "PredictionResult"],
    "sklearn_inference": ["ModelFileType", "PredictionResult", "SklearnModelHandlerNumpy", "SklearnModelHandlerPandas"],
    "pytorch_inference": [
        "PredictionResult",
        "PytorchModelHandlerKeyedTensor",
        "PytorchModelHandlerTensor",
        "default_keyed_tensor_inference_fn",
        "default_tensor_inference_fn",
        "make_keyed_tensor_model_fn",
        "make_tensor_model_fn",
    ],
    "onnx_inference": ["OnnxModelHandlerNumpy", "PredictionResult"],
}


def pytest_configure(config: pytest.Config) -> None:
    """Replaces the names that the test modules of the command line use."""
    under_test = [argument.rpartition(".")[2].removesuffix("_test") for argument in config.args]
    put_in([name for name in NAMES if name in ("base", "utils", *under_test)])
    runinference.ModelHandler.__reduce_ex__ = reduce  # type: ignore[assignment,method-assign]


def put_in(names: list[str]) -> None:
    """Replaces names of modules, for everybody who imports them from now on."""
    # All modules are there before the first name is replaced: they import each other.
    modules = {name: importlib.import_module(f"apache_beam.ml.inference.{name}") for name in names}
    for module, found in modules.items():
        for name in NAMES[module]:
            setattr(found, name, _ours(name))


def _ours(name: str) -> Any:
    if name == "RunInference":
        return RunInference
    places = runinference.beam, runinference, pytorch_handlers
    return next(getattr(place, name) for place in places if hasattr(place, name))
