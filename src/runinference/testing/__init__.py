"""Fakes and contract tests for authors of handlers.

The contract needs pytest, so it is imported when it is asked for.
"""

from __future__ import annotations

from typing import Any

from runinference.testing.fakes import CallLog, CountingHandler, FailingHandler, MemoryCapHandler, SleepingHandler

__all__ = ["CallLog", "CountingHandler", "FailingHandler", "HandlerContract", "MemoryCapHandler", "SleepingHandler"]


def __getattr__(name: str) -> Any:
    if name == "HandlerContract":
        from runinference.testing.handler_contract import HandlerContract

        return HandlerContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
