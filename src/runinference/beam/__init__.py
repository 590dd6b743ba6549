"""Apache Beam: the `RunInference` transform, with the engine of this package inside.

A pipeline written for `apache_beam.ml.inference` runs after its imports were changed: what
`apache_beam.ml.inference.base` has for users is here under the same names.
"""

from runinference.beam.dead_letters import RunInferenceDLQ
from runinference.beam.transform import RunInference
from runinference.beam.watch_file_pattern import WatchFilePattern
from runinference.handler import ModelHandler
from runinference.keyed import (
    KeyedModelHandler,
    KeyModelMapping,
    KeyModelPathMapping,
    MaybeKeyedModelHandler,
    ModelMetadata,
)
from runinference.prediction import PredictionResult

__all__ = [
    "KeyModelMapping",
    "KeyModelPathMapping",
    "KeyedModelHandler",
    "MaybeKeyedModelHandler",
    "ModelHandler",
    "ModelMetadata",
    "PredictionResult",
    "RunInference",
    "RunInferenceDLQ",
    "WatchFilePattern",
]
