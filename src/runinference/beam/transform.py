"""The transform."""

from __future__ import annotations

import copy
import inspect
import os
import time
import uuid
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Self, TypeVar

import apache_beam as beam
from apache_beam import pvalue

from runinference.beam.dead_letters import COUNTS, FAILED, MAIN, Catching, CheckThreshold, RunInferenceDLQ
from runinference.beam.dofn import RunModel
from runinference.beam.pickling import check_can_be_pickled
from runinference.beam.steps import apply, steps_after, steps_before, without_functions
from runinference.beam.worker import EngineSpec
from runinference.engine.plan import Plan
from runinference.engine.update import with_path
from runinference.ensemble import EnsembleModelHandler
from runinference.errors import ConfigurationError, closest
from runinference.keyed import KeyedModelHandler

ExampleT = TypeVar("ExampleT")
PredictionT = TypeVar("PredictionT")

_WATCHING = ("interval", "stop_timestamp")
_INTERVAL_S = 360.0


class RunInference(beam.PTransform[pvalue.PCollection[ExampleT], pvalue.PCollection[PredictionT]]):
    """Runs a model on the elements of a PCollection.

    ```python
    with beam.Pipeline() as pipeline:
        predictions = pipeline | beam.Create(examples) | RunInference(handler)
    ```

    It has the arguments, outputs, labels and metrics of `apache_beam.ml.inference.base.RunInference`. Each worker
    process has one model, and elements of all bundles that run in it at a time share batches. Windows, timestamps and
    panes of the elements stay with their predictions.

    Args:
        model_handler: Loads the model and runs it; of this package or of `apache_beam.ml.inference`.
        clock: Without effect; Beam uses it in tests.
        inference_args: Extra keyword arguments for each call of the model; a dict, or a side input as
            `beam.pvalue.AsDict` gives it.
        metrics_namespace: Where metrics are reported; by default where the handler says.
        model_metadata_pcoll: A PCollection of `ModelMetadata`, or of one list of `KeyModelPathMapping`, which is used
            as a side input: an element runs on the version that the side input has for it.
        watch_model_pattern: Where new versions of the model appear: a folder, a glob, a file that names one, behind
            any URL. Each worker looks there, in batch pipelines too, and brings in a new version while the one before
            serves. Of several models a dict with the pattern of each key or name.
        interval: How often to look there, in seconds; 360 by default.
        stop_timestamp: When to stop looking, in seconds since 1970.
        model_identifier: Transforms that say the same share a model, in each process and, with `large_model` or
            `model_copies`, on each machine.
        use_model_manager: Hold the model in a process of its own for all workers of a machine, as `large_model` does.
        monitoring_transform: Is given the predictions before postprocessing.

    Raises:
        ConfigurationError: An argument is unknown or cannot work, or the handler cannot be sent to workers.
    """

    def __init__(
        self,
        model_handler: Any,
        clock: Any = time,  # noqa: ARG002
        inference_args: Mapping[str, Any] | pvalue.AsSideInput | None = None,
        metrics_namespace: str | None = None,
        *,
        model_metadata_pcoll: pvalue.PCollection | None = None,
        watch_model_pattern: str | os.PathLike[str] | Mapping[Hashable, str] | None = None,
        model_identifier: str | None = None,
        use_model_manager: bool = False,
        model_manager_args: Mapping[str, Any] | None = None,
        monitoring_transform: beam.PTransform | None = None,
        **watching: Any,
    ) -> None:
        super().__init__()
        self._handler = model_handler
        # What a side input gives is known, and checked, on the worker.
        self._deferred_args = inference_args if isinstance(inference_args, pvalue.AsSideInput) else None
        known = None if inference_args is None or self._deferred_args else dict(inference_args)
        self._inference_args = known
        self._plan = Plan.of(model_handler, known)
        self._namespace = metrics_namespace or self._plan.namespace
        self._metadata = model_metadata_pcoll
        self._pattern = watch_model_pattern
        self._watching = watching
        self._identifier = model_identifier
        self._tag = uuid.uuid4().hex
        self._in_own_process = use_model_manager
        self._monitoring = monitoring_transform
        self._catching: Catching | None = None
        self._check(model_manager_args)
        check_can_be_pickled(type(model_handler).__name__, model_handler)
        check_can_be_pickled("inference_args", self._inference_args)

    @classmethod
    def from_callable(cls, model_handler_provider: Callable[..., Any], **kwargs: Any) -> Self:
        """The transform with the handler that a function returns, for pipelines in other languages.

        Args:
            model_handler_provider: Returns the handler.
            **kwargs: Its arguments.
        """
        return cls(model_handler_provider(**kwargs))

    def with_exception_handling(
        self,
        *,
        exc_class: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        use_subprocess: bool = False,
        threshold: float = 1,
        timeout: float | None = None,
        per_batch: bool = False,
    ) -> Self:
        """A copy of this transform that gives failing elements to an output of their own.

        ```python
        predictions, failed = examples | RunInference(handler).with_exception_handling()
        failed.failed_inferences  # (element, (class of the exception, its repr, lines of its traceback))
        ```

        The elements that fail are found within their batch; all others have their predictions. A model that cannot be
        loaded fails the bundle.

        Args:
            exc_class: The exceptions that are handled; others fail the bundle.
            use_subprocess: Run the model in a process of its own, so that a crash of it is a failure as well.
            threshold: The largest share of elements that may fail in a window; a larger one fails the pipeline.
            timeout: Longest time to load the model, for the model on one batch, and for each pre- and postprocessing of
                an element, in seconds. The elements that it takes too long for, or that wait for a model which takes
                too long to load, fail.
            per_batch: Gives one dead letter for all elements of a batch that failed alike, with a list of them.

        Raises:
            ConfigurationError: An argument cannot work.
        """
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
            raise ConfigurationError(f"threshold is a share between 0 and 1, got {threshold!r}")
        if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
            raise ConfigurationError(f"timeout must be seconds above 0, got {timeout!r}")
        changed = copy.copy(self)
        changed._catching = Catching(exc_class, use_subprocess, threshold, timeout, per_batch)
        return changed

    def with_monitoring_transform(self, monitoring_transform: beam.PTransform) -> Self:
        """A copy of this transform that gives the predictions before postprocessing to another one too.

        Args:
            monitoring_transform: Takes a PCollection of predictions.
        """
        changed = copy.copy(self)
        changed._monitoring = monitoring_transform
        return changed

    def annotations(self) -> dict[str, Any]:
        """What Beam shows of this transform in a graph."""
        kind = type(self._handler)
        found = {
            "model_handler": str(self._handler),
            "model_handler_type": f"{kind.__module__}.{kind.__qualname__}",
            "model_identifier": self._identifier or self._tag,
        }
        if self._monitoring is not None:
            found["monitoring_transform"] = str(self._monitoring)
        return {**found, **super().annotations()}

    def expand(self, pcoll: pvalue.PCollection) -> Any:
        """Preprocessing, the model, what watches it, postprocessing."""
        catching = self._catching
        pcoll, failed_before = apply(pcoll, steps_before(self._plan), "BeamML_RunInference_Preprocess", catching)
        step = self._run_model(pcoll)
        if catching is None:
            results = pcoll | "BeamML_RunInference" >> step
        else:
            outputs = pcoll | "BeamML_RunInference" >> step.with_outputs(FAILED, COUNTS, main=MAIN)
            results, failed = outputs[MAIN], outputs[FAILED]
            if catching.threshold < 1:
                _ = outputs[COUNTS] | "BeamML_RunInference_Threshold" >> CheckThreshold(catching.threshold)
        if self._monitoring is not None:
            _ = results | "BeamML_RunInference_MonitoringOutlet" >> self._monitoring
        results, failed_after = apply(results, steps_after(self._plan), "BeamML_RunInference_Postprocess", catching)
        if catching is None:
            return results
        return results, RunInferenceDLQ(failed, failed_before, failed_after)

    def _run_model(self, pcoll: pvalue.PCollection) -> beam.ParDo:
        override = getattr(self._handler, "override_metrics", None)
        dofn = RunModel(
            self._engine_spec(pcoll.is_bounded),
            self._plan.prebatched,
            self._catching,
            records_metrics=override is None or not override(self._namespace),
        )
        version = None if self._metadata is None else pvalue.AsSingleton(self._metadata)
        hints: dict[str, Any] = getattr(self._handler, "get_resource_hints", dict)()
        return beam.ParDo(dofn, version, self._deferred_args).with_resource_hints(**hints)

    def _engine_spec(self, is_bounded: bool) -> EngineSpec:
        catching = self._catching
        timeout_s = None if catching is None else catching.timeout_s
        interval = self._watching.get("interval", _INTERVAL_S)
        until = self._watching.get("stop_timestamp")
        return EngineSpec(
            # The same transform with other ways to fail is another one.
            tag=uuid.uuid4().hex,
            handler=without_functions(self._handler),
            namespace=self._namespace,
            inference_args=self._inference_args,
            timeout_s=timeout_s,
            model_identifier=self._identifier,
            watch_model_pattern=self._pattern,
            watch_interval_s=float(interval),
            watch_until_s=None if until is None else float(until),
            hosted_as=self._identifier or self._tag,
            shares_all=self._in_own_process,
            own_process=catching is not None and catching.use_subprocess,
            handles_failures=catching is not None,
            # With a side input it is not known yet what is to be loaded, and a time-out is one of elements.
            loads_early=self._metadata is None and self._deferred_args is None and timeout_s is None,
            is_bounded=is_bounded,
        )

    def _check(self, model_manager_args: Mapping[str, Any] | None) -> None:
        unknown = [name for name in self._watching if name not in _WATCHING]
        if unknown:
            parameters = inspect.signature(type(self)).parameters.values()
            known = [*_WATCHING, *(each.name for each in parameters if each.kind is not each.VAR_KEYWORD)]
            raise ConfigurationError(f"RunInference has no argument {unknown[0]!r}.{closest(unknown[0], known)}")
        if self._watching and self._pattern is None:
            raise ConfigurationError(f"{next(iter(self._watching))} has no effect without watch_model_pattern")
        if model_manager_args:
            raise ConfigurationError(
                "model_manager_args has no effect: the number of copies is the handler's model_copies, and "
                "KeyedModelHandler(…, max_model_bytes=…) limits the memory of several models"
            )
        if self._metadata is not None and self._pattern is not None:
            raise ConfigurationError(
                "model_metadata_pcoll and watch_model_pattern both say which version runs: pass one"
            )
        one_model = not isinstance(self._plan.handler, (KeyedModelHandler, EnsembleModelHandler))
        if one_model and (self._metadata is not None or self._pattern is not None):
            with_path(self._plan.handler, "-")  # Raises where the handler cannot load another version.
