"""How much memory this process has used."""

from __future__ import annotations

import sys


def peak_bytes() -> int | None:
    """Peak memory of this process so far in bytes; `None` where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows has no such module.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
