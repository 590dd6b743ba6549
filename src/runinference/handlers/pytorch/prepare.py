"""A loaded module made ready to run: its device, precision, memory order and compilation."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import logging
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from runinference.handlers.pytorch.collate import Limits
from runinference.handlers.pytorch.linear import use_onednn
from runinference.handlers.pytorch.options import TorchSettings

_logger = logging.getLogger(__name__)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_HEAVY = (torch.nn.Linear, torch.nn.Embedding, torch.nn.modules.conv._ConvNd)


def make_ready(module: torch.nn.Module, device: torch.device, settings: TorchSettings) -> torch.nn.Module:
    """The module as it will be run: without gradients, in evaluation mode, on `device`."""
    with contextlib.suppress(NotImplementedError):  # An exported program cannot change its mode.
        module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    if settings.precision in DTYPES:
        _lower_precision(module, DTYPES[settings.precision], device)
    module = module.to(device)
    if settings.channels_last:
        module = module.to(memory_format=torch.channels_last)
    if device.type == "cpu" and settings.precision == "fp32" and not settings.compile:
        use_onednn(module, settings.onednn_linear)
    prepare = getattr(settings.output_fn, "prepare", None)
    if prepare is not None:
        prepare(module)
    if settings.compile:
        mode = settings.compile if isinstance(settings.compile, str) else None
        return torch.compile(module, mode=mode, dynamic=True)
    return module


def autocast(settings: TorchSettings, device: torch.device) -> AbstractContextManager[Any]:
    """Within it, models on `device` compute in the precision that they are to."""
    dtype = DTYPES.get(settings.precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def limits_of(module: torch.nn.Module, method: str, settings: TorchSettings) -> Limits:
    """What a module tells about its input; models of transformers tell the most."""
    config = getattr(module, "config", None)
    # What `generate` is given by name goes on to `forward`.
    parameters = _parameters(module, "forward" if method == "generate" else method)
    return Limits(
        pad_token_id=getattr(config, "pad_token_id", None),
        max_length=_max_length(module, config),
        vocabulary=_vocabulary(module),
        dtype=torch.float32 if settings.precision in DTYPES else dtype_of(module),
        takes_mask=_takes_mask(parameters),
        main_input=getattr(module, "main_input_name", None),
    )


def _vocabulary(module: torch.nn.Module) -> int | None:
    try:
        embedding = module.get_input_embeddings()
    except (AttributeError, NotImplementedError):  # No model of transformers, or one that takes no tokens.
        return None
    return getattr(embedding, "num_embeddings", None)


def dtype_of(module: Any) -> torch.dtype | None:
    """The type of the floating-point numbers that a module computes with, where it has any of its own."""
    if not hasattr(module, "parameters"):
        return None
    tensors = itertools.chain(module.parameters(), module.buffers(), _constants(module))
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)


def _constants(module: Any) -> list[torch.Tensor]:
    """The weights of a frozen TorchScript module, which are neither parameters nor buffers any more."""
    if not isinstance(module, torch.jit.ScriptModule):
        return []
    graph = module.inlined_graph  # Its nodes live no longer than it does.
    values = [node.output().toIValue() for node in graph.findAllNodes("prim::Constant")]
    return [value for value in values if isinstance(value, torch.Tensor) and value.dim()]


def model_bytes(module: torch.nn.Module) -> int:
    """The bytes of all parameters and buffers, each memory counted once."""
    storages = {}
    for tensor in (*module.parameters(), *module.buffers()):
        storage = tensor.untyped_storage()
        # A file that is mapped as a whole is one storage for all: count what each tensor uses of it.
        storages[storage.data_ptr() + tensor.storage_offset() * tensor.element_size()] = tensor.nbytes
    return sum(storages.values())


def _lower_precision(module: torch.nn.Module, dtype: torch.dtype, device: torch.device) -> None:
    """Stores the large weights in `dtype`; what is sensitive to rounding, such as norms, stays as it is.

    With the weights in the type that autocast would turn them into, it has nothing left to convert for each batch.
    """
    if device.type == "cpu" and not _computes(dtype):
        _logger.warning(
            "This processor has no instructions for %s, so that it is slower here than fp32 is", _NAMES[dtype]
        )
    if isinstance(module, (torch.jit.ScriptModule, torch.fx.GraphModule)):
        return  # Types are written into a program; autocast converts on the way.
    for part in module.modules():
        if isinstance(part, _HEAVY):
            part.to(dtype)


_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16"}


def _computes(dtype: torch.dtype) -> bool:
    """Whether the processor multiplies matrices of `dtype` itself; where PyTorch cannot tell, it is taken to."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return True
    kind = "bf16" if dtype == torch.bfloat16 else "fp16"
    tests = [f"_is_avx512_{kind}_supported", f"_is_amx_{kind}_supported", "_is_amx_tile_supported"]
    known = [bool(getattr(torch.cpu, name)()) for name in tests if hasattr(torch.cpu, name)]
    return any(known) or not known


def _max_length(module: torch.nn.Module, config: Any) -> int | None:
    """Positions that a model has learnt; computed ones, such as rotary embeddings, have no end."""
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Embedding) and name.rpartition(".")[2] in _POSITIONS:
            padding = getattr(part, "padding_idx", None)
            # With a padding index, positions are counted from behind it.
            size = int(part.num_embeddings) - (0 if padding is None else padding + 1)
            configured = getattr(config, "max_position_embeddings", None)
            return size if configured is None else min(size, int(configured))
    return None


_POSITIONS = frozenset({"embed_positions", "position_embedding", "position_embeddings", "wpe"})


def _parameters(module: torch.nn.Module, method: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(getattr(module, method)).parameters
    except (AttributeError, TypeError, ValueError):
        return {}


def _takes_mask(parameters: Mapping[str, inspect.Parameter]) -> Literal["never", "optionally", "always"]:
    mask = parameters.get("attention_mask")
    if mask is None:
        return "never"
    return "always" if mask.default is inspect.Parameter.empty else "optionally"
