"""The handler for a model file or folder that is named with a scheme, such as `sklearn:model.joblib`.

Each function gets what stands behind the colon.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from runinference.errors import ConfigurationError, closest


def _sklearn(path: str) -> Any:
    from runinference.handlers.sklearn import ModelFileType, SklearnModelHandlerNumpy

    kinds = {
        ".joblib": ModelFileType.JOBLIB,
        ".pickle": ModelFileType.PICKLE,
        ".pkl": ModelFileType.PICKLE,
        ".skops": ModelFileType.SKOPS,
    }
    return SklearnModelHandlerNumpy(path, kinds[_suffix("sklearn", path, kinds)])


def _onnx(path: str) -> Any:
    from runinference.handlers.onnx.handlers import OnnxModelHandlerNumpy

    _suffix("onnx", path, [".onnx", ".ort"])
    return OnnxModelHandlerNumpy(path)


def _xgboost(path: str) -> Any:
    from runinference.handlers.xgboost.handlers import XGBoostModelHandlerNumpy
    from runinference.handlers.xgboost.model import saved_class

    _suffix("xgboost", path, [".json", ".ubj", ".model"])
    return XGBoostModelHandlerNumpy(saved_class(path), path)


def _tensorflow(path: str) -> Any:
    from runinference.handlers.tensorflow.handlers import TFModelHandlerNumpy

    path, _, signature = path.partition("?signature=")
    check_exists(path)
    return TFModelHandlerNumpy(path, signature=signature or None)


def _torch(path: str) -> Any:
    from runinference.handlers.pytorch.handlers import PytorchModelHandlerTensor
    from runinference.handlers.pytorch.kinds import kind_of_file
    from runinference.models.files import local_model

    check_exists(path)
    kind = kind_of_file(local_model(path))
    if kind == "exported":
        return PytorchModelHandlerTensor(exported_program_path=path, device="auto")
    if kind == "script":
        return PytorchModelHandlerTensor(torch_script_model_path=path, device="auto")
    raise ConfigurationError(
        f"torch:{path} holds no model that can be run by itself. Save one with torch.export.save (.pt2); for a file of "
        "weights write PytorchModelHandlerTensor(path, model_class) into a Python file and name it file.py:handler"
    )


def _huggingface(text: str) -> Any:
    from runinference.handlers.huggingface.embedding import HuggingFaceEmbeddingModelHandler
    from runinference.handlers.huggingface.loading import may_be_on_hub
    from runinference.handlers.huggingface.pipeline import HuggingFacePipelineModelHandler

    task, _, model = text.partition("@")
    if not task or not model:
        raise ConfigurationError(
            f"huggingface:{text}: name a task and a model, a folder or one on the hub, such as "
            "huggingface:text-classification@distilbert-base-uncased-finetuned-sst-2-english"
        )
    if not may_be_on_hub(model):
        check_exists(model)
    if task == "sentence-embedding":  # Of all tasks the only one without a pipeline.
        return HuggingFaceEmbeddingModelHandler(model, device="auto")
    return HuggingFacePipelineModelHandler(task, model)


SCHEMES: dict[str, Callable[[str], Any]] = {
    "huggingface": _huggingface,
    "onnx": _onnx,
    "sklearn": _sklearn,
    "tensorflow": _tensorflow,
    "torch": _torch,
    "xgboost": _xgboost,
}
"""What stands before the colon for a model, and the function that makes its handler."""


def _suffix(scheme: str, path: str, known: Iterable[str]) -> str:
    """The suffix of a model file that exists, as far as that can be told, and is one of `known`."""
    check_exists(path)
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        raise ConfigurationError(
            f"{scheme}:{path}: the suffix must be one of {', '.join(known)}; for other files write a handler"
        )
    return suffix


def check_exists(path: str) -> None:
    """Raises `ConfigurationError` for a path on this machine that leads to nothing."""
    if "://" not in path and not os.path.exists(path):
        siblings = [str(sibling) for sibling in Path(path).parent.glob("*")]
        raise ConfigurationError(f"The model file {path} does not exist.{closest(path, siblings)}")
