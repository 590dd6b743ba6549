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
    "EnsembleModelHandler": "ensemble",
    "Failure": "prediction",
    "HandlerOptions": "options",
    "HuggingFaceEmbeddingModelHandler": "handlers.huggingface.embedding",
    "HuggingFaceModelHandlerKeyedTensor": "handlers.huggingface.models",
    "HuggingFaceModelHandlerTensor": "handlers.huggingface.models",
    "HuggingFacePipelineModelHandler": "handlers.huggingface.pipeline",
    "HuggingFaceTextModelHandler": "handlers.huggingface.text",
    "ImagePreprocessor": "handlers.images",
    "InferenceError": "errors",
    "InferenceTimeoutError": "errors",
    "KeyModelMapping": "keyed",
    "KeyModelPathMapping": "keyed",
    "KeyedModelHandler": "keyed",
    "MaskedTokens": "handlers.pytorch.masked",
    "MaybeKeyedModelHandler": "keyed",
    "Metrics": "metrics",
    "MetricsSnapshot": "metrics",
    "MissingDependencyError": "errors",
    "ModelFaultError": "errors",
    "ModelFileType": "handlers.sklearn",
    "ModelHandler": "handler",
    "ModelLoadError": "errors",
    "ModelMetadata": "keyed",
    "ModelProcessDiedError": "errors",
    "ModelType": "handlers.tensorflow.handlers",
    "OnnxModelHandlerNumpy": "handlers.onnx.handlers",
    "OutputCountError": "errors",
    "PipelineTask": "handlers.huggingface.tasks",
    "PredictionResult": "prediction",
    "PytorchModelHandlerKeyedTensor": "handlers.pytorch.handlers",
    "PytorchModelHandlerTensor": "handlers.pytorch.handlers",
    "RowError": "errors",
    "RunInferenceError": "errors",
    "SklearnModelHandlerNumpy": "handlers.sklearn",
    "SklearnModelHandlerPandas": "handlers.sklearn",
    "TFModelHandlerNumpy": "handlers.tensorflow.handlers",
    "TFModelHandlerTensor": "handlers.tensorflow.handlers",
    "TransientError": "errors",
    "XGBoostModelHandlerNumpy": "handlers.xgboost.handlers",
    "XGBoostModelHandlerPandas": "handlers.xgboost.handlers",
    "XGBoostModelHandlerSciPy": "handlers.xgboost.handlers",
    "decode_image": "handlers.images",
    "infer": "engine.local",
    "infer_table": "engine.table",
    "make_keyed_tensor_model_fn": "handlers.pytorch.handlers",
    "make_tensor_model_fn": "handlers.pytorch.handlers",
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
