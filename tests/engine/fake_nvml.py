"""A management library as `pynvml` is, over GPUs that are told what to say."""

# ruff: noqa: N802 (the names are those of the library)

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

GIB = 1 << 30

UNINITIALIZED, INVALID, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, UNKNOWN, LOST = 1, 2, 3, 4, 6, 999, 15


class NVMLError(Exception):
    """As the library's own."""

    def __init__(self, value: int) -> None:
        super().__init__(f"code {value}")
        self.value = value


@dataclass
class FakeGpu:
    """What a GPU says.

    Attributes:
        uuid: Its identifier.
        busy: In per cent; or the code of an error.
        used: Memory in use by all; or the code of an error.
        processes: Memory of each process by its id, `None` where the driver does not tell; or the code of an error.
    """

    uuid: str = "GPU-0"
    busy: int | Exception = 50
    used: int | Exception = 8 * GIB
    processes: dict[int, int | None] | Exception = field(default_factory=dict)


class FakeNvml:
    """The functions of `pynvml` that are called, by their names.

    Args:
        gpus: What there is.
        before_look: Called with the number of the look at utilization before it is answered, from 1 on.
    """

    NVMLError = NVMLError
    NVML_ERROR_GPU_IS_LOST = LOST
    NVML_ERROR_UNINITIALIZED = UNINITIALIZED

    def __init__(self, *gpus: FakeGpu, before_look: Callable[[int], None] = lambda number: None) -> None:
        self.gpus = list(gpus)
        self.users = 0
        self.looks = 0
        self.closed = threading.Event()
        self._before_look = before_look

    def nvmlInit(self):
        self.users += 1

    def nvmlShutdown(self):
        self.users -= 1
        self.closed.set()

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        if index >= len(self.gpus):
            raise NVMLError(INVALID)
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        for gpu in self.gpus:
            if gpu.uuid == uuid:
                return gpu
        raise NVMLError(NOT_FOUND)

    def nvmlDeviceGetUUID(self, handle):
        return handle.uuid

    def nvmlDeviceGetUtilizationRates(self, handle):
        self.looks += 1
        self._before_look(self.looks)
        return SimpleNamespace(gpu=_said(handle.busy), memory=1)

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=16 * GIB, used=_said(handle.used), free=0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in _said(handle.processes).items()]


def _said(value):
    if isinstance(value, Exception):
        raise value
    return value
