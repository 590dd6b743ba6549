"""One version of a model as it serves: where it is loaded, how it is called, what is known of its failures."""

from __future__ import annotations

from runinference.engine.call import ModelCall
from runinference.engine.call_options import CallOptions
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
        options: How it is called.
    """

    def __init__(self, plan: Plan, lease: ModelLease, options: CallOptions) -> None:
        self.handler = plan.handler
        self.lease = lease
        self.model_id = plan.model_id()
        self.proven = True
        # Another process is ended where it takes too long; a thread can only be left behind.
        limit = options.timeout_s if not lease.is_elsewhere else None
        time_limit = None if limit is None else TimeLimit(limit, on_timeout=lease.discard)
        self.call = ModelCall(plan, options, lease, time_limit)
        self.isolator = Isolator(self.call, options.retries, options.pause, options.finds_faults)

    def close(self) -> None:
        """Lets go of the model."""
        self.call.close()
        self.lease.release()
