"""How much memory of the host is left for another model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Linux writes "no limit" in version 1 as the largest number of whole pages.
_NO_LIMIT = 1 << 60


def available_bytes(proc: str = "/proc", cgroup: str = "/sys/fs/cgroup") -> int | None:
    """Bytes of host memory that this process may still take, without swapping or being killed for it.

    That is what the machine has left, or less where the limit of a container or another control group (version 1 or
    2), or of one around it, comes first. Cached files that the kernel would drop count as free.

    Args:
        proc: Where the kernel tells about processes.
        cgroup: Where it tells about control groups.

    Returns:
        `None` where nobody can tell, such as on macOS and Windows.
    """
    machine = _numbers(Path(proc, "meminfo")).get("MemAvailable:")
    left = [] if machine is None else [machine * 1024]
    left += _left_in_groups(Path(proc, "self", "cgroup"), Path(cgroup))
    return max(0, min(left)) if left else None


def fits(num_bytes: int, margin: float = 0.1, *, proc: str = "/proc", cgroup: str = "/sys/fs/cgroup") -> bool:
    """Whether so many bytes more fit into the memory of the host; true where nobody can tell.

    Args:
        num_bytes: Bytes to be taken.
        margin: How much more is needed for certain, as a share of `num_bytes`.
        proc: As for `available_bytes`.
        cgroup: As for `available_bytes`.
    """
    available = available_bytes(proc, cgroup)
    return available is None or num_bytes * (1 + margin) <= available


def _left_in_groups(membership: Path, root: Path) -> Iterator[int]:
    for line in _lines(membership):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            base, limit, usage, reclaimable = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit, usage = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            reclaimable = "total_inactive_file"
        else:
            continue
        # A container sees its own group as the root, but may be told of the path that the host sees; what is not
        # there is passed over. `..` leads to groups that it cannot see.
        group = base / os.path.normpath(f"/{path}").lstrip("/")
        while group != base.parent:
            most, used = _number(group / limit), _number(group / usage)
            if most is not None and most < _NO_LIMIT and used is not None:
                yield most - used + _numbers(group / "memory.stat").get(reclaimable, 0)
            group = group.parent


def _number(path: Path) -> int | None:
    """The number in a file; `None` for a word such as `max`, or no file."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _numbers(path: Path) -> dict[str, int]:
    """The first number of each line by the word before it."""
    parts = (line.split() for line in _lines(path))
    return {words[0]: int(words[1]) for words in parts if len(words) > 1 and words[1].isdecimal()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
