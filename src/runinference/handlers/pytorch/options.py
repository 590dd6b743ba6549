"""What can be said about how a PyTorch model is run, declared once and checked in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, cast

from runinference.errors import ConfigurationError
from runinference.options import HandlerOptions, check_options

Precision = Literal["fp32", "bf16", "fp16"]


class TorchOptions(HandlerOptions, total=False):
    """Keyword options of every handler that runs PyTorch models, besides those of all handlers.

    Attributes:
        devices: Run copies of the model on several devices: a list such as `["cuda:0", "cuda:1"]`, or `all` for every
            GPU that is there when the engine is made. Copy i of `model_copies` runs on device i, and beyond the last
            device from the first one on again; without `model_copies` there is one for each. In place of `device`.
        padding: What fills up the rows of a batch that are shorter than its longest: a number, or a mapping of names
            of inputs to numbers. Names that transformers use have defaults: the `pad_token_id` of the model's
            configuration for `input_ids`, 0 for `attention_mask` and `token_type_ids`.
        padding_side: `right` (default), or `left` for text that a model continues.
        collate_fn: Makes the model's input of a list of rows, in place of stacking and padding. Like every function
            of yours, several copies of the model call it at the same time.
        max_length: Most elements, such as tokens, that a row may have; by default what the model's position
            embeddings allow.
        too_long: What happens to a longer row: `set_aside` (default) as a failure, or `truncate`.
        output_fn: `output_fn(outputs, inputs)`, called with the model's outputs for a batch and its inputs, both on
            the device, to return less of them, such as an argmax. Only what it returns comes to the host.
        precision: `fp32` (default: as the model is), `bf16` or `fp16`. Outputs are float32 all the same.
        compile: Compile the model with `torch.compile`; a text is its `mode`. The first batches are slow.
        channels_last: Keep images and weights in the memory order that convolutions are faster in.
        onednn_linear: Whether oneDNN computes the linear layers of a float32 model on the CPU. On some processors, such
            as AMD's, it is several times as fast as the library that PyTorch calls otherwise; results are the same up
            to rounding. By default where it is faster, which is found out once, in some milliseconds.
        threads: Threads for each operation on the CPU; by default as many as PyTorch takes, and where there are several
            copies of the model, no more than the cores of this process allow each of them. Other models that run in
            the same thread afterwards keep the number.
    """

    devices: Sequence[Any] | Literal["all"] | None
    padding: float | Mapping[str, float] | None
    padding_side: Literal["right", "left"] | None
    collate_fn: Callable[[list[Any]], Any] | None
    max_length: int | None
    too_long: Literal["set_aside", "truncate"] | None
    output_fn: Callable[[Any, Any], Any] | None
    precision: Precision | None
    compile: bool | str | None
    channels_last: bool | None
    onednn_linear: bool | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class TorchSettings:
    """The options of `TorchOptions` with their defaults; see there."""

    padding: float | Mapping[str, float] | None = None
    padding_side: Literal["right", "left"] = "right"
    collate_fn: Callable[[list[Any]], Any] | None = None
    max_length: int | None = None
    too_long: Literal["set_aside", "truncate"] = "set_aside"
    output_fn: Callable[[Any, Any], Any] | None = None
    precision: Precision = "fp32"
    compile: bool | str = False
    channels_last: bool = False
    onednn_linear: bool | None = None
    threads: int | None = None


def split_options(owner: str, options: Mapping[str, Any]) -> tuple[TorchSettings, HandlerOptions]:
    """The settings for PyTorch and the options of all handlers.

    Raises:
        ConfigurationError: An option is unknown, has a wrong value or would have no effect.
    """
    names = [field.name for field in fields(TorchSettings)]
    others = check_options(owner, {k: v for k, v in options.items() if k not in names}, more=["devices", *names])
    settings = TorchSettings(**{k: v for k, v in options.items() if k in names and v is not None})
    _check(owner, settings)
    return settings, others


def _check(owner: str, settings: TorchSettings) -> None:
    for name, choices in _CHOICES.items():
        value = getattr(settings, name)
        if value not in choices:
            raise ConfigurationError(f"{owner}: {name} must be one of {', '.join(choices)}, got {value!r}")
    for name in ("collate_fn", "output_fn"):
        value = getattr(settings, name)
        if value is not None and not callable(value):
            raise ConfigurationError(f"{owner}: {name} must be a function, got {value!r}")
    for name in ("max_length", "threads"):
        value = getattr(settings, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigurationError(f"{owner}: {name} must be a whole number of at least 1, got {value!r}")
    if not isinstance(settings.compile, (bool, str)):
        raise ConfigurationError(f"{owner}: compile must be True, False or a mode, got {settings.compile!r}")
    if not isinstance(settings.channels_last, bool):
        raise ConfigurationError(f"{owner}: channels_last must be True or False, got {settings.channels_last!r}")
    if settings.onednn_linear and (settings.compile or settings.precision != "fp32"):
        raise ConfigurationError(
            f"{owner}: onednn_linear has no effect with compile, or with another precision than fp32"
        )
    if not isinstance(settings.onednn_linear, (bool, type(None))):
        raise ConfigurationError(f"{owner}: onednn_linear must be True or False, got {settings.onednn_linear!r}")
    if isinstance(settings.padding, bool) or not isinstance(settings.padding, (int, float, Mapping, type(None))):
        raise ConfigurationError(
            f"{owner}: padding must be a number or a mapping of names of inputs to numbers, got {settings.padding!r}"
        )
    if isinstance(settings.padding, Mapping):
        for name, filler in settings.padding.items():
            if not isinstance(name, str) or isinstance(filler, bool) or not isinstance(filler, (int, float)):
                raise ConfigurationError(f"{owner}: padding must be numbers by name, got {filler!r} for {name!r}")
    if settings.collate_fn is not None:
        default = TorchSettings()
        for name in ("padding", "padding_side", "max_length", "too_long"):
            if getattr(settings, name) != getattr(default, name):
                raise ConfigurationError(f"{owner}: {name} has no effect with collate_fn, which makes the whole input")


def check_unused(owner: str, settings: TorchSettings, reason: str) -> None:
    """Raises `ConfigurationError` where an option of how rows are put together and taken apart is set."""
    default = TorchSettings()
    for name in ("padding", "padding_side", "collate_fn", "max_length", "too_long", "output_fn"):
        if getattr(settings, name) != getattr(default, name):
            raise ConfigurationError(f"{owner}: {name} has no effect with {reason}")


_CHOICES = {
    "padding_side": ("right", "left"),
    "too_long": ("set_aside", "truncate"),
    "precision": ("fp32", "bf16", "fp16"),
}


def add_length(options: TorchOptions, length_fn: Callable[[Any], int]) -> TorchOptions:
    """`options` with rows of like length batched together, unless they say how rows are weighed or measured."""
    if options.get("element_size_fn") is not None or "batch_length_fn" in options:
        return options
    return cast(TorchOptions, {**options, "batch_length_fn": length_fn})
