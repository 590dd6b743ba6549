"""A service of an engine, which is there once it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class _Service(Protocol):
    ended: bool

    def close(self) -> None: ...


ServiceT = TypeVar("ServiceT", bound=_Service)


class Serving(Generic[ServiceT]):
    """Starts a service at first use, and another one where the one before ended because its model could not run.

    Args:
        start: Makes and starts a service.
    """

    def __init__(self, start: Callable[[], ServiceT]) -> None:
        self._start = start
        self._service: ServiceT | None = None
        self._starting = threading.Lock()

    def service(self) -> ServiceT:
        """The service that runs."""
        service = self._service
        if service is None or service.ended:
            with self._starting:
                if self._service is None or self._service.ended:
                    self._service = self._start()
                service = self._service
        return service

    def close(self) -> None:
        """Answers what was submitted and ends the thread."""
        if self._service is not None:
            self._service.close()
