"""One call of a handler: keys off and on again, arguments as it takes them, and as many outputs as rows."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from runinference.batching import Rows
from runinference.batching.zipped import Zipped
from runinference.engine.call_options import CallOptions
from runinference.engine.plan import Plan
from runinference.engine.timeout import TimeLimit
from runinference.errors import ConfigurationError, OutputCountError
from runinference.keyed import is_keyed
from runinference.models.lease import ModelLease
from runinference.pending import Pending


class ModelCall:
    """Calls a handler's model on rows.

    Args:
        plan: The handler.
        options: How it is called.
        lease: Gives the loaded model.
        time_limit: Ends a call that takes too long; `None` lets it run.

    Raises:
        ConfigurationError: The handler takes no `inference_args`, but there are some.
    """

    def __init__(self, plan: Plan, options: CallOptions, lease: ModelLease, time_limit: TimeLimit | None) -> None:
        self._plan = plan
        self._inference_args = options.inference_args
        self._timeout_s = options.timeout_s
        self._before_call = options.before_call
        self._lease = lease
        self._time_limit = time_limit
        self._arguments_by = _how_arguments_are_taken(plan, options.inference_args)

    def __call__(self, rows: Rows) -> Any:
        """One output for each row, in their order; of keyed rows with their keys.

        Raises:
            OutputCountError: The handler returned something else.
            Exception: What the handler raised.
        """
        outputs, pending = self.begin(rows)
        if pending is not None:
            pending.wait()
        return outputs

    def begin(self, rows: Rows) -> tuple[Any, Pending | None]:
        """The same, but where a device is still computing the outputs, with what to wait for before they are read."""
        data, keyed = rows.data, None
        if self._plan.keys != "none" and isinstance(data, list):
            keyed = [is_keyed(row) for row in data]
            data = [row[1] if pair else row for row, pair in zip(data, keyed, strict=True)]
        model = (
            self._lease.model()
        )  # Loaded again after a call that took too long, which is not part of this one's time.
        if self._time_limit is None:
            outputs = self._run(data, model)
        else:
            outputs = self._time_limit.run(lambda: _waited(self._run(data, model)))
        pending = outputs if isinstance(outputs, Pending) else None
        if len(outputs) != len(rows):
            raise OutputCountError(
                f"{type(self._plan.handler).__name__} returned {len(outputs):,} predictions for a batch of "
                f"{len(rows):,} rows (rows {rows.index[0]:,} to {rows.index[-1]:,} of the input); "
                "it must return one for each row, in their order"
            )
        if keyed is None:
            return outputs, pending
        if all(keyed):
            return Zipped(tuple, ([row[0] for row in rows.data], outputs)), pending
        return [
            (row[0], output) if pair else output for row, pair, output in zip(rows.data, keyed, outputs, strict=True)
        ], None

    def _run(self, data: Any, model: Any) -> Any:
        handler = self._plan.handler
        if self._before_call is not None:
            self._before_call()
        if self._lease.is_elsewhere:
            return model.run_inference(data, self._inference_args, self._timeout_s)
        # A copy for each call: a handler that takes its arguments out of the dict must find them there again.
        arguments = dict(self._inference_args) if self._inference_args else None
        if self._plan.takes_blocks and not isinstance(data, list):
            return handler.run_inference_on_block(data, model, arguments)
        if self._arguments_by == "name":
            return _as_list(handler.run_inference(data, model, inference_args=arguments), handler)
        outputs = handler.run_inference(data, model, *([arguments] if self._arguments_by == "position" else []))
        return _as_list(outputs, handler)

    def load(self) -> None:
        """Loads the model, if it is not loaded yet."""
        self._lease.model()

    def close(self) -> None:
        """Ends the thread of timed calls."""
        if self._time_limit is not None:
            self._time_limit.close()


def _as_list(outputs: Any, handler: Any) -> Sequence[Any]:
    if isinstance(outputs, (list, Zipped, Pending)):
        return outputs
    if outputs is None or isinstance(outputs, (Mapping, str, bytes)):
        raise OutputCountError(
            f"{type(handler).__name__} returned {type(outputs).__name__} for a batch; "
            "it must return one prediction for each row, in their order"
        )
    if not isinstance(outputs, Iterable) or getattr(outputs, "shape", None) == ():
        raise OutputCountError(
            f"{type(handler).__name__} returned one {type(outputs).__name__} for a batch; "
            "it must return one prediction for each row, in their order"
        )
    return list(outputs)


def _waited(outputs: Any) -> Any:
    return outputs.wait() if isinstance(outputs, Pending) else outputs


def _how_arguments_are_taken(
    plan: Plan, inference_args: dict[str, Any] | None
) -> Literal["position", "name", "not at all"]:
    try:
        parameters = inspect.signature(plan.handler.run_inference).parameters.values()
    except (TypeError, ValueError):
        return "position"
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) >= 3 or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return "position"
    if any(p.kind is p.KEYWORD_ONLY and p.name == "inference_args" for p in parameters):
        return "name"
    if inference_args:
        raise ConfigurationError(
            f"{type(plan.handler).__name__}.run_inference takes no inference_args, but got {inference_args!r}"
        )
    return "not at all"
