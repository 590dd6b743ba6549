"""Looks where new versions of a model appear, and brings them in."""

from __future__ import annotations

import logging
import os

from runinference.engine.unit import Unit
from runinference.engine.update import Updates, with_path
from runinference.errors import is_transient
from runinference.models.candidates import find_candidates
from runinference.models.snapshot import drop_snapshot, take_snapshot
from runinference.models.versions import content_hash, plain_path
from runinference.models.watch import Found, ModelWatch, Watcher

_logger = logging.getLogger(__name__)
_SHOWN_OF_A_HASH = 12


class Watching:
    """Keeps a model at the version that a pattern says.

    What lies on this machine is copied before it is loaded: weights are mapped into memory, and who writes a new
    version into the file that is served would change them under the model's feet.

    Args:
        unit: The model.
        pattern: Where its versions appear; see [ModelWatch][runinference.models.watch.ModelWatch].
        interval_s: How often to look, in seconds.
        updates: Brings versions in.

    Raises:
        ConfigurationError: The pattern cannot work, or the handler cannot load another version.
    """

    def __init__(self, unit: Unit, pattern: str | os.PathLike[str], interval_s: float, updates: Updates) -> None:
        self._unit = unit
        self._updates = updates
        self._own_path = unit.plan.model_id()
        with_path(unit.plan.handler, self._own_path or os.fspath(pattern))  # Raises where it cannot.
        self._watch = ModelWatch(pattern, served=self._own_path)
        self._watcher = Watcher(self._watch, self._bring_in, interval_s)
        self._contents: dict[str, str] = {}
        self._snapshots: dict[str, str] = {}

    def start(self) -> None:
        """Begins with the version that is there now, and looks for others from then on."""
        try:
            found = self._watch.poll()
            if found is not None:
                self._begin_with(found)
            elif self._own_path is not None and self._is_watched(self._own_path):
                self._begin_with(Found(self._own_path, content_hash(self._own_path)))
        except Exception as error:
            _logger.warning("%s cannot be read, so that the handler's model is used: %s", self._watch.pattern, error)
        self._watcher.start()

    def close(self) -> None:
        """Looks no more."""
        self._watcher.close()
        self._drop_but(set())

    def _is_watched(self, path: str) -> bool:
        return plain_path(path) in map(plain_path, find_candidates(self._watch.pattern, path))

    def _begin_with(self, found: Found) -> None:
        path = _private(found)
        self._updates.begin_with(self._unit, with_path(self._unit.plan.handler, path, found.path))
        self._took_over(found, path, found.path)

    def _bring_in(self, found: Found) -> None:
        path, model_id = _private(found), self._name(found)
        try:
            self._updates.start(self._unit, with_path(self._unit.plan.handler, path, model_id)).result()
        except Exception as error:  # It has been reported, and the version before serves on.
            if is_transient(error) or (error.__cause__ is not None and is_transient(error.__cause__)):
                self._watch.again(found)
            else:
                self._watch.rejected(found)
            if path != found.path:
                drop_snapshot(path)
        else:
            self._took_over(found, path, model_id)

    def _took_over(self, found: Found, path: str, model_id: str) -> None:
        self._watch.served(found.content_hash)
        self._contents[plain_path(found.path)] = found.content_hash
        if path != found.path:
            if model_id in self._snapshots:  # Each take is followed by a drop, also of the same one.
                drop_snapshot(self._snapshots[model_id])
            self._snapshots[model_id] = path
        self._drop_but(self._unit.model_ids)

    def _drop_but(self, needed: set[str | None]) -> None:
        """Drops the copies of versions that are neither served nor the way back from the one that is."""
        for model_id in self._snapshots.keys() - needed:
            drop_snapshot(self._snapshots.pop(model_id))

    def _name(self, found: Found) -> str:
        """What results call it: its path, with a part of the hash where that has held something else before."""
        before = self._contents.get(plain_path(found.path))
        if before in (None, found.content_hash):
            return found.path
        return f"{found.path}@{found.content_hash[:_SHOWN_OF_A_HASH]}"


def _private(found: Found) -> str:
    """Where a copy of it lies that nobody else writes to; behind a URL there is none."""
    return found.path if "://" in found.path else take_snapshot(found.path, found.content_hash)
