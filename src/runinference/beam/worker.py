"""The engine of a worker process: one for each transform, for all threads that run bundles of it."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import hashlib
import os
import pickle
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from runinference.beam.model_metrics import ModelMetrics
from runinference.engine.engine import Engine
from runinference.keyed import KeyModelPathMapping
from runinference.metrics import Journal, MetricsSnapshot
from runinference.prediction import Failure

_RETRY_AFTER_S = 60.0
_IDLE_S = 60.0


@dataclass(frozen=True)
class EngineSpec:
    """What every worker makes its engine of; it is pickled with the pipeline.

    Attributes:
        tag: Names the transform.
        handler: The handler, without pre- and postprocessing functions, which are steps of the pipeline.
        namespace: Of the metrics.
        inference_args: Extra arguments for each call of the model.
        timeout_s: Longest time for one call of the model, and to load it, in seconds.
        model_identifier: Transforms that say the same share a model.
        watch_model_pattern: Where new versions of the model appear.
        watch_interval_s: How often to look there, in seconds.
        watch_until_s: When to stop looking, in seconds since 1970; `None` never does.
        hosted_as: What a model is called by all processes of the machine, if they share it.
        shares_all: They share all models; else those of which the handlers say so.
        own_process: Hold models that are not shared in processes beside that of the worker.
        handles_failures: Elements that fail are dead letters, and the others go on.
        loads_early: Load the model when the worker starts.
        is_bounded: The input ends, so that nobody is to wait for others at the end of a bundle.
    """

    tag: str
    handler: Any
    namespace: str
    inference_args: dict[str, Any] | None = None
    timeout_s: float | None = None
    model_identifier: str | None = None
    watch_model_pattern: Any = None
    watch_interval_s: float = 30.0
    watch_until_s: float | None = None
    hosted_as: str = ""
    shares_all: bool = False
    own_process: bool = False
    handles_failures: bool = False
    loads_early: bool = True
    is_bounded: bool = False

    def with_arguments(self, inference_args: Mapping[str, Any]) -> EngineSpec:
        """The same with arguments that a side input gave; the model is shared by all of them."""
        digest = hashlib.sha256(pickle.dumps(sorted(inference_args.items()))).hexdigest()
        return dataclasses.replace(
            self,
            tag=f"{self.tag}-{digest}",
            inference_args=dict(inference_args),
            model_identifier=self.model_identifier or self.tag,
        )


class Worker:
    """The engine of one transform in this process, and which version of its model was asked for.

    Args:
        spec: What the engine is made of.

    Attributes:
        engine: The engine.
        model_metrics: What the handler counts itself.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self.model_metrics = ModelMetrics()
        self.engine = Engine(
            spec.handler,
            inference_args=spec.inference_args,
            timeout_s=spec.timeout_s,
            load_timeout_s=spec.timeout_s,
            metrics=Journal(namespace=spec.namespace),
            model_identifier=spec.model_identifier,
            watch_model_pattern=spec.watch_model_pattern,
            watch_interval_s=spec.watch_interval_s,
            hosted_as=functools.partial(_hosted_as, spec, uuid.uuid4().hex),
            # Who goes on with the elements that work is told by the bundles which do not.
            on_failure=_ignore if spec.handles_failures else None,
            before_call=self.model_metrics.listen,
            finds_faults=not spec.handles_failures,
        )
        self._versions = _Versions(self.engine)
        self._loading = threading.Lock()
        self._loaded = False

    def load(self) -> None:
        """Loads the model, unless it is loaded when it is needed."""
        with self._loading:
            if self._spec.loads_early and not self._loaded:
                self.engine.load()
                self._loaded = True

    def update(self, version: str | Sequence[KeyModelPathMapping]) -> bool:
        """Has `version` of the model take over; says whether it serves."""
        return self._versions.ask_for(version)

    def stop_watching_if_due(self) -> None:
        """Looks for no new versions after the time that the user gave."""
        until = self._spec.watch_until_s
        if until is not None and time.time() >= until:
            self.engine.stop_watching()

    def close(self) -> None:
        """Ends the engine."""
        self.engine.close()


def _ignore(failure: Failure) -> None:
    """It is a dead letter of its bundle."""


def _hosted_as(spec: EngineSpec, own: str, handler: Any) -> str | None:
    """What the model of a handler is called by those who share it; `None` where it is in the worker's process."""
    shared = getattr(handler, "share_model_across_processes", None)
    if spec.shares_all or (shared is not None and shared()):
        return spec.hosted_as
    return f"{spec.tag}-{own}" if spec.own_process else None


class _Versions:
    """Brings in the versions of a model that bundles ask for, each once, whatever the number of threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._serving: Any = None
        self._wanted: Any = None
        self._update: Future[Any] | None = None
        self._again_at = 0.0

    def ask_for(self, version: Any) -> bool:
        with self._lock:
            if version == self._serving:
                return True
            if version != self._wanted or (self._update is None and time.monotonic() >= self._again_at):
                self._wanted, self._update = version, self._engine.update_model(version)
            update = self._update
        if update is None:
            return False
        error = update.exception()  # Waits; the engine has told of an error already.
        with self._lock:
            if self._update is update:
                self._update = None
                if error is None:
                    self._serving = version
                else:
                    self._again_at = time.monotonic() + _RETRY_AFTER_S
        return error is None


@dataclass
class _Shared:
    worker: Worker
    users: int = 0
    end: threading.Timer | None = None


@dataclass
class _Workers:
    """The workers of this process, each as long as somebody uses it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    shared: dict[str, _Shared] = field(default_factory=dict)
    pid: int = field(default_factory=os.getpid)


_workers = _Workers()


def acquire(spec: EngineSpec) -> Worker:
    """The worker of `spec` in this process, to be given back with `release`."""
    global _workers
    if os.getpid() != _workers.pid:  # After a fork there are no threads.
        _workers = _Workers()
    with _workers.lock:
        shared = _workers.shared.get(spec.tag)
        if shared is None:
            shared = _workers.shared[spec.tag] = _Shared(Worker(spec))
        shared.users += 1
        if shared.end is not None:
            shared.end.cancel()
            shared.end = None
        return shared.worker


def release(tag: str, worker: Worker) -> None:
    """Ends one use of a worker.

    It stays for a while after the last one: some runners set up their functions for each bundle, and a stream may rest.
    """
    with _workers.lock:
        shared = _workers.shared.get(tag)
        if shared is None or shared.worker is not worker:
            return
        shared.users -= 1
        if not shared.users:
            shared.end = threading.Timer(_IDLE_S, _end_idle, [tag, shared])
            shared.end.daemon = True
            with suppress(RuntimeError):  # When Python ends there are no new threads, and all workers end.
                shared.end.start()


def metrics_of_workers() -> list[MetricsSnapshot]:
    """What the engines of this process have measured; more than Beam's metrics hold, which have no percentiles."""
    with _workers.lock:
        return [shared.worker.engine.metrics() for shared in _workers.shared.values()]


def _end_idle(tag: str, shared: _Shared) -> None:
    with _workers.lock:
        if shared.users or _workers.shared.get(tag) is not shared:
            return
        del _workers.shared[tag]
    shared.worker.close()


@atexit.register  # While threads can still be waited for.
def end_idle_workers() -> None:
    """Ends all workers of this process that nobody uses, without waiting whether they are used again."""
    if os.getpid() == _workers.pid:
        for tag, shared in list(_workers.shared.items()):
            _end_idle(tag, shared)
