"""Three models of one kind that answer differently, as files, as our handlers, as Beam's, and called by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from harness import beam, data
from harness.machine import versions
from runinference import ModelFileType, PytorchModelHandlerTensor, SklearnModelHandlerNumpy

COUNT = 3
_HIDDEN = 256
_CLASSES = 10

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        name: What the table calls it.
        rows: Makes examples of a matrix.
        ours: Our handlers, which batch as given options say.
        beams: Beam's handlers; none where Beam is not installed.
        loops: For each model a function that loads it and returns what makes a prediction for each row of a batch.
        label: The class that a prediction says.
        beam_part: Beam is measured on one of so many parts of the rows.
    """

    name: str
    rows: Callable[[Array], Sequence[Any]]
    ours: Callable[..., list[Any]]
    beams: Callable[[], list[Any]]
    loops: Sequence[Callable[[], Callable[[list[Any]], Any]]]
    label: Callable[[Any], int]
    beam_part: int = 1


class Perceptron(torch.nn.Sequential):
    """64-256-10."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Linear(data.FEATURES, _HIDDEN), torch.nn.ReLU(), torch.nn.Linear(_HIDDEN, _CLASSES))


def logistic() -> Kind:
    """Logistic regressions of scikit-learn."""
    version = versions(["scikit-learn"])["scikit-learn"]
    paths = [
        str(data.made_once(f"logistic-{number}-of-3-sklearn-{version}.joblib", partial(_write_logistic, number)))
        for number in range(COUNT)
    ]

    def ours(**options: int) -> list[Any]:
        return [SklearnModelHandlerNumpy(path, ModelFileType.JOBLIB, **options) for path in paths]

    def beams() -> list[Any]:
        if not beam.installed():
            return []
        from apache_beam.ml.inference import sklearn_inference

        file_type = sklearn_inference.ModelFileType.JOBLIB
        return [sklearn_inference.SklearnModelHandlerNumpy(path, file_type) for path in paths]

    return Kind("scikit-learn", list, ours, beams, [partial(_logistic_loop, path) for path in paths], int)


def perceptrons() -> Kind:
    """Perceptrons of PyTorch."""
    paths = [
        str(data.made_once(f"perceptron-{number}-of-3.pth", partial(_write_perceptron, number)))
        for number in range(COUNT)
    ]

    def ours(**options: int) -> list[Any]:
        return [PytorchModelHandlerTensor(path, Perceptron, device="CPU", **options) for path in paths]

    def beams() -> list[Any]:
        if not beam.installed():
            return []
        from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerTensor as Handler

        return [Handler(path, Perceptron, {}, "CPU") for path in paths]

    def rows(matrix: Array) -> Sequence[torch.Tensor]:
        return list(torch.from_numpy(matrix))

    loops = [partial(_perceptron_loop, path) for path in paths]
    return Kind("PyTorch", rows, ours, beams, loops, _likeliest, beam_part=5)


def _likeliest(scores: Any) -> int:
    return int(scores.argmax())


def _write_logistic(number: int, path: Path) -> None:
    features = data.matrix(20_000, seed=0)
    weights = np.roll(np.linspace(-1, 1, data.FEATURES, dtype=np.float32), 20 * number)
    labels = (features @ weights > 0).astype(np.int64)
    joblib.dump(LogisticRegression(max_iter=200).fit(features, labels), path)


def _write_perceptron(number: int, path: Path) -> None:
    torch.manual_seed(number)
    torch.save(Perceptron().state_dict(), path)


def _logistic_loop(path: str) -> Callable[[list[Any]], Any]:
    model = joblib.load(path)
    return lambda batch: model.predict(np.stack(batch))


def _perceptron_loop(path: str) -> Callable[[list[Any]], Any]:
    model = Perceptron()
    model.load_state_dict(torch.load(path, weights_only=True))
    model.eval()

    def predict(batch: list[Any]) -> Any:
        with torch.inference_mode():
            return model(torch.stack(batch))

    return predict
