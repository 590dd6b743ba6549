"""The GPUs of NVIDIA that this process sees: which it uses, how busy they are, how much memory is in use."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from runinference.errors import MissingDependencyError
from runinference.packages import require

_logger = logging.getLogger(__name__)

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Reading(NamedTuple):
    """What one GPU told at one moment.

    Attributes:
        busy: The share of the last moments in which it computed, in per cent; `None` where it does not tell, such as a
            part of a GPU (MIG).
        used_bytes: The memory in use: by this process, or by all where the driver does not tell them apart; `None`
            where it does not tell.
    """

    busy: float | None
    used_bytes: int | None


class Gpus(Protocol):
    """The GPUs that this process sees, by their numbers in CUDA."""

    def __len__(self) -> int:
        """How many there are."""

    def used(self) -> set[int]:
        """Those on which the driver finds this process; in a container it may find none."""

    def read(self, number: int) -> Reading | None:
        """What a GPU tells now; `None` once it is lost."""

    def close(self) -> None:
        """Lets go of the driver."""


def open_gpus(library: Any = None, visible: str | None = None, process_id: int | None = None) -> Gpus | None:
    """The GPUs that this process sees; `None` where there are none, or nobody can ask them.

    Args:
        library: NVIDIA's management library, as `pynvml` has it; that itself by default.
        visible: Which GPUs CUDA shows, by numbers or identifiers; `CUDA_VISIBLE_DEVICES` by default.
        process_id: Of the process that uses them; this one by default.
    """
    if library is None:
        if not has_driver():
            return None
        try:
            library = require("pynvml", "gpu", "measure how busy GPUs are and the memory in use there")
        except MissingDependencyError as error:
            _say_once(str(error))
            return None
    visible = os.environ.get(_VISIBLE) if visible is None else visible
    try:
        return NvmlGpus(library, visible, os.getpid() if process_id is None else process_id)
    except library.NVMLError as error:
        _say_once(f"GPUs cannot be measured: {error}")
        return None


def has_driver() -> bool:
    """Whether a driver of NVIDIA is on this machine; nothing is loaded to find out."""
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvml.dll").exists()
    # The second one stands for all GPUs in Linux on Windows.
    return os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg")


class NvmlGpus:
    """GPUs as NVIDIA's management library (NVML) knows them.

    Args:
        library: The library, which is initialised.
        visible: Which of them CUDA shows, as `CUDA_VISIBLE_DEVICES` has it; `None` for all.
        process_id: The process that uses them.

    Raises:
        Exception: The library's `NVMLError`: the driver does not answer, or does not fit.
    """

    def __init__(self, library: Any, visible: str | None, process_id: int) -> None:
        self._library = library
        self._process_id = process_id
        library.nvmlInit()
        try:
            self._handles = list(_all(library) if visible is None else _chosen(library, visible))
        except library.NVMLError:
            self.close()
            raise

    def __len__(self) -> int:
        """How many there are."""
        return len(self._handles)

    def used(self) -> set[int]:
        """Those on which the driver finds this process."""
        return {number for number, handle in enumerate(self._handles) if self._memory_of_process(handle) is not None}

    def read(self, number: int) -> Reading | None:
        """What a GPU tells now; `None` once it is lost."""
        handle, library = self._handles[number], self._library
        try:
            busy: float | None = float(library.nvmlDeviceGetUtilizationRates(handle).gpu)
        except library.NVMLError as error:
            if _is_lost(library, error):
                return None
            busy = None
        try:
            used = self._memory_of_process(handle) or int(library.nvmlDeviceGetMemoryInfo(handle).used)
        except library.NVMLError as error:
            if _is_lost(library, error):
                return None
            used = None
        return Reading(busy, used)

    def close(self) -> None:
        """Lets go of the library."""
        try:
            self._library.nvmlShutdown()
        except self._library.NVMLError as error:
            _logger.debug("NVML was not shut down: %s", error)

    def _memory_of_process(self, handle: Any) -> int | None:
        """Bytes that the process has there, 0 where the driver does not tell how many; `None` if it is not there."""
        try:
            processes = self._library.nvmlDeviceGetComputeRunningProcesses(handle)
        except self._library.NVMLError as error:
            _logger.debug("A GPU does not tell its processes: %s", error)
            return None
        found = [process.usedGpuMemory or 0 for process in processes if process.pid == self._process_id]
        return sum(found) if found else None


def _all(library: Any) -> Iterator[Any]:
    for number in range(library.nvmlDeviceGetCount()):
        yield library.nvmlDeviceGetHandleByIndex(number)


def _chosen(library: Any, visible: str) -> Iterator[Any]:
    """Those that are named; CUDA ends at the first name that it does not know, and so does this."""
    try:
        for name in visible.split(","):
            yield _by_name(library, name.strip())
    except (library.NVMLError, LookupError):
        return


def _by_name(library: Any, name: str) -> Any:
    if name.isdecimal():
        return library.nvmlDeviceGetHandleByIndex(int(name))
    if name.startswith("GPU-"):  # Its first letters are enough.
        handles = [handle for handle in _all(library) if library.nvmlDeviceGetUUID(handle).startswith(name)]
        if len(handles) == 1:
            return handles[0]
    elif name.startswith("MIG-"):
        return library.nvmlDeviceGetHandleByUUID(name)
    raise LookupError(name)


def _is_lost(library: Any, error: Exception) -> bool:
    return getattr(error, "value", None) in (library.NVML_ERROR_GPU_IS_LOST, library.NVML_ERROR_UNINITIALIZED)


@functools.cache
def _say_once(text: str) -> None:
    _logger.info("%s", text)
