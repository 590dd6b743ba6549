"""What leads to the page of a benchmark."""

from __future__ import annotations

from typing import NamedTuple


class Link(NamedTuple):
    """A link.

    Attributes:
        title: What people call the benchmark; empty on its own page, where nobody need be told.
        address: The address of its page, from the page that the link is on.
    """

    title: str
    address: str
