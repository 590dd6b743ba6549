"""Which of an engine's models an update or a pattern to watch is for."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from runinference.engine.model_set import ModelSet
from runinference.engine.routing import ByKey
from runinference.engine.unit import Unit
from runinference.engine.update import path_of, with_path
from runinference.errors import ConfigurationError
from runinference.keyed import KeyModelPathMapping


def targets(models: ModelSet, new: str | os.PathLike[str] | Sequence[KeyModelPathMapping]) -> list[tuple[Unit, Any]]:
    """The models that an update exchanges, with their new handlers.

    Keys that shared a model with others get one of their own.

    Raises:
        ConfigurationError: Nothing is named, a key is unknown or named twice, or a handler cannot load another model.
    """
    if isinstance(new, (str, os.PathLike)):
        if models.is_routed:
            raise ConfigurationError("There are several models: pass a list of KeyModelPathMapping(keys, path)")
        return [(models.units[0], with_path(models.units[0].plan.handler, new))]
    if not models.is_routed:
        raise ConfigurationError("There is one model for all rows: pass the path of the new one")
    groups: dict[tuple[int, str, str], list[Hashable]] = {}
    numbers, named = models.numbers, set()
    for mapping in new:
        for key in [mapping.keys] if isinstance(mapping.keys, (str, bytes)) else mapping.keys:
            number = _number("The update", key, numbers)
            if key in named:
                raise ConfigurationError(f"The update names {key!r} twice")
            named.add(key)
            groups.setdefault((number, path_of(mapping.update_path), mapping.model_id), []).append(key)
    if not groups:
        raise ConfigurationError("The update is empty: it names no key")
    handlers = [with_path(models.units[number].plan.handler, path, model_id) for number, path, model_id in groups]
    units = [models.own_unit(number, keys) for (number, _, _), keys in groups.items()]
    return list(zip(units, handlers, strict=True))


def patterns(
    models: ModelSet, watched: str | os.PathLike[str] | Mapping[Hashable, str] | None
) -> list[tuple[Unit, str]]:
    """The models whose new versions are to be looked for, and where.

    Raises:
        ConfigurationError: A key is unknown, or it is not said for which model a pattern is.
    """
    if watched is None:
        return []
    if not models.is_routed:
        if isinstance(watched, Mapping):
            raise ConfigurationError("There is one model for all rows: watch_model_pattern is one pattern")
        return [(models.units[0], os.fspath(watched))]
    if not isinstance(watched, Mapping):
        raise ConfigurationError("There are several models: watch_model_pattern is a dict with a pattern for each")
    chosen: dict[int, str] = {}
    for key, pattern in watched.items():
        if chosen.setdefault(_number("watch_model_pattern", key, models.numbers), pattern) != pattern:
            raise ConfigurationError(f"watch_model_pattern has two patterns for the model of {key!r}")
    return [(models.units[number], pattern) for number, pattern in chosen.items()]


def _number(who: str, key: Hashable, numbers: dict[Hashable, int]) -> int:
    if key not in numbers:
        raise ConfigurationError(f"{who} names {key!r}, for which there is no model.{ByKey(numbers).hint(key)}")
    return numbers[key]
