"""100,000 rows of 64 float32 through a logistic regression of scikit-learn, which costs next to nothing.

What is left is what a transform costs. Rows come one by one, bare and with a key. A whole pipeline is measured: it is
made, started, loads the model, and ends. Beam's transform forms batches as it does if nothing is said, of up to 10,000
rows; ours does so in its own way. `infer` is ours without a pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from apache_beam.ml.inference import sklearn_inference
from apache_beam.ml.inference.base import KeyedModelHandler as BeamsKeyedModelHandler
from apache_beam.ml.inference.base import RunInference as BeamsRunInference

from beam_cases.pipeline import results
from harness import data
from harness.contest import Contest, Work
from harness.result import Result, Settings
from runinference import KeyedModelHandler, ModelFileType, SklearnModelHandlerNumpy, infer
from runinference.beam import RunInference

_TARGET = 1.0


def run(settings: Settings) -> list[Result]:
    """Bare and keyed rows."""
    matrix = data.matrix(5_000 if settings.quick else 100_000)
    return [
        *_compare("tiny", list(matrix), _ours, _beams, _label, settings),
        *_compare(
            "tiny, keyed",
            list(enumerate(matrix)),
            lambda: KeyedModelHandler(_ours()),
            lambda: BeamsKeyedModelHandler(_beams()),
            _keyed_label,
            settings,
        ),
    ]


def _compare(
    case: str,
    rows: Sequence[Any],
    ours: Callable[[], Any],
    beams: Callable[[], Any],
    answer: Callable[[Any], int],
    settings: Settings,
) -> list[Result]:
    contestants = {
        "ours": partial(results, rows, lambda: RunInference(ours())),
        "Beam's": partial(results, rows, lambda: BeamsRunInference(beams())),
        "infer": lambda: list(infer(rows, ours())),
    }
    works = {name: Work(len(rows), once, answer) for name, once in contestants.items()}
    contest = Contest.hold(case, works, settings.repeat)
    return [contest.against("ours", "Beam's", _TARGET), contest.against("ours", "infer")]


def _ours() -> SklearnModelHandlerNumpy:
    return SklearnModelHandlerNumpy(str(data.model_file()), ModelFileType.JOBLIB)


def _beams() -> sklearn_inference.SklearnModelHandlerNumpy:
    file_type = sklearn_inference.ModelFileType.JOBLIB
    return sklearn_inference.SklearnModelHandlerNumpy(str(data.model_file()), file_type)


def _label(result: Any) -> int:
    return int(result.inference)


def _keyed_label(result: tuple[int, Any]) -> int:
    key, prediction = result
    return 10 * key + _label(prediction)
