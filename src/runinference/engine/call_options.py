"""How an engine calls its models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How an engine calls its models.

    Attributes:
        inference_args: Extra arguments for each call.
        retries: How often a call that may succeed is tried again.
        timeout_s: Longest time for one call in seconds.
        load_timeout_s: Longest time to load a model in seconds.
        pause: Waits so many seconds.
        model_identifier: Engines that say the same share a model.
        hosted_as: Says for a handler what its model is called by all processes that share it; `None` where it is in
            this one.
        before_call: Called before each call, in the thread that runs the model.
        finds_faults: Whether failures alike, before any row has worked, are a failure of the model.
    """

    inference_args: dict[str, Any] | None
    retries: int
    timeout_s: float | None
    pause: Callable[[float], Any]
    model_identifier: str | None = None
    hosted_as: Callable[[Any], str | None] | None = None
    before_call: Callable[[], Any] | None = None
    finds_faults: bool = True
    load_timeout_s: float | None = None
