"""What the engine needs to know of a handler, asked once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runinference.errors import ConfigurationError
from runinference.handler import ModelHandler, num_bytes
from runinference.options import BatchPolicy

_logger = logging.getLogger(__name__)

Keys = Literal["none", "all", "maybe"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A handler taken apart: the model's part, what is done to rows around it, and how they are batched.

    Any object with `load_model` and `run_inference` is a handler, such as one of `apache_beam.ml.inference`; what
    else it has is used, what it lacks has a default.

    Attributes:
        handler: The handler whose model runs; of a keyed handler the inner one.
        keys: Whether the rows are `(key, example)` pairs.
        preprocess: Functions on the example, in the order in which they run.
        postprocess: Functions on the prediction, in the order in which they run.
        pair_preprocess: Functions on the `(key, example)` pair, before `preprocess`.
        pair_postprocess: Functions on the `(key, prediction)` pair, after `postprocess`.
        policy: How rows are batched.
        prebatched: Each element of the input is a batch already.
        takes_blocks: The handler runs on tables as they are, and nothing before the model needs single rows.
        namespace: Where its metrics are reported.
        copies: How many copies of the model run side by side.
    """

    handler: Any
    keys: Keys
    preprocess: tuple[Callable[[Any], Any], ...]
    postprocess: tuple[Callable[[Any], Any], ...]
    pair_preprocess: tuple[Callable[[Any], Any], ...]
    pair_postprocess: tuple[Callable[[Any], Any], ...]
    policy: BatchPolicy
    prebatched: bool
    takes_blocks: bool
    namespace: str
    copies: int = 1

    @classmethod
    def of(cls, handler: Any, inference_args: dict[str, Any] | None = None) -> Plan:
        """Asks `handler` for everything.

        Raises:
            ConfigurationError: It is not a handler, or its options or `inference_args` cannot work.
        """
        _require_handler(handler)
        outer_pre, outer_post = _functions(handler)
        keys: Keys = getattr(handler, "keyed_rows", "none")
        inner = handler.unkeyed if keys != "none" else handler
        has_one = inner is not None  # And not a model for each key.
        inner = inner if has_one else handler
        inner_pre, inner_post = _functions(inner) if keys != "none" and has_one else ((), ())
        if keys == "none":
            inner_pre, inner_post, outer_pre, outer_post = outer_pre, outer_post, (), ()
        validate = getattr(inner, "validate_inference_args", None)
        if validate is not None:
            validate(inference_args)
        kwargs = _call(inner, "batch_elements_kwargs", {})
        prebatched = bool(_call(handler, "should_skip_batching", False))
        overridden = getattr(type(inner), "run_inference_on_block", None)
        takes_blocks = overridden is not None and overridden is not ModelHandler.run_inference_on_block
        policy = BatchPolicy.from_batch_elements(kwargs, type(inner).__name__)
        needs_rows = bool(
            inner_pre or outer_pre or outer_post or prebatched or policy.length_fn or policy.element_size_fn
        )
        return cls(
            handler=inner,
            keys=keys,
            preprocess=inner_pre,
            postprocess=inner_post,
            pair_preprocess=outer_pre,
            pair_postprocess=outer_post,
            policy=policy,
            prebatched=prebatched,
            takes_blocks=takes_blocks and not needs_rows,
            namespace=str(_call(inner, "get_metrics_namespace", "RunInference")),
            copies=int(_call(inner, "model_copies", 1)),
        )

    @property
    def sizes(self) -> Callable[[Any], int] | None:
        """The weight or length of an example, where the batch policy asks for one."""
        return self.policy.length_fn or self.policy.element_size_fn

    def model_id(self) -> str | None:
        """Which model runs, as far as the handler tells."""
        model_id: str | None = _call(self.handler, "get_model_id", None)
        return model_id

    def num_bytes(self, examples: Sequence[Any]) -> int:
        """The bytes of a batch of examples, as the handler counts them."""
        count = getattr(self.handler, "get_num_bytes", None)
        # Beam's own handlers pickle the batch to count its bytes, or count the objects around the arrays.
        if count is not None and not getattr(count, "__module__", "").startswith("apache_beam."):
            try:
                return int(count(examples))
            except Exception:
                _logger.debug("%s.get_num_bytes failed", type(self.handler).__name__, exc_info=True)
        return sum(map(num_bytes, examples))


def _require_handler(handler: Any) -> None:
    if isinstance(handler, type):
        raise ConfigurationError(f"{handler.__name__} is a class; pass an instance: {handler.__name__}(…)")
    for method in ("load_model", "run_inference"):
        if not callable(getattr(handler, method, None)):
            raise ConfigurationError(
                f"{type(handler).__name__} is not a model handler: it has no method {method}(). "
                "A handler has load_model() and run_inference(batch, model, inference_args)"
            )


def _functions(handler: Any) -> tuple[tuple[Callable[[Any], Any], ...], tuple[Callable[[Any], Any], ...]]:
    return tuple(_call(handler, "get_preprocess_fns", ())), tuple(_call(handler, "get_postprocess_fns", ()))


def _call(handler: Any, method: str, default: Any) -> Any:
    found = getattr(handler, method, None)
    return default if found is None else found()
