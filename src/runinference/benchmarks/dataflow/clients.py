"""The clients of Google's services that tell of a job."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from runinference.errors import DataError
from runinference.packages import require

_PURPOSE = "read what a job of Dataflow has used"
_PAUSES_S = (1.0, 2.0, 4.0, 8.0)
_TIMEOUT_S = 60.0
_CREDENTIALS = (
    "Set GOOGLE_APPLICATION_CREDENTIALS to the key file of an account, or type `gcloud auth application-default login`"
)
_ROLES = "The account needs the roles dataflow.viewer and monitoring.viewer"

AnswerT = TypeVar("AnswerT")


class GoogleClients:
    """The Dataflow API and Cloud Monitoring, through Google's own clients.

    A call that fails because the service is busy or cannot be reached is made again, four times at most.

    Args:
        endpoint: Where the Dataflow API is, if not at Google: `http://HOST:PORT` of a server that speaks REST.
        credentials: Of `google.auth`; those of the environment by default.
        monitoring: A client for Cloud Monitoring; made when it is first needed by default.
        sleep: Waits so many seconds between two calls.

    Raises:
        MissingDependencyError: A client is not installed.
        DataError: There are no credentials.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        credentials: Any = None,
        monitoring: Any = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.dataflow = require("google.cloud.dataflow_v1beta3", "gcp", _PURPOSE)
        options: dict[str, Any] = {"credentials": credentials}
        if endpoint is not None:
            options["client_options"] = {"api_endpoint": endpoint.rstrip("/")}
            if endpoint.startswith("http://"):  # gRPC would want a certificate.
                options["transport"] = "rest"
        self._credentials = credentials
        self._monitoring = monitoring
        self._sleep = sleep
        self.jobs = self.call("the Dataflow API", lambda: self.dataflow.JobsV1Beta3Client(**options))
        self.messages = self.call("the Dataflow API", lambda: self.dataflow.MessagesV1Beta3Client(**options))
        self.metrics = self.call("the Dataflow API", lambda: self.dataflow.MetricsV1Beta3Client(**options))

    @functools.cached_property
    def monitoring(self) -> Any:
        """The client for Cloud Monitoring."""
        if self._monitoring is None:
            package = require("google.cloud.monitoring_v3", "gcp", _PURPOSE)
            self._monitoring = self.call(
                "Cloud Monitoring", lambda: package.MetricServiceClient(credentials=self._credentials)
            )
        return self._monitoring

    def ask(self, what: str, method: Callable[..., AnswerT], request: Any) -> AnswerT:
        """The answer to a request.

        Args:
            what: What is asked, for error messages.
            method: A method of one of the clients.
            request: Its request.

        Raises:
            DataError: There is none; says why and what to do.
        """
        return self.call(what, lambda: method(request=request, retry=None, timeout=_TIMEOUT_S))

    def call(self, what: str, function: Callable[[], AnswerT]) -> AnswerT:
        """What a function that talks to a service returns.

        Raises:
            DataError: It failed; says why and what to do.
        """
        from google.api_core.exceptions import GoogleAPIError, ServerError, TooManyRequests
        from google.auth.exceptions import GoogleAuthError, TransportError
        from requests.exceptions import RequestException

        for pause_s in (*_PAUSES_S, None):
            try:
                return function()
            except (ServerError, TooManyRequests, RequestException, TransportError) as error:
                if pause_s is None:
                    raise _unreadable(what, error) from error
                self._sleep(pause_s)
            except (GoogleAPIError, GoogleAuthError) as error:
                raise _unreadable(what, error) from error
        raise AssertionError("the last pause is none")

    def close(self) -> None:
        """Closes the connections."""
        opened = [self.jobs, self.messages, self.metrics]
        for client in [*opened, self._monitoring] if self._monitoring is not None else opened:
            client.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unreadable(what: str, error: Exception) -> DataError:
    from google.api_core.exceptions import Forbidden, Unauthorized
    from google.auth.exceptions import GoogleAuthError

    advice = ""
    if isinstance(error, (Unauthorized, GoogleAuthError)):
        advice = f". {_CREDENTIALS}"
    elif isinstance(error, Forbidden):
        advice = f". {_ROLES}"
    return DataError(f"{what} cannot be read: {str(error)[:500].rstrip('.')}{advice}")
