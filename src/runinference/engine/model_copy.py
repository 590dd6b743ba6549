"""One copy of a model: called for one batch at a time, and exchanged for another version between two."""

from __future__ import annotations

import threading
from collections.abc import Callable

from runinference.batching import Batch
from runinference.engine.isolate import Search
from runinference.engine.served import Served
from runinference.engine.stages import Outcome, Stages, Started
from runinference.errors import EngineClosedError, ModelFaultError, ModelLoadError

WentBack = Callable[[Served, BaseException], None]
"""Told of a version that did not work and why, after the version before has taken its place again."""


class ModelCopy:
    """Serves a version of a model until it is given another.

    A new version is on trial until a batch has worked on it. If nothing of its first batch does, the version before,
    which was kept, runs that batch and serves on. A batch that was begun on one version ends on it.

    Args:
        served: The version to begin with.
        stages: What is done to a batch.
        went_back: See `WentBack`.
    """

    def __init__(self, served: Served, stages: Stages, went_back: WentBack) -> None:
        self._stages = stages
        self._went_back = went_back
        self._calling = threading.Lock()
        self._state = threading.Condition()
        self._served = served
        self._before: Served | None = None
        self._in_flight: dict[Served, int] = {}
        self._retired: list[Served] = []
        self._draining = self._closed = False

    @property
    def served(self) -> Served:
        """The version that the next batch runs on."""
        return self._served

    @property
    def versions(self) -> list[Served]:
        """The version that the next batch runs on, and the one to go back to."""
        with self._state:
            return [self._served, *([self._before] if self._before is not None else [])]

    @property
    def is_running(self) -> bool:
        """Whether it was called for a batch that has not come out yet."""
        return bool(self._in_flight)

    def load(self) -> None:
        """Loads the model, if it is not loaded yet.

        Raises:
            EngineClosedError: Nothing is loaded any more.
            ModelLoadError: It cannot be loaded.
        """
        with self._state:
            if self._draining:  # Then another version is being loaded.
                return
            if self._closed:
                raise EngineClosedError("The engine was closed before its model was loaded")
            served = self._enter(self._served)
        try:
            served.lease.model()
            return
        except ModelLoadError as error:
            if not self._go_back(served, error):
                raise
        finally:
            self._leave(served)
        self.load()

    def begin(self, batch: Batch) -> Started:
        """Calls the model for a batch; what comes of it is told by `infer`."""
        with self._state:
            if self._draining:  # The call is made by `infer`, when the new version is there.
                return Started.later(batch)
            served = self._enter(self._served)
        with self._calling:
            return self._stages.begin(batch, served)

    def infer(self, started: Started, search: Search) -> Outcome:
        """What came of a batch that the model was called for.

        Raises:
            ModelFaultError: The model fails as a whole.
            ModelLoadError: It had to be loaded again, which failed.
        """
        with self._calling:
            if started.served is None:
                with self._state:
                    served = self._enter(self._served)
                started = self._stages.begin(started.batch, served)
            assert started.served is not None
            try:
                if started.served.proven:
                    return self._stages.infer(started, search)
                return self._on_trial(started, started.served, search)
            finally:
                self._leave(started.served)

    def exchange(self, served: Served) -> None:
        """Runs the next batch on `served`."""
        with self._state:
            if self._closed:
                served.close()
                return
            rejected = None
            if self._before is None:
                self._before = self._served
            else:  # The version on trial is followed before it was tried.
                rejected = self._served
            self._served = served
            self._retire(rejected)

    def drain(self, exchange: Callable[[], Served]) -> None:
        """Runs nothing while `exchange` puts another version in the place of the one that serves, and returns it."""
        with self._state:
            self._draining = True
            self._state.wait_for(lambda: not self._in_flight)
        try:
            with self._calling:
                served = exchange()
                with self._state:
                    self._served, self._before = served, None
        finally:
            with self._state:
                self._draining = self._closed = False

    def release(self) -> None:
        """Lets go of all versions; the one that serves is loaded again when it is needed."""
        with self._state:
            for served in [self._served, *([self._before] if self._before else []), *self._retired]:
                served.close()
            self._retired = []

    def close(self) -> None:
        """Lets go of all versions for good."""
        with self._state:
            self._closed = True
        self.release()

    def _on_trial(self, started: Started, served: Served, search: Search) -> Outcome:
        outcome: Outcome | None = None
        try:
            outcome = self._stages.infer(started)
            if len(outcome.rows):
                self._accept(served)
                return outcome
            error = outcome.failures[0].error if outcome.failures else None
        except (ModelFaultError, ModelLoadError) as fault:
            error = fault
        assert error is not None
        before = self._before if served is self._served else self._served
        if before is not None:
            again = self._stages.infer(self._stages.begin(started.batch, before), search)
            if len(again.rows):
                self._go_back(served, error)
                return again
        if outcome is None:
            raise error
        return outcome

    def _accept(self, served: Served) -> None:
        with self._state:
            served.proven = True
            if served is self._served:
                before, self._before = self._before, None
                self._retire(before)

    def _go_back(self, served: Served, error: BaseException) -> bool:
        with self._state:
            if self._before is None or served is not self._served:
                return False
            self._served, self._before = self._before, None
            self._retire(served)
        self._went_back(served, error)
        return True

    def _enter(self, served: Served) -> Served:
        self._in_flight[served] = self._in_flight.get(served, 0) + 1
        return served

    def _leave(self, served: Served) -> None:
        with self._state:
            self._in_flight[served] -= 1
            if not self._in_flight[served]:
                del self._in_flight[served]
                if served in self._retired:
                    self._retired.remove(served)
                    served.close()
            self._state.notify_all()

    def _retire(self, served: Served | None) -> None:
        """Lets go of a version once nothing runs on it; called with the lock held."""
        if served is None:
            return
        if served in self._in_flight:
            self._retired.append(served)
        else:
            served.close()
