"""Exchanges models while rows are running."""

from __future__ import annotations

import copy
import functools
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from runinference.engine.model_copy import ModelCopy
from runinference.engine.served import Served
from runinference.engine.unit import Unit
from runinference.errors import ConfigurationError, EngineClosedError, is_out_of_memory
from runinference.models.memory import fits

_logger = logging.getLogger(__name__)


def path_of(new: Any) -> str:
    """The path or URL of a new model, as text.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(new, (str, os.PathLike)) or not os.fspath(new):
        raise ConfigurationError(f"A new model is given by its path or URL, got {new!r}")
    return os.fspath(new)


def with_path(handler: Any, path: str | os.PathLike[str], model_id: str = "") -> Any:
    """A copy of a handler that loads its model from `path`.

    Args:
        handler: The handler.
        path: Path or URL of another version of its model.
        model_id: What results call it; what the handler says without it.

    Raises:
        ConfigurationError: The handler cannot load another version, or `path` is empty.
    """
    path = path_of(path)
    update = getattr(handler, "update_model_path", None)
    if update is None or _does_nothing(update):
        raise ConfigurationError(f"{type(handler).__name__} cannot change its model while running")
    clone = copy.copy(handler)
    clone.update_model_path(path)
    if model_id or getattr(clone, "get_model_id", _nothing)() is None:
        clone.get_model_id = functools.partial(str, model_id or path)  # Can be pickled.
    return clone


class Updates:
    """Brings new versions of models in, one after another, in a thread of its own.

    A new version is loaded beside the one that serves and tried on some rows that worked before, and takes over
    between two batches. Where the memory does not suffice for both, the model is not called for as long as it takes
    to unload the one and to load the other.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    def begin_with(self, unit: Unit, handler: Any) -> None:
        """Has `unit`, whose model is not loaded yet, load that of `handler`; what it had before is the way back."""
        _exchange(unit, [unit.serve(handler, number) for number in range(len(unit.copies))])

    def start(self, unit: Unit, handler: Any) -> Future[str | None]:
        """Has `unit` run the model of `handler` from now on; the future has what results call it.

        The future has the exception where the new version does not work; then the one before serves on.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "runinference-update")
        return self._pool.submit(self._update, unit, handler)

    def close(self) -> None:
        """Brings in nothing more."""
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _update(self, unit: Unit, handler: Any) -> str | None:
        if self._closed:
            raise EngineClosedError("The engine was closed before the model could be updated")
        before, wanted = unit.model_id, unit.serve(handler, 0).model_id
        try:
            if not unit.is_loaded:  # The model is loaded when it is needed, and falls back on the one before.
                self.begin_with(unit, handler)
            elif fits((unit.num_bytes or 0) * len(unit.copies)):
                self._beside(unit, handler)
            else:
                self._instead(unit, handler)
        except Exception as error:
            unit.reporter.update_failed(wanted, unit.model_id, error)
            raise
        unit.reporter.updated(before, wanted)
        return wanted

    def _beside(self, unit: Unit, handler: Any) -> None:
        versions: list[Served] = []
        unit.enter()
        try:
            for number in range(len(unit.copies)):
                versions.append(unit.serve(handler, number))
                _try(versions[-1], unit)
        except BaseException as error:
            for served in versions:
                served.close()
            if not (is_out_of_memory(error) or (error.__cause__ and is_out_of_memory(error.__cause__))):
                raise
        else:
            _exchange(unit, versions)
            return
        finally:
            unit.leave()
        self._instead(unit, handler)

    def _instead(self, unit: Unit, handler: Any) -> None:
        _logger.warning(
            "There is not enough memory for two versions of %s: it is not called until the new one is loaded",
            unit.model_id,
        )
        errors: list[Exception] = []
        for number, each in enumerate(unit.copies):
            each.drain(_exchange_alone(unit, each, handler, number, errors))
            if errors:
                raise errors[0]


def all_of(futures: Sequence[Future[str | None]]) -> Future[list[str | None]]:
    """A future that is done when all are, with their results or the first exception."""
    joined: Future[list[str | None]] = Future()
    joined.set_running_or_notify_cancel()
    missing = len(futures)
    lock = threading.Lock()

    def done(_: Future[str | None]) -> None:
        nonlocal missing
        with lock:
            missing -= 1
            if missing:
                return
        errors = [error for error in map(_error, futures) if error is not None]
        if errors:
            joined.set_exception(errors[0])
        else:
            joined.set_result([future.result() for future in futures])

    for future in futures:
        future.add_done_callback(done)
    return joined


def _error(future: Future[str | None]) -> BaseException | None:
    if future.cancelled():
        return EngineClosedError("The engine was closed before the model could be updated")
    return future.exception()


def _exchange_alone(
    unit: Unit, model_copy: ModelCopy, handler: Any, number: int, errors: list[Exception]
) -> Callable[[], Served]:
    """Unloads the version of a copy and loads the new one, or the old one again where that does not work."""

    def exchange() -> Served:
        before = model_copy.served
        before.close()
        _free_memory()
        served = unit.serve(handler, number)
        try:
            _try(served, unit)
        except Exception as error:
            errors.append(error)
            served.close()
            _free_memory()
            served = unit.serve(before.handler, number)
            served.lease.model()
        return served

    return exchange


def _exchange(unit: Unit, versions: list[Served]) -> None:
    for model_copy, served in zip(unit.copies, versions, strict=True):
        served.proven = False
        model_copy.exchange(served)


def _try(served: Served, unit: Unit) -> None:
    """Loads a version and runs it on rows that have worked, if any have."""
    served.lease.model()
    if unit.sample is not None:
        served.call(unit.sample)


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _nothing() -> None:
    pass


def _does_nothing(update: Any) -> bool:
    """Whether it is that of Beam's base class, with which the same model would be loaded under a new name."""
    base = sys.modules.get("apache_beam.ml.inference.base")
    return base is not None and getattr(update, "__func__", None) is base.ModelHandler.update_model_path
