"""Options of a handler, declared once and checked in one place, and the batch policy that follows from them."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from runinference.errors import ConfigurationError, closest


class HandlerOptions(TypedDict, total=False):
    """Keyword options that every handler takes; each may be left out, and `None` means the same.

    Attributes:
        min_batch_size: Smallest batch, in rows, that is formed while more rows are coming.
        max_batch_size: Largest batch in rows. Equal to `min_batch_size`, it fixes the size.
        max_batch_duration_secs: Longest wait of a row for its batch, in seconds, counted from the oldest row.
        max_batch_weight: Largest weight of a batch: the sum of `element_size_fn` over its rows or, with
            `batch_length_fn` alone, its padded area (rows × longest row).
        element_size_fn: Weight of one example, such as its bytes or tokens.
        batch_length_fn: Length of one example. Rows of like length are put into the same batch.
        batch_bucket_boundaries: Ascending lengths that part the rows into buckets; without them a look-ahead window
            is sorted by length.
        large_model: Share one copy of the model between the processes of a machine.
        model_copies: Number of copies of the model, which run side by side: in this process or, on a runner with
            several processes, in processes of their own.
        env_vars: Environment variables, set before the model is loaded.
    """

    min_batch_size: int | None
    max_batch_size: int | None
    max_batch_duration_secs: float | None
    max_batch_weight: int | None
    element_size_fn: Callable[[Any], int] | None
    batch_length_fn: Callable[[Any], int] | None
    batch_bucket_boundaries: Sequence[int] | None
    large_model: bool
    model_copies: int | None
    env_vars: Mapping[str, str] | None


def check_options(owner: str, options: Mapping[str, Any], more: Iterable[str] = ()) -> HandlerOptions:
    """Returns the options that are set, after checking names, types, ranges and combinations.

    Args:
        owner: The class whose options they are, for error texts.
        options: The options, as they were given.
        more: Names that the class takes besides and checks itself.

    Raises:
        ConfigurationError: An option is unknown, has a wrong value or would have no effect.
    """
    known = HandlerOptions.__annotations__
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"{owner} has no option {name!r}.{closest(name, [*known, *more])} Options: {', '.join([*known, *more])}"
            )
    given = {name: value for name, value in options.items() if value is not None}
    for name in ("min_batch_size", "max_batch_size", "max_batch_weight", "model_copies"):
        if name in given:
            _check_integer(owner, name, given[name])
    if "max_batch_duration_secs" in given:
        _check_seconds(owner, given["max_batch_duration_secs"])
    for name in ("element_size_fn", "batch_length_fn"):
        if name in given and not callable(given[name]):
            raise ConfigurationError(f"{owner}: {name} must be a function of one example, got {given[name]!r}")
    if "large_model" in given and not isinstance(given["large_model"], bool):
        raise ConfigurationError(f"{owner}: large_model must be True or False, got {given['large_model']!r}")
    if "env_vars" in given:
        _check_env_vars(owner, given["env_vars"])
    _check_combinations(owner, given)
    return cast(HandlerOptions, given)


def _check_integer(owner: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ConfigurationError(f"{owner}: {name} must be a whole number of at least 1, got {value!r}")


def _check_seconds(owner: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < math.inf:
        raise ConfigurationError(f"{owner}: max_batch_duration_secs must be seconds of at least 0, got {value!r}")


def _check_env_vars(owner: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(text, str) for name, text in value.items()
    ):
        raise ConfigurationError(f"{owner}: env_vars must map names to texts, got {type(value).__name__}")


def _check_combinations(owner: str, given: Mapping[str, Any]) -> None:
    smallest, largest = given.get("min_batch_size"), given.get("max_batch_size")
    if smallest is not None and largest is not None and smallest > largest:
        raise ConfigurationError(f"{owner}: min_batch_size ({smallest}) exceeds max_batch_size ({largest})")
    has_length = "batch_length_fn" in given
    if "max_batch_weight" in given and "element_size_fn" not in given and not has_length:
        raise ConfigurationError(
            f"{owner}: max_batch_weight needs element_size_fn (weight of an example) or "
            "batch_length_fn (its length, for a limit on rows × longest)"
        )
    if "element_size_fn" in given and "max_batch_weight" not in given and largest is None:
        raise ConfigurationError(
            f"{owner}: element_size_fn has no effect without max_batch_weight "
            "or, which then is a weight, max_batch_size"
        )
    if "element_size_fn" in given and has_length:
        raise ConfigurationError(
            f"{owner}: element_size_fn and batch_length_fn exclude each other; "
            "with batch_length_fn, max_batch_weight limits rows × longest"
        )
    if "batch_bucket_boundaries" in given:
        if not has_length:
            raise ConfigurationError(f"{owner}: batch_bucket_boundaries has no effect without batch_length_fn")
        _check_boundaries(owner, given["batch_bucket_boundaries"])


def _check_boundaries(owner: str, boundaries: Any) -> None:
    try:
        values = list(boundaries)
        ascending = all(a < b for a, b in itertools.pairwise([0, *values]))
    except TypeError:
        ascending, values = False, []
    if not values or not ascending:
        raise ConfigurationError(
            f"{owner}: batch_bucket_boundaries must be ascending positive lengths, got {boundaries!r}"
        )


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When a batch is ready and what may be in it; `None` means no limit of that kind.

    Attributes:
        min_size: Smallest batch in rows while more rows are coming.
        max_size: Largest batch in rows.
        max_weight: Largest weight of a batch; rows × longest where only `length_fn` is given.
        max_delay_s: Longest wait of the oldest row in seconds.
        element_size_fn: Weight of one example.
        length_fn: Length of one example.
        bucket_boundaries: Ascending lengths that part the rows into buckets.
    """

    min_size: int | None = None
    max_size: int | None = None
    max_weight: int | None = None
    max_delay_s: float | None = None
    element_size_fn: Callable[[Any], int] | None = None
    length_fn: Callable[[Any], int] | None = None
    bucket_boundaries: tuple[int, ...] | None = None

    @property
    def fixed_size(self) -> int | None:
        """The size of every full batch where it is fixed, else `None`: it tunes itself."""
        return self.max_size if self.max_size is not None and self.max_size == self.min_size else None

    @classmethod
    def from_batch_elements(cls, kwargs: Mapping[str, Any], owner: str) -> BatchPolicy:
        """The policy that a handler's `batch_elements_kwargs()` ask for, in Beam's names.

        Raises:
            ConfigurationError: A name is unknown or a value cannot work.
        """
        renamed = {"length_fn": "batch_length_fn", "bucket_boundaries": "batch_bucket_boundaries"}
        ours = {renamed.get(name, name): value for name, value in kwargs.items() if name not in _BEAM_TUNING}
        options = check_options(owner, ours)
        boundaries = options.get("batch_bucket_boundaries")
        smallest, largest = options.get("min_batch_size"), options.get("max_batch_size")
        weight = options.get("max_batch_weight")
        if "element_size_fn" in options and weight is None:  # As Beam has it.
            smallest, largest, weight = None, None, largest
        return cls(
            min_size=smallest,
            max_size=largest,
            max_weight=weight,
            max_delay_s=options.get("max_batch_duration_secs"),
            element_size_fn=options.get("element_size_fn"),
            length_fn=options.get("batch_length_fn"),
            bucket_boundaries=None if boundaries is None else tuple(boundaries),
        )


# Arguments of Beam's BatchElements that steer its own size estimate; here the size tunes itself in another way.
_BEAM_TUNING = frozenset(
    {
        "clock",
        "record_metrics",
        "target_batch_duration_secs",
        "target_batch_duration_secs_including_fixed_cost",
        "target_batch_overhead",
        "variance",
    }
)
