"""What the driver of NVIDIA tells of the GPUs that this process sees."""

# ruff: noqa: N802 (the names are those of the library)

import logging
import sys

import pytest
from fake_nvml import GIB, LOST, NO_PERMISSION, NOT_SUPPORTED, UNKNOWN, FakeGpu, FakeNvml, NVMLError

from runinference.engine import gpus
from runinference.engine.gpus import Reading, has_driver, open_gpus

pytestmark = pytest.mark.core

ME, OTHER = 4711, 99


def opened(*there, visible="0,1,2,3"):
    found = open_gpus(FakeNvml(*there), visible, ME)
    assert found is not None
    return found


def four():
    return [FakeGpu(f"GPU-{letter * 4}-1", busy=number) for number, letter in enumerate("abcd")]


def test_the_memory_is_that_of_this_process():
    found = opened(FakeGpu(busy=63, processes={ME: 2 * GIB, OTHER: 5 * GIB}))
    assert found.read(0) == Reading(63.0, 2 * GIB)


@pytest.mark.parametrize("processes", [{}, {OTHER: GIB}, {ME: None}, NVMLError(NO_PERMISSION)])
def test_the_memory_is_that_of_all_where_the_driver_does_not_tell_them_apart(processes):
    assert opened(FakeGpu(used=8 * GIB, processes=processes)).read(0) == Reading(50.0, 8 * GIB)


def test_a_part_of_a_gpu_tells_its_memory_only():
    part = FakeGpu("MIG-1", busy=NVMLError(NOT_SUPPORTED), used=GIB, processes=NVMLError(NOT_SUPPORTED))
    assert opened(part, visible="MIG-1").read(0) == Reading(None, GIB)


def test_a_gpu_that_tells_nothing_for_once_is_not_lost():
    gpu = FakeGpu(busy=NVMLError(UNKNOWN), used=NVMLError(UNKNOWN))
    assert opened(gpu).read(0) == Reading(None, None)


@pytest.mark.parametrize("of", ["busy", "used"])
def test_a_gpu_that_fell_off_the_bus_is_lost(of):
    assert opened(FakeGpu(**{of: NVMLError(LOST)})).read(0) is None


def test_those_in_use_are_those_with_this_process():
    there = four()
    there[1].processes = {ME: None}
    there[2].processes = {OTHER: GIB}
    there[3].processes = {ME: GIB}
    assert opened(*there).used() == {1, 3}


@pytest.mark.parametrize(
    ("visible", "numbers"),
    [
        (None, [0, 1, 2, 3]),
        ("2", [2]),
        ("3, 0", [3, 0]),
        ("GPU-cccc-1,GPU-aaaa", [2, 0]),
        ("GPU-b,3", [1, 3]),
        ("MIG-7", [4]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1,-1,2", [1]),
        ("1,9,2", [1]),
        ("2,GPU-x,1", [2]),
        ("GPU-", []),
        ("MIG-8,0", []),
    ],
)
def test_they_are_numbered_as_cuda_shows_them(monkeypatch, visible, numbers):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    there = [*four(), FakeGpu("MIG-7", busy=4)]
    library = FakeNvml(*there) if visible is not None else FakeNvml(*there[:4])
    found = open_gpus(library, visible, ME)
    assert [found.read(number).busy for number in range(len(found))] == numbers


def test_the_environment_says_which_are_shown(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-d")
    assert len(open_gpus(FakeNvml(*four()))) == 1


def test_the_driver_is_let_go_of():
    library = FakeNvml(FakeGpu())
    found = open_gpus(library, "0", ME)
    assert library.users == 1
    found.close()
    assert library.users == 0


def test_letting_go_of_a_driver_that_is_gone_does_no_harm():
    class Gone(FakeNvml):
        def nvmlShutdown(self):
            raise NVMLError(LOST)

    open_gpus(Gone(FakeGpu()), "0", ME).close()


def test_a_driver_that_does_not_fit_is_told_once(caplog):
    class Mismatch(FakeNvml):
        def nvmlInit(self):
            raise NVMLError(18)

    caplog.set_level(logging.INFO)
    gpus._say_once.cache_clear()
    for _ in range(3):
        assert open_gpus(Mismatch(FakeGpu()), "0", ME) is None
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "GPUs cannot be measured: code 18")
    ]


def test_a_driver_that_breaks_while_it_is_asked_is_let_go_of(monkeypatch):
    class Breaks(FakeNvml):
        def nvmlDeviceGetCount(self):
            raise NVMLError(UNKNOWN)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    library = Breaks(FakeGpu())
    assert open_gpus(library) is None
    assert library.users == 0


@pytest.mark.skipif(not has_driver(), reason="there is no driver of NVIDIA, so that the package is not asked for")
def test_with_a_driver_the_gpus_can_be_opened():
    pytest.importorskip("pynvml")
    found = open_gpus()
    assert found is not None
    found.close()


@pytest.mark.skipif(has_driver(), reason="there is a driver of NVIDIA")
def test_without_a_driver_nothing_is_imported():
    before = set(sys.modules)
    assert open_gpus() is None
    assert "pynvml" not in set(sys.modules) - before


def test_a_missing_package_is_told_once_with_what_to_type(monkeypatch, caplog):
    monkeypatch.setattr(gpus, "has_driver", lambda: True)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    caplog.set_level(logging.INFO)
    gpus._say_once.cache_clear()
    assert open_gpus() is open_gpus() is None
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert 'pip install "runinference[gpu]"' in record.message


def test_the_real_package_has_all_that_is_called():
    pynvml = pytest.importorskip("pynvml", reason="the extra gpu is not installed")
    names = [name for name in vars(FakeNvml) if name.startswith(("nvml", "NVML"))]
    assert [name for name in names if not hasattr(pynvml, name)] == []
    assert (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_UNINITIALIZED) == (
        FakeNvml.NVML_ERROR_GPU_IS_LOST,
        FakeNvml.NVML_ERROR_UNINITIALIZED,
    )
    assert issubclass(pynvml.NVMLError, Exception)
    assert pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST).value == LOST


@pytest.mark.skipif(has_driver(), reason="there is a driver of NVIDIA")
def test_the_real_package_without_a_driver_opens_nothing():
    pynvml = pytest.importorskip("pynvml", reason="the extra gpu is not installed")
    assert open_gpus(pynvml) is None
