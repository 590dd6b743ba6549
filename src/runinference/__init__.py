"""Run a trained model over a lot of data.

Every public name can be imported from here. Nothing is imported before it is used, and no framework is imported
before a handler for it is made.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "BatchPolicy": "options",
    "ConfigurationError": "errors",
    "DataError": "errors",
    "Engine": "engine.engine",
    "EngineClosedError": "errors",
    "Failure": "prediction",
    "HandlerOptions": "options",
    "InferenceError": "errors",
    "InferenceTimeoutError": "errors",
    "KeyedModelHandler": "keyed",
    "MaybeKeyedModelHandler": "keyed",
    "Metrics": "metrics",
    "MetricsSnapshot": "metrics",
    "MissingDependencyError": "errors",
    "ModelFaultError": "errors",
    "ModelFileType": "handlers.sklearn",
    "ModelHandler": "handler",
    "ModelLoadError": "errors",
    "OutputCountError": "errors",
    "PredictionResult": "prediction",
    "RunInferenceError": "errors",
    "SklearnModelHandlerNumpy": "handlers.sklearn",
    "SklearnModelHandlerPandas": "handlers.sklearn",
    "TransientError": "errors",
    "infer": "engine.local",
    "infer_table": "engine.table",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
