"""Rows put together to one input of a model: stacked, or padded to the longest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch

from runinference.errors import RowError, closest
from runinference.handlers.pytorch.options import TorchSettings

# How transformers fill up what they call by these names.
_FILLERS = {
    "attention_mask": 0,
    "decoder_attention_mask": 0,
    "global_attention_mask": 0,
    "labels": -100,
    "special_tokens_mask": 1,
    "token_type_ids": 0,
}
_TOKENS = ("input_ids", "decoder_input_ids")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model says about its input; `None` where it does not.

    Attributes:
        pad_token_id: Fills up `input_ids` and `decoder_input_ids`.
        max_length: Most tokens of a row.
        vocabulary: Token ids are below this.
        dtype: Type of its floating-point input.
        takes_mask: Whether it takes an `attention_mask`: `optionally`, or `always`, which it does not work without.
        main_input: The name of its first input.
    """

    pad_token_id: int | None = None
    max_length: int | None = None
    vocabulary: int | None = None
    dtype: torch.dtype | None = None
    takes_mask: Literal["never", "optionally", "always"] = "never"
    main_input: str | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """The input of a model for a batch.

    Attributes:
        data: A tensor of shape (rows, …), or such tensors by name; whatever a `collate_fn` made.
        lengths: Elements of each row before padding, by the name of the input, `None` for a lone tensor; empty where
            nothing was padded.
    """

    data: Any
    lengths: Mapping[str | None, list[int]] = field(default_factory=dict)


class Collate(Protocol):
    """Makes the input of a model from rows.

    Attributes:
        limits: What the model says about its input.
    """

    limits: Limits

    def __call__(self, rows: Sequence[Any]) -> Inputs:
        """The input for a batch."""


class Collator:
    """Makes the input of a model from rows that are tensors, or tensors by name.

    Attributes:
        limits: What the model says about its input.

    Args:
        settings: How to pad, and how long a row may be.
        limits: What the model says about its input.
    """

    def __init__(self, settings: TorchSettings, limits: Limits) -> None:
        self.limits = limits
        self._settings = settings

    def __call__(self, rows: Sequence[Any]) -> Inputs:
        """The input for a batch.

        Raises:
            TypeError: A row is not what the others are, or no tensor at all.
            ValueError: Shapes differ where nothing says how to pad.
            RowError: A row is too long, or has a token that the model does not know.
        """
        if self._settings.collate_fn is not None:
            return Inputs(self._settings.collate_fn(list(rows)))
        if isinstance(rows[0], Mapping):
            return self._collate_named(rows)
        data, lengths = self._join([to_tensor(row, None) for row in rows], None)
        if self.limits.main_input is None or not self._needs_mask(lengths):
            return Inputs(data, {None: lengths} if _vary(lengths) else {})
        named = {self.limits.main_input: data, "attention_mask": _mask(lengths, self._settings.padding_side)}
        return Inputs(named, dict.fromkeys(named, lengths) if _vary(lengths) else {})

    def _collate_named(self, rows: Sequence[Mapping[str, Any]]) -> Inputs:
        names = rows[0].keys()
        for row in rows:
            if not isinstance(row, Mapping) or row.keys() != names:
                raise TypeError(
                    f"The rows of a batch must have the same inputs, got {_names(rows[0])} and {_names(row)}"
                )
        data: dict[str, torch.Tensor] = {}
        lengths: dict[str | None, list[int]] = {}
        for name in names:
            data[name], lengths[name] = self._join([to_tensor(row[name], name) for row in rows], name)
        if "attention_mask" not in names and self._needs_mask(lengths.get("input_ids", [])):
            lengths["attention_mask"] = lengths["input_ids"]
            data["attention_mask"] = _mask(lengths["input_ids"], self._settings.padding_side)
        lengths = {name: each for name, each in lengths.items() if each}
        return Inputs(data, lengths if any(map(_vary, lengths.values())) else {})

    def _needs_mask(self, lengths: list[int]) -> bool:
        takes = self.limits.takes_mask
        return bool(lengths) and (takes == "always" or (takes == "optionally" and _vary(lengths)))

    def _join(self, tensors: list[torch.Tensor], name: str | None) -> tuple[torch.Tensor, list[int]]:
        tensors = self._fit(tensors, name)
        first = tensors[0]
        for tensor in tensors:
            if tensor.dtype != first.dtype:
                raise TypeError(f"{_what(name)} of a batch must have one type, got {first.dtype} and {tensor.dtype}")
        if all(tensor.shape == first.shape for tensor in tensors):
            return self._check_ids(torch.stack(tensors), name), [len(first)] * len(tensors) if first.dim() else []
        filler = self._filler(name)
        if filler is None or any(t.dim() == 0 or t.shape[1:] != first.shape[1:] for t in tensors):
            raise ValueError(
                f"{_what(name)} of a batch must have one shape, got {_shapes(tensors)}.{self._advice(name)}"
            )
        return self._check_ids(self._pad(tensors, filler), name), [len(tensor) for tensor in tensors]

    def _pad(self, tensors: list[torch.Tensor], filler: float) -> torch.Tensor:
        if self._settings.padding_side == "right":
            return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=filler)
        whole = tensors[0].new_full((len(tensors), max(map(len, tensors)), *tensors[0].shape[1:]), filler)
        for row, tensor in zip(whole, tensors, strict=True):
            row[len(row) - len(tensor) :] = tensor
        return whole

    def _fit(self, tensors: list[torch.Tensor], name: str | None) -> list[torch.Tensor]:
        dtype, longest = self.limits.dtype, self._max_length(name)
        if dtype is not None and any(t.dtype != dtype and t.is_floating_point() for t in tensors):
            tensors = [t.to(dtype) if t.is_floating_point() else t for t in tensors]
        if longest is None or all(t.dim() == 0 or len(t) <= longest for t in tensors):
            return tensors
        if self._settings.too_long == "truncate":
            return [t[:longest] if t.dim() else t for t in tensors]
        found = max(len(t) for t in tensors if t.dim())
        raise RowError(
            f"{_what(name)} has {found:,} elements; the model takes at most {longest:,}. "
            "too_long='truncate' cuts them off"
        )

    def _max_length(self, name: str | None) -> int | None:
        of_text = name == "input_ids" or name in _FILLERS or (name is None and self.limits.main_input == "input_ids")
        if self._settings.max_length is not None and (name is None or of_text or self._given(name) is not None):
            return self._settings.max_length
        return self.limits.max_length if of_text else None

    def _filler(self, name: str | None) -> float | None:
        given = self._given(name)
        if given is not None:
            return given
        if name in _FILLERS:
            return _FILLERS[name]
        if name in _TOKENS or (name is None and self.limits.main_input in _TOKENS):
            # What the padding is does not matter to a model that is told where it is.
            return self.limits.pad_token_id if self.limits.pad_token_id is not None else self._masked_filler()
        return None

    def _masked_filler(self) -> int | None:
        return 0 if self.limits.takes_mask != "never" else None

    def _given(self, name: str | None) -> float | None:
        padding = self._settings.padding
        return padding.get(name or "") if isinstance(padding, Mapping) else padding

    def _check_ids(self, whole: torch.Tensor, name: str | None) -> torch.Tensor:
        # On a GPU an id that is too large would end the process.
        vocabulary = self.limits.vocabulary
        of_tokens = "input_ids" in (name, self.limits.main_input if name is None else None)
        if of_tokens and vocabulary is not None and whole.numel() and not whole.is_floating_point():
            low, high = torch.aminmax(whole)
            if int(low) < 0 or int(high) >= vocabulary:
                wrong = int(high) if int(high) >= vocabulary else int(low)
                raise RowError(f"The token id {wrong} is not among the model's {vocabulary:,}")
        return whole

    def _advice(self, name: str | None) -> str:
        if isinstance(self._settings.padding, Mapping):
            return closest(name or "", self._settings.padding) + f" padding has nothing for {name!r}"
        place = "padding=0" if name is None else f"padding={{{name!r}: 0}}"
        return f" Say how to fill up shorter ones, for instance {place}, or pass collate_fn"


def to_tensor(value: Any, name: str | None) -> torch.Tensor:
    """`value` as a tensor on the CPU; arrays share their memory with it.

    Raises:
        TypeError: It holds no numbers.
    """
    if isinstance(value, torch.Tensor):
        return value if value.device.type == "cpu" else value.cpu()
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
        array = np.asarray(value, value.dtype.newbyteorder("="), order="C")
        # PyTorch warns of arrays that must not be written to, though nothing here writes to them.
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    if not isinstance(value, (str, bytes, Mapping)) and not hasattr(value, "dtype"):
        try:
            # Of a list of arrays, which PyTorch would take apart number by number.
            return torch.as_tensor(np.asarray(value) if _holds_arrays(value) else value)
        except (TypeError, ValueError, RuntimeError):
            pass
    raise TypeError(f"{_what(name)} must be tensors, arrays or lists of numbers, got {type(value).__name__}")


def _holds_arrays(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and any(isinstance(each, np.ndarray) for each in value)


def _vary(lengths: list[int]) -> bool:
    return bool(lengths) and min(lengths) < max(lengths)


def _mask(lengths: list[int], side: str) -> torch.Tensor:
    position = torch.arange(max(lengths))
    counts = torch.tensor(lengths)[:, None]
    return (position >= max(lengths) - counts if side == "left" else position < counts).long()


def _what(name: str | None) -> str:
    return "The rows" if name is None else f"The input {name!r}"


def _names(row: Any) -> str:
    return ", ".join(map(str, row)) if isinstance(row, Mapping) else type(row).__name__


def _shapes(tensors: list[torch.Tensor]) -> str:
    return ", ".join(str(list(shape)) for shape in list(dict.fromkeys(t.shape for t in tensors))[:5])
