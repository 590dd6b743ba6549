"""State dicts: read without running code, mapped into memory, and put into a module without a copy."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch

from runinference.errors import ModelLoadError, closest
from runinference.handlers.pytorch.harmless import first_words
from runinference.handlers.pytorch.loading import ONE_AT_A_TIME
from runinference.handlers.pytorch.programs import check_kind
from runinference.handlers.pytorch.skip_init import SkipRandomInit
from runinference.models.files import local_model
from runinference.packages import require
from runinference.prediction import qualified_name

_SHOWN = 8


def load_module(
    uri: str, model_class: Callable[..., Any], model_params: Mapping[str, Any], load_args: Mapping[str, Any]
) -> torch.nn.Module:
    """The module that `model_class(**model_params)` makes, with the weights of a file.

    The weights are mapped into memory: they are read when they are used, and processes on one machine share them.

    Args:
        uri: Path or URL of a state dict, as `torch.save` or safetensors write it.
        model_class: Makes the module.
        model_params: Its arguments.
        load_args: Arguments for `torch.load`, in place of the defaults.

    Raises:
        ModelLoadError: The file is missing, damaged, no state dict, or of another architecture.
    """
    tensors = read_state_dict(uri, load_args)
    try:
        module = _construct(model_class, model_params)
    except Exception as error:
        name = getattr(model_class, "__name__", str(model_class))
        raise ModelLoadError(f"{name}(**model_params) failed: {qualified_name(type(error))}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise ModelLoadError(f"model_class must make a torch.nn.Module, but made {qualified_name(type(module))}")
    assign(module, tensors, uri)
    return module


def _construct(model_class: Callable[..., Any], model_params: Mapping[str, Any]) -> Any:
    with ONE_AT_A_TIME:
        before = torch.get_rng_state()
        with SkipRandomInit():
            module = model_class(**model_params)
        if torch.equal(before, torch.get_rng_state()):
            return module
        # It draws numbers of its own, which the skipped ones come before.
        torch.set_rng_state(before)
        return model_class(**model_params)


def read_state_dict(uri: str, load_args: Mapping[str, Any] | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, mapped into memory on the CPU.

    Raises:
        ModelLoadError: The file is missing, damaged or holds something else.
    """
    path = local_model(uri)
    check_kind(uri, path, "weights")
    found = _read_safetensors(path, uri) if _is_safetensors(path) else _read_torch(path, uri, load_args or {})
    if not _is_state_dict(found):
        raise ModelLoadError(f"{uri} holds no state dict but {_describe(found)}")
    tensors = OrderedDict(found)
    # The versions of the modules that were saved, by which later ones know what has changed.
    tensors._metadata = getattr(found, "_metadata", None)  # type: ignore[attr-defined]
    return tensors


def assign(module: torch.nn.Module, tensors: dict[str, torch.Tensor], uri: str) -> None:
    """Makes `tensors` the parameters and buffers of `module`, without a copy where their types allow it.

    Raises:
        ModelLoadError: Names are missing or unexpected, or shapes differ.
    """
    own = dict((*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)))
    for names in _tied(own):
        _give_all(names, tensors, uri)
    for name, tensor in tensors.items():
        if name in own and isinstance(tensor, torch.Tensor) and own[name].dtype != tensor.dtype:
            tensors[name] = tensor.to(own[name].dtype)
    views = _has_views(module, own)
    try:
        found = module.load_state_dict(tensors, strict=False, assign=not views)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        raise ModelLoadError(
            f"{uri} does not fit {type(module).__name__}: {_some(lines, ' ').rstrip('.')}. "
            "Is it of another architecture, or do model_params differ from those it was trained with?"
        ) from None
    if found.missing_keys or found.unexpected_keys:
        raise ModelLoadError(f"{uri} does not fit {type(module).__name__}: {_mismatch(found)}")
    if not views:
        _keep_objects(module, own)


def _is_state_dict(found: Any) -> bool:
    return (
        isinstance(found, Mapping)
        and bool(found)
        and all(
            isinstance(name, str) and (isinstance(value, torch.Tensor) or name.endswith("_extra_state"))
            for name, value in found.items()
        )
    )


def _is_safetensors(path: str) -> bool:
    if path.endswith(".safetensors"):
        return True
    with open(path, "rb") as file:
        head = file.read(9)
    size = os.path.getsize(path)
    return head[8:9] == b"{" and 8 < int.from_bytes(head[:8], "little") <= size - 8


def _read_safetensors(path: str, uri: str) -> Any:
    safetensors = require("safetensors.torch", "torch", f"read {uri}")
    try:
        return safetensors.load_file(path)
    except Exception as error:
        raise ModelLoadError(f"{uri} cannot be read as safetensors, is it damaged? ({error})") from error


def _read_torch(path: str, uri: str, load_args: Mapping[str, Any]) -> Any:
    # Files from before PyTorch 1.6 are no zip archives and cannot be mapped.
    arguments = {"map_location": "cpu", "weights_only": True, "mmap": _is_zip(path), **load_args}
    try:
        with ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # About old formats, which concern who writes them.
            return torch.load(path, **arguments)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None or not _is_importable(code.group(1)):  # Of a file that is cut off, half a name.
            raise ModelLoadError(f"{uri} is no file of weights, or damaged") from error
        raise ModelLoadError(
            f"{uri} holds more than weights and was not loaded, because it would run code of its choice: it asks for "
            f"{code.group(1)}. Save model.state_dict() in place of the model, or a program with torch.export.save"
        ) from None
    except Exception as error:
        raise ModelLoadError(f"{uri} cannot be read, is it damaged? ({first_words(error)})") from error


def _is_importable(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        found = importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return True  # It cannot be told; a class within a class, for instance.
    loaded = sys.modules.get(module)
    return found and (loaded is None or hasattr(loaded, attribute))


def _is_zip(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _tied(own: Mapping[str, torch.Tensor]) -> list[list[str]]:
    """The names of each parameter or buffer that has several."""
    names: dict[int, list[str]] = {}
    for name, tensor in own.items():
        names.setdefault(id(tensor), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def _give_all(names: list[str], tensors: dict[str, torch.Tensor], uri: str) -> None:
    """Gives a tied parameter to all of its names; a file may hold it under one of them only."""
    there = [name for name in names if name in tensors]
    for name in there[1:]:
        one, other = tensors[there[0]], tensors[name]
        same = one.data_ptr() == other.data_ptr() and one.shape == other.shape
        if not same and not _equal(one, other):
            raise ModelLoadError(
                f"{uri} does not fit: {there[0]!r} and {name!r} are one parameter of the model, but two in the file"
            )
    for name in names if there else ():
        tensors[name] = tensors[there[0]]


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool(torch.allclose(one.to(other.dtype), other, 0, 0, equal_nan=True))


def _has_views(module: torch.nn.Module, own: Mapping[str, torch.Tensor]) -> bool:
    """Whether a tensor shares the memory of another, so that weights must be copied to where they are."""
    plain = (value for part in module.modules() for value in vars(part).values() if isinstance(value, torch.Tensor))
    lazy = torch.nn.parameter.is_lazy
    tensors = {id(each): each for each in (*own.values(), *plain) if not lazy(each) and each.numel()}
    return len({each.untyped_storage().data_ptr() for each in tensors.values()}) < len(tensors)


def _keep_objects(module: torch.nn.Module, own: Mapping[str, torch.Tensor]) -> None:
    """Puts the tensors that the constructor made back in place, with the loaded memory: other parts may hold them."""
    for name, tensor in own.items():
        owner, _, attribute = name.rpartition(".")
        part = module.get_submodule(owner)
        loaded = getattr(part, attribute)
        if loaded is not tensor and not torch.nn.parameter.is_lazy(tensor):
            tensor.data = loaded.data
            setattr(part, attribute, tensor)


def _mismatch(found: Any) -> str:
    missing, unexpected = list(found.missing_keys), list(found.unexpected_keys)
    parts = []
    if missing:
        parts.append(f"{_names(missing)} of the model not in the file ({_some(missing)})")
    if unexpected:
        parts.append(f"{_names(unexpected)} of the file not in the model ({_some(unexpected)})")
    hint = next(filter(None, (closest(name, missing) for name in unexpected)), "")
    return ", and ".join(parts) + f".{hint}"


def _names(items: list[str]) -> str:
    return "1 name" if len(items) == 1 else f"{len(items)} names"


def _describe(found: Any) -> str:
    if not isinstance(found, Mapping):
        return f"an object of type {qualified_name(type(found))}"
    if not found:
        return "an empty dict"
    inner = [name for name, value in found.items() if _is_state_dict(value)]
    hint = f"; its entry {inner[0]!r} may be one: save that" if inner else ""
    return f"a dict with {_some(list(map(str, found)))}{hint}"


def _some(items: list[str], separator: str = ", ") -> str:
    return separator.join(items[:_SHOWN]) + (f"{separator}…" if len(items) > _SHOWN else "")
