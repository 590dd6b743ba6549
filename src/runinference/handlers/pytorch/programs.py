"""Models that bring their own code: TorchScript and exported programs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from runinference.errors import ModelLoadError
from runinference.handlers.pytorch.harmless import check_harmless, first_words
from runinference.handlers.pytorch.kinds import Kind, kind_of_file
from runinference.handlers.pytorch.loading import ONE_AT_A_TIME
from runinference.models.files import local_model


def load_torch_script(uri: str, device: torch.device, load_args: Mapping[str, Any]) -> torch.nn.Module:
    """The module of a TorchScript file, on `device`.

    Raises:
        ModelLoadError: The file is missing, damaged or no TorchScript.
    """
    path = local_model(uri)
    check_kind(uri, path, "script")
    try:
        with ONE_AT_A_TIME, warnings.catch_warnings():
            # That TorchScript is deprecated concerns who writes such a file.
            warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
            return torch.jit.load(path, **{"map_location": device, **load_args})
    except Exception as error:
        raise ModelLoadError(f"{uri} cannot be read as TorchScript, is it damaged? ({first_words(error)})") from error


def load_exported(uri: str, device: torch.device, load_args: Mapping[str, Any]) -> torch.nn.Module:
    """The module of a program that `torch.export.save` wrote, on `device`.

    Raises:
        ModelLoadError: The file is missing, damaged or no exported program.
    """
    path = local_model(uri)
    check_kind(uri, path, "exported")
    check_harmless(uri, path)
    try:
        with ONE_AT_A_TIME:
            program = torch.export.load(path, **load_args)
            _check_mode(uri, program)
            if device.type != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, device)
            module = program.module()
        module.batch_size = _batch_size(program)
        return module
    except ModelLoadError:
        raise
    except Exception as error:
        raise ModelLoadError(
            f"{uri} cannot be read as an exported program, is it damaged? ({first_words(error)})"
        ) from error


def _check_mode(uri: str, program: Any) -> None:
    """Raises `ModelLoadError` for a program that was exported while training, which its graph does for ever."""
    for node in program.graph.nodes:
        name = str(node.target)
        if ("dropout" in name and True in node.args) or ("batch_norm" in name and _trains(node)):
            raise ModelLoadError(f"{uri} was exported in training mode; export it again after model.eval()")


def _trains(node: Any) -> bool:
    # Of the arguments of a batch norm the only ones that are true or false are whether it trains, and use of cuDNN.
    flags = [argument for argument in node.args if isinstance(argument, bool)]
    return bool(flags) and flags[0]


def _batch_size(program: Any) -> int | None:
    """The only number of rows that a program takes; `None` where it takes any."""
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs:
            size = next(iter(getattr(node.meta.get("val"), "shape", [])), None)
            return size if isinstance(size, int) else None
    return None


def check_kind(uri: str, path: str, wanted: Kind) -> None:
    """Raises `ModelLoadError` for a file that PyTorch wrote, but as something else than what is `wanted`."""
    if os.path.isdir(path):
        raise ModelLoadError(f"{uri} is a folder, not a model file")
    kind = kind_of_file(path)
    if kind != wanted and (kind is not None or wanted != "weights"):
        raise ModelLoadError(f"{uri} is no {_KINDS[wanted]}" + ("" if kind is None else f" but {_ADVICE[kind]}"))


_KINDS: dict[Kind, str] = {"exported": "exported program", "script": "TorchScript file", "weights": "file of weights"}
_ADVICE: dict[Kind, str] = {
    "exported": "an exported program: pass exported_program_path",
    "script": "TorchScript: pass torch_script_model_path",
    "weights": "a file of weights: pass state_dict_path and model_class",
}
