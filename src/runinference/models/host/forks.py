"""What a forked child must not keep open."""

from __future__ import annotations

import os
import weakref
from typing import Protocol, TypeVar


class _Closable(Protocol):
    def close(self) -> None: ...


ClosableT = TypeVar("ClosableT", bound=_Closable)

_open: weakref.WeakSet[_Closable] = weakref.WeakSet()


def closed_in_children(thing: ClosableT) -> ClosableT:
    """Has a socket or file closed in every child that this process forks, where it would count as a user for ever."""
    _open.add(thing)
    return thing


def _close_all() -> None:
    for thing in list(_open):
        thing.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
