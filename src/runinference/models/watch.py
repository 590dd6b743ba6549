"""Watches where new versions of a model appear, and says which of them should be served."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from runinference.errors import ConfigurationError, ModelLoadError, RunInferenceError
from runinference.models.candidates import check_pattern, find_candidates, read_pointer
from runinference.models.files import nearest_name
from runinference.models.versions import Signature, content_hash, plain_path, signature_of

_logger = logging.getLogger(__name__)
# More than a tick of the clock by which a file system stamps its files.
_TICK_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """A version of the model that should be served.

    Attributes:
        path: Where it is: a file or folder on this machine, or a URL.
        content_hash: What it was when it was found, as `versions.content_hash` has it.
    """

    path: str
    content_hash: str


class ModelWatch:
    """What should be served now, and has it changed? Knows no thread; `poll` looks once.

    At the first `poll` the candidate with the newest time stamp counts; at equal ones the greater name. Later any
    candidate that is new or was changed counts, whatever its time stamp: an old version that is copied there again
    with its old time is a roll-back. Of several at once the newest does. A change counts when two polls in a row saw
    the same, so that no half-written file is taken. Removed files change nothing, and neither do other names or times
    of the content that is served.

    Args:
        pattern: On this machine or behind any URL that fsspec knows: a glob, whose matches are the candidates; a
            folder, whose entries are; a version pointer, which is a text file of one line that names the model (as
            seen from the pointer's folder, absolute, or a URL); or a model itself. Names that begin with `.` or `_`
            or end in `.tmp`, `.part`, `.crdownload` or `~` are no candidates.
        served: Where the model that runs now was loaded from. If that is the folder `pattern`, its own content is
            watched and not its entries. Unless `served()` was called, the first `poll` takes what lies there for
            what runs.

    Attributes:
        pattern: The pattern, where `~` and `file://` have become paths of this machine.
        matched: Whether any poll saw a candidate.

    Raises:
        ConfigurationError: The pattern is empty, the folder that it begins with does not exist, or nobody knows the
            protocol of the URL.
        MissingDependencyError: It is a URL and fsspec is not installed.
    """

    def __init__(self, pattern: str | os.PathLike[str], served: str | None = None) -> None:
        self.pattern = check_pattern(pattern)
        self.matched = False
        self._served_path = None if served is None else plain_path(served)
        self._served: str | None = None
        self._offered: str | None = None
        self._rejected: set[str] = set()
        self._last: dict[str, Signature] | None = None
        self._seen: dict[str, Signature] = {}
        self._hashes: dict[str, tuple[Signature, str]] = {}
        self._target: str | None = None

    def served(self, content_hash: str) -> None:
        """Says what is served from now on. Any thread may call it."""
        self._served = content_hash
        if self._offered == content_hash:
            self._offered = None

    def rejected(self, found: Found) -> None:
        """Says that a version does not work; it is not found again, under any name. Any thread may call it."""
        self._rejected.add(found.content_hash)
        if self._offered == found.content_hash:
            self._offered = None

    def again(self, found: Found) -> None:
        """Says that a version could not be tried; a later poll finds it again. Any thread may call it."""
        if self._offered == found.content_hash:
            self._offered = None
        self._seen.pop(found.path, None)

    def poll(self) -> Found | None:
        """Looks once: the version that should be served instead of the last one found, or `None` for no change.

        Raises:
            ModelLoadError: A candidate cannot be read, or a version pointer names nothing. The next poll tries again.
            OSError: The pattern cannot be listed; a library behind fsspec may raise its own errors as well.
        """
        candidates, complete = self._look()
        self.matched = self.matched or bool(candidates)
        if self._last is None and self._served is None:
            self._learn_served()
        first, last, self._last = self._last is None, self._last or {}, candidates
        changes = [
            path
            for path, signature in candidates.items()
            if self._may_be_new(path, signature) and (first or complete or last.get(path) == signature)
        ]
        changes.sort(key=lambda path: (candidates[path].modified_ns, path), reverse=True)
        if first:
            self._pass_by(changes[1:], candidates)
            del changes[1:]
        return self._choose(changes, candidates)

    def _choose(self, changes: list[str], candidates: dict[str, Signature]) -> Found | None:
        failure: Exception | None = None
        for place, path in enumerate(changes, start=1):
            seen, known = self._seen.get(path), self._hashes.get(path)
            try:
                found = self._hash(path, candidates[path])
            except Exception as error:  # One that cannot be read must not hide the others.
                failure = failure or error
                continue
            if found is None:
                continue
            self._seen[path] = candidates[path]
            same_as_before = known is not None and known[1] == found
            only_touched = same_as_before and seen is not None and seen.marks == candidates[path].marks
            if only_touched or found in self._rejected:
                continue
            if found != (self._offered or self._served):
                self._pass_by(changes[place:], candidates)
                self._offered = found
                return Found(path, found)
            if not same_as_before:  # A new name for what is served already, and the others are older.
                self._pass_by(changes[place:], candidates)
                return None
        if failure is not None:
            raise failure
        return None

    def _may_be_new(self, path: str, signature: Signature) -> bool:
        seen = self._seen.get(path)
        # `chmod` and a copy with the old time both show in `changed_ns` alone. Only where the old content is known
        # can they be told apart.
        return seen is None or seen.marks != signature.marks or (seen != signature and path in self._hashes)

    def _pass_by(self, paths: list[str], candidates: dict[str, Signature]) -> None:
        for path in paths:
            self._seen[path] = candidates[path]
            if path in self._hashes and self._hashes[path][0] != candidates[path]:
                del self._hashes[path]

    def _hash(self, path: str, signature: Signature) -> str | None:
        """The content hash; `None` if the content changed or went away while it was read."""
        known = self._hashes.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        age_ns = time.time_ns() - signature.changed_ns
        if 0 <= age_ns < _TICK_NS:  # A second write within the same tick would not show.
            time.sleep((_TICK_NS - age_ns) / 1e9)
        try:
            found = content_hash(path)
        except ModelLoadError:
            if signature_of(path) == signature:
                raise
            return None
        if signature_of(path) != signature:
            return None
        self._hashes[path] = (signature, found)
        return found

    def _learn_served(self) -> None:
        if self._served_path is None:
            return
        # If it cannot be read, what is found first is at worst loaded again.
        with contextlib.suppress(Exception):
            signature = signature_of(self._served_path)
            found = None if signature is None else self._hash(self._served_path, signature)
            self._served = self._served or found  # `served()` may have been called meanwhile.

    def _look(self) -> tuple[dict[str, Signature], bool]:
        """The candidates, and whether they are complete though they may never have been seen before."""
        names = find_candidates(self.pattern, self._served_path)
        pointer = signature_of(self.pattern, refresh=False) if names == [self.pattern] else None
        target = None if pointer is None else self._pointed_at(pointer)
        if pointer is None or target is None:
            signatures = {name: signature_of(name, refresh=False) for name in names}
            return {name: signature for name, signature in signatures.items() if signature is not None}, False
        path, signature = target
        # The files had come to rest before the pointer was written.
        return {path: signature}, 0 < signature.changed_ns < pointer.modified_ns

    def _pointed_at(self, pointer: Signature) -> tuple[str, Signature] | None:
        target = read_pointer(self.pattern, pointer)
        signature = None if target is None else signature_of(target)
        if target is not None and signature is not None:
            if target != self._target:  # It is chosen anew, though its content may have been seen before.
                self._seen.pop(target, None)
            self._target = target
            return target, signature
        if target is not None and self._target is not None:
            raise ModelLoadError(
                f"The version pointer {self.pattern} names {target}, where no model is.{nearest_name(target)}"
            )
        self._target = None
        return None


class Watcher:
    """Polls a `ModelWatch` from a thread of its own.

    The first poll is at once. An error in a poll is logged, the same one only once, and ends nothing; so is one of
    `on_found`.

    Args:
        watch: What to poll.
        on_found: Told what was found, on the thread of the watcher. The next poll waits until it returns.
        interval_s: Seconds between two polls.

    Raises:
        ConfigurationError: `interval_s` is not a positive number.
    """

    def __init__(self, watch: ModelWatch, on_found: Callable[[Found], None], interval_s: float) -> None:
        if not (interval_s > 0 and math.isfinite(interval_s)):
            raise ConfigurationError(
                f"The interval to look for new models must be a positive number of seconds, not {interval_s!r}"
            )
        self._watch = watch
        self._on_found = on_found
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._logged: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="runinference-model-watch", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; `on_found` is not called any more.

        A poll that reads a large model, or `on_found`, is waited for, but no longer than 2 s.
        """
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                found = self._watch.poll()
                if not self._watch.matched:
                    self._warn_of_nothing()
                if found is not None and not self._stop.is_set():
                    self._on_found(found)
            except Exception as error:
                reason = str(error) or type(error).__name__
                self._warn(f"The model could not be refreshed from {self._watch.pattern}: {reason}", error)
            self._stop.wait(self._interval_s)

    def _warn_of_nothing(self) -> None:
        pattern = self._watch.pattern
        self._warn(f"There is no model at {pattern} yet.{'' if os.path.exists(pattern) else nearest_name(pattern)}")

    def _warn(self, message: str, error: Exception | None = None) -> None:
        if message not in self._logged:
            self._logged.add(message)
            expected = error is None or isinstance(error, (RunInferenceError, OSError))
            _logger.warning(message, exc_info=None if expected else error)
