"""Tensors within containers, as models take and return them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch


class Ragged(Sequence[torch.Tensor]):
    """An output with a different number of entries for each row, held together.

    Args:
        values: The entries of all rows, one after the other.
        counts: How many of them each row has; a tensor of shape (rows,).
    """

    def __init__(self, values: torch.Tensor, counts: torch.Tensor) -> None:
        self.values = values
        self.counts = counts

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, position: Any) -> Any:
        return list(self)[position]

    def __iter__(self) -> Iterator[torch.Tensor]:
        for part in self.values.split(self.counts.tolist()):
            yield part.clone()


def map_tensors(fn: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """`tree` with `fn` applied to each tensor, in a fixed order; a mapping of any kind becomes a dict."""
    if isinstance(tree, torch.Tensor):
        return fn(tree)
    if isinstance(tree, Ragged):
        return Ragged(fn(tree.values), fn(tree.counts))
    if isinstance(tree, Mapping):
        return {name: map_tensors(fn, value) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        items = [map_tensors(fn, value) for value in tree]
        return type(tree)._make(items) if hasattr(tree, "_make") else type(tree)(items)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        changed = copy.copy(tree)
        for field in dataclasses.fields(tree):
            object.__setattr__(changed, field.name, map_tensors(fn, getattr(tree, field.name)))
        return changed
    return tree


def leaves(tree: Any) -> Iterator[torch.Tensor]:
    """The tensors of `tree`, in the order in which `map_tensors` comes to them."""
    found: list[torch.Tensor] = []
    map_tensors(found.append, tree)
    return iter(found)
