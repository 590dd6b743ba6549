"""Which axes of a model's outputs follow the length of its inputs, so that padding can be cut off again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from runinference.batching.zipped import Zipped
from runinference.handlers.pytorch.collate import Inputs
from runinference.handlers.pytorch.trees import leaves, map_tensors

Axis = tuple[int, int]
"""An axis of an output: the number of the output, and that of the axis."""


class LengthCutter:
    """Cuts what belongs to padding off the outputs of a model.

    That an axis is as long as the padded input may be chance: 128 features of 128 tokens. So the model is run once on
    a short row alone. An axis that is shorter then by as much as the row is follows the length of the input.

    Args:
        side: The side that rows are padded on.
    """

    def __init__(self, side: str) -> None:
        self._side = side
        self._tried = 0
        self._varied: set[str | None] = set()
        self._follows: dict[Axis, frozenset[str | None]] = {}

    def cut(self, outputs: Any, inputs: Inputs, run: Callable[[Any], Any]) -> Any:
        """The outputs for a padded batch, row by row without what belongs to padding.

        Args:
            outputs: What the model returned for `inputs`.
            inputs: The padded batch, where the model is.
            run: Runs the model on such input.
        """
        tensors = list(leaves(outputs))
        longest = min(max(inputs.lengths[name]) for name in _varying(inputs))
        if all(size < longest for tensor in tensors for size in tensor.shape[1:]):
            return outputs
        if not self._is_known(tensors, inputs):
            self._try(tensors, inputs, run)
        numbers = iter(range(len(tensors)))

        def cut(tensor: torch.Tensor) -> Any:
            number = next(numbers)
            # How long each row is along each axis that follows an input, which may be longer by something constant.
            own = {
                axis: [length + tensor.shape[axis] - max(lengths) for length in lengths]
                for (other, axis), names in self._follows.items()
                if other == number
                for lengths in [inputs.lengths[next(iter(names))]]
            }
            if not own:
                return tensor
            return Zipped(lambda row: self._cut_row(row[0], list(own), row[1:]), (tensor, *own.values()))

        return map_tensors(cut, outputs)

    def _cut_row(self, row: torch.Tensor, axes: list[int], lengths: tuple[int, ...]) -> torch.Tensor:
        for axis, length in zip(axes, lengths, strict=True):
            start = row.shape[axis - 1] - length if self._side == "left" else 0
            row = row.narrow(axis - 1, start, length)
        return row.clone()

    def _is_known(self, tensors: list[torch.Tensor], inputs: Inputs) -> bool:
        return (
            self._tried == len(tensors)
            and _varying(inputs) <= self._varied
            and all(_agree(inputs.lengths, names) for names in self._follows.values())
        )

    def _try(self, tensors: list[torch.Tensor], inputs: Inputs, run: Callable[[Any], Any]) -> None:
        # One row for each input, since what does not change from one length to another says nothing of it.
        self._varied = _varying(inputs)
        rows = {inputs.lengths[name].index(min(inputs.lengths[name])) for name in self._varied}
        alone = {row: list(leaves(run(_row(inputs, row, self._side)))) for row in rows}
        self._tried = len(tensors)
        self._follows = {}
        for number, tensor in enumerate(tensors):
            for axis in range(1, tensor.dim()):
                names = frozenset(
                    name
                    for name in self._varied
                    for lengths in [inputs.lengths[name]]
                    if max(lengths) <= tensor.shape[axis]
                    and all(
                        _size(found, number, axis) == tensor.shape[axis] - max(lengths) + lengths[row]
                        for row, found in alone.items()
                    )
                )
                if names:
                    self._follows[number, axis] = names


def _varying(inputs: Inputs) -> set[str | None]:
    """The inputs that differ in length from row to row."""
    return {name for name, lengths in inputs.lengths.items() if min(lengths) < max(lengths)}


def _agree(lengths: Mapping[str | None, list[int]], names: frozenset[str | None]) -> bool:
    """Whether it makes no difference for a batch which of the inputs an axis follows."""
    first, *others = names
    return first in lengths and all(lengths.get(name) == lengths[first] for name in others)


def _size(tensors: list[torch.Tensor], number: int, axis: int) -> int | None:
    return tensors[number].shape[axis] if number < len(tensors) and tensors[number].dim() > axis else None


def _row(inputs: Inputs, row: int, side: str) -> Any:
    """One row of the batch without its padding, as a batch of its own."""

    def pick(name: str | None, tensor: torch.Tensor) -> torch.Tensor:
        one = tensor[row : row + 1]
        if name not in inputs.lengths:
            return one
        length = inputs.lengths[name][row]
        return one[:, one.shape[1] - length :] if side == "left" else one[:, :length]

    if isinstance(inputs.data, torch.Tensor):
        return pick(None, inputs.data)
    return {name: pick(name, tensor) for name, tensor in inputs.data.items()}
