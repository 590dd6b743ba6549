"""One version of a model as it serves: where it is loaded, how it is called, what is known of its failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runinference.engine.call import ModelCall
from runinference.engine.isolate import Isolator
from runinference.engine.plan import Plan
from runinference.engine.timeout import TimeLimit
from runinference.models.lease import ModelLease


class Served:
    """A loaded version of a model and all that is needed to call it.

    Attributes:
        handler: Loads it and runs it.
        model_id: Which version it is, where the handler tells.
        proven: Whether a batch has worked on it, or nothing was there before it.

    Args:
        plan: The handler that loads this version.
        lease: Its hold on the model.
        inference_args: Extra arguments for the model.
        retries: How often a call that may succeed is tried again.
        timeout_s: Longest time for one call in seconds.
        pause: Waits so many seconds.
    """

    def __init__(
        self,
        plan: Plan,
        lease: ModelLease,
        inference_args: dict[str, Any] | None,
        retries: int,
        timeout_s: float | None,
        pause: Callable[[float], Any],
    ) -> None:
        self.handler = plan.handler
        self.lease = lease
        self.model_id = plan.model_id()
        self.proven = True
        # Another process is ended where it takes too long; a thread can only be left behind.
        in_this_process = timeout_s is not None and not lease.is_elsewhere
        time_limit = TimeLimit(timeout_s, on_timeout=lease.discard) if timeout_s and in_this_process else None
        self.call = ModelCall(plan, inference_args, lease.model, time_limit, lease.is_elsewhere, timeout_s)
        self.isolator = Isolator(self.call, retries, pause)

    def close(self) -> None:
        """Lets go of the model."""
        self.call.close()
        self.lease.release()
