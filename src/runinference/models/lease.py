"""One user's hold on a model: loads at first need, lets go at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from runinference.errors import ModelLoadError, RunInferenceError
from runinference.models.store import Loaded, ModelStore
from runinference.prediction import qualified_name, without_our_frames


class ModelLease:
    """The model of a handler, for as long as somebody works with it.

    Args:
        handler: Loads the model.
        store: Where the model is shared.
        on_load: Told when the model was loaded, rather than found loaded by another user.
        identifier: Leases of one identifier share a model, if their handlers load the same one; without it those of
            one handler object do.
        copy: Which of several copies of the model this is.
        owner: The handler object that the copies of a model have in common; `handler` itself where it is alone.
        load: Loads the model in another way than the handler does.
        around: Is given what loads the model, and runs it.
    """

    def __init__(
        self,
        handler: Any,
        store: ModelStore,
        on_load: Callable[[Loaded], None],
        identifier: str | None = None,
        copy: int = 0,
        owner: Any = None,
        load: Callable[[], Any] | None = None,
        around: Callable[[Callable[[], Any]], Any] | None = None,
    ) -> None:
        self._handler = handler
        self._load_otherwise = load
        self._around = around
        self._store = store
        self._on_load = on_load
        self._owner = handler if owner is None else owner  # Kept, since its id is part of the key.
        self._key = _key(self._owner, identifier, copy)
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether other processes hold the model."""
        return self._load_otherwise is not None

    @property
    def loaded(self) -> Loaded | None:
        """The model with what is known of it; `None` while it is not held."""
        return self._loaded

    def model(self) -> Any:
        """The model, loaded now if it is not yet.

        Raises:
            ModelLoadError: It cannot be loaded.
        """
        loaded = self._loaded
        if loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._store.acquire(self._key, self._load, self._on_load)
                loaded = self._loaded
        return loaded.model

    def release(self) -> None:
        """Lets go of the model; the next `model()` would load it again."""
        with self._lock:
            loaded, self._loaded = self._loaded, None
            if loaded is not None and self._store.release(self._key, loaded) and self.is_elsewhere:
                loaded.model.close()

    def discard(self) -> None:
        """Lets go of a model that must not be used again, by anybody; the next `model()` loads another."""
        with self._lock:
            loaded, self._loaded = self._loaded, None
            if loaded is not None:
                self._store.discard(self._key, loaded)

    def _load(self) -> Any:
        return self._load_now() if self._around is None else self._around(self._load_now)

    def _load_now(self) -> Any:
        if self._load_otherwise is not None:
            return self._load_otherwise()
        try:
            set_environment_vars = getattr(self._handler, "set_environment_vars", None)
            if set_environment_vars is not None:
                set_environment_vars()
            return self._handler.load_model()
        except RunInferenceError:
            raise
        except Exception as error:
            name = type(self._handler).__name__
            cause = error.with_traceback(without_our_frames(error.__traceback__))
            raise ModelLoadError(f"{name} could not load its model: {qualified_name(type(error))}: {error}") from cause


def _key(handler: Any, identifier: str | None, copy: int) -> Hashable:
    if identifier is None:
        return "handler", id(handler), copy
    # Who names two models alike by mistake gets two models and not one that answers for the other.
    model_id = getattr(handler, "get_model_id", lambda: None)()
    return "identifier", identifier, type(handler), model_id, copy
