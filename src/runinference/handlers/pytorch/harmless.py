"""Whether an exported program can be read without running code that is in its file.

`torch.export.load` unpickles the example inputs of a program, and the weights that say that they are pickled, without
asking what they are made of. So they are looked at first.
"""

from __future__ import annotations

import io
import json
import zipfile

import torch

from runinference.errors import ModelLoadError
from runinference.prediction import qualified_name


def check_harmless(uri: str, path: str) -> None:
    """Checks everything in an exported program that is a pickle.

    Args:
        uri: What the file is called in error texts.
        path: The file, on this machine.

    Raises:
        ModelLoadError: Some of it could run code, or the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                last = name.rpartition("/")[2]
                if last.startswith(("custom_obj_", "opaque_obj_")):
                    raise ModelLoadError(_refusal(uri, "an object of a class of its own"))
                if "/sample_inputs/" in name:
                    _check_pickle(uri, archive.read(name), "example inputs that are more than tensors")
                if last.endswith("_config.json"):
                    _check_entries(uri, archive, name)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ModelLoadError(
            f"{uri} cannot be read as an exported program, is it damaged? ({first_words(error)})"
        ) from error


def first_words(error: Exception) -> str:
    """The kind of an error and the first sentence of its text."""
    text = str(error).strip().partition("\n")[0].partition(". ")[0]
    return f"{qualified_name(type(error))}: {text}"


def _check_entries(uri: str, archive: zipfile.ZipFile, name: str) -> None:
    folder = name.rpartition("/")[0]
    for entry in json.loads(archive.read(name)).get("config", {}).values():
        file = entry["path_name"]
        if entry.get("use_pickle") or file.startswith(("custom_obj_", "opaque_obj_")):
            _check_pickle(uri, archive.read(f"{folder}/{file}"), "weights that are more than tensors")


def _check_pickle(uri: str, content: bytes, what: str) -> None:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise ModelLoadError(f"{_refusal(uri, what)} ({first_words(error)})") from None


def _refusal(uri: str, what: str) -> str:
    return f"{uri} holds {what} and was not loaded, because it could run code of its choice"
