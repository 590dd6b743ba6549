"""What GPUs tell while rows are running, over GPUs that are told what to say."""

import functools
import sys
import threading
from types import SimpleNamespace

import pytest
from fake_nvml import GIB, LOST, UNKNOWN, FakeGpu, FakeNvml, NVMLError

from runinference import Engine, Metrics, infer
from runinference.engine import passes
from runinference.engine.device_sampler import DeviceSampler, named_gpus
from runinference.engine.gpus import open_gpus
from runinference.testing.fakes import CountingHandler

pytestmark = pytest.mark.core

ME = 4711
BUSY, MEMORY = "device_utilization_percent", "device_memory_used_bytes"


def is_looking():
    return any(thread.name == "runinference-devices" for thread in threading.enumerate())


class Looks:
    """Lets a test wait for the look of a number, which is not answered before the test goes on."""

    def __init__(self, number):
        self._number = number
        self._reached, self._go_on = threading.Event(), threading.Event()

    def __call__(self, number):
        if number == self._number:
            self._reached.set()
            assert self._go_on.wait(10)

    def __enter__(self):
        assert self._reached.wait(10)

    def __exit__(self, *_):
        self._go_on.set()


def sampler(library, metrics, *, named=(), working=lambda: True, interval_s=0.0005, visible="0,1,2"):
    return DeviceSampler(
        metrics,
        lambda count: set(named),
        working,
        lambda: open_gpus(library, visible, ME),
        lambda: True,
        interval_s,
    )


def watched(library, until=None, idles=False, **options):
    """What was recorded until the sampler was closed, at once or at that look at a GPU."""
    metrics = Metrics()
    devices = sampler(library, metrics, **options)
    with devices.run(idles):
        devices.look()
        if until is not None:
            with until:
                pass
        devices.close()
    assert not is_looking()
    assert library.users == 0
    return metrics.snapshot()


def test_the_shortest_run_has_one_value():
    snapshot = watched(FakeNvml(FakeGpu(busy=63, processes={ME: 2 * GIB})), interval_s=60)
    assert (snapshot[f"{BUSY}_COUNT"], snapshot[f"{BUSY}_MEAN"]) == (1, 63)
    assert (snapshot[f"{MEMORY}_COUNT"], snapshot[f"{MEMORY}_MAX"]) == (1, 2 * GIB)


def test_a_longer_one_has_many():
    looks = Looks(5)
    snapshot = watched(FakeNvml(FakeGpu(processes={ME: GIB}), before_look=looks), looks)
    assert snapshot[f"{BUSY}_COUNT"] >= 5


def test_of_several_gpus_each_has_its_utilization_and_all_their_memory_together():
    used, unused = [FakeGpu("GPU-0", 20, 0, {ME: GIB}), FakeGpu("GPU-2", 80, 0, {ME: 3 * GIB})], FakeGpu("GPU-1", 100)
    snapshot = watched(FakeNvml(used[0], unused, used[1]), interval_s=60)
    assert (snapshot[f"{BUSY}_MIN"], snapshot[f"{BUSY}_MAX"], snapshot[f"{BUSY}_COUNT"]) == (20, 80, 2)
    assert (snapshot[f"{MEMORY}_MAX"], snapshot[f"{MEMORY}_COUNT"]) == (4 * GIB, 1)


def test_gpus_that_the_handler_names_count_where_the_driver_does_not_find_the_process():
    library = FakeNvml(FakeGpu("GPU-0", 10), FakeGpu("GPU-1", 90, 5 * GIB))
    snapshot = watched(library, named=[0], visible="1", interval_s=60)
    assert (snapshot[f"{BUSY}_MEAN"], snapshot[f"{MEMORY}_MAX"]) == (90, 5 * GIB)


def test_where_no_gpu_is_used_there_is_nothing():
    snapshot = watched(FakeNvml(FakeGpu(busy=100, processes={99: GIB})))
    assert (snapshot[f"{BUSY}_COUNT"], snapshot[f"{MEMORY}_COUNT"]) == (0, 0)


def test_without_a_driver_there_is_no_thread():
    def fail():
        raise AssertionError("opened")

    devices = DeviceSampler(Metrics(), lambda count: set(), lambda: True, fail, lambda: False)
    with devices.run(idles=False):
        devices.look()
        assert not is_looking()
        assert devices._thread is None
    devices.close()


def test_a_driver_that_does_not_fit_is_asked_once():
    asked = []
    devices = DeviceSampler(Metrics(), lambda count: set(), lambda: True, lambda: asked.append(1), lambda: True)
    with devices.run(idles=False):
        devices.look()
        devices._thread.join()
        devices.look()
    devices.close()
    assert asked == [1]


def test_an_error_in_the_middle_leaves_out_a_value():
    gpu = FakeGpu(busy=40, processes={ME: GIB})
    looks = Looks(6)

    def before_look(number):
        gpu.busy = NVMLError(UNKNOWN) if number == 2 else 40
        looks(number)

    snapshot = watched(FakeNvml(gpu, before_look=before_look), looks)
    assert snapshot[f"{BUSY}_COUNT"] == snapshot[f"{MEMORY}_COUNT"] - 1


def test_a_gpu_that_is_lost_is_left_out_and_the_others_go_on():
    lost, other = FakeGpu("GPU-0", 40, 0, {ME: GIB}), FakeGpu("GPU-1", 60, 0, {ME: GIB})
    looks = Looks(9)

    def before_look(number):
        lost.busy = NVMLError(LOST) if number >= 3 else 40
        looks(number)

    snapshot = watched(FakeNvml(lost, other, before_look=before_look), looks)
    assert (snapshot[f"{BUSY}_MIN"], snapshot[f"{BUSY}_MAX"]) == (40, 60)
    assert (snapshot[f"{MEMORY}_MIN"], snapshot[f"{MEMORY}_MAX"]) == (GIB, 2 * GIB)
    assert snapshot[f"{BUSY}_COUNT"] == snapshot[f"{MEMORY}_COUNT"] + 1


def test_when_the_last_one_is_lost_the_thread_ends():
    gpu = FakeGpu(processes={ME: GIB})

    def before_look(number):
        gpu.busy = NVMLError(LOST) if number == 3 else 50

    library, metrics = FakeNvml(gpu, before_look=before_look), Metrics()
    devices = sampler(library, metrics)
    with devices.run(idles=False):
        devices.look()
        assert library.closed.wait(10)
        devices.close()
    assert metrics.snapshot()[f"{BUSY}_COUNT"] == 2


def test_whatever_the_driver_raises_ends_the_looking_only():
    def before_look(number):
        raise OSError("the driver is odd")

    snapshot = watched(FakeNvml(FakeGpu(processes={ME: GIB}), before_look=before_look))
    assert snapshot[f"{BUSY}_COUNT"] == 0


def test_the_thread_ends_with_the_last_run_and_comes_back_with_the_next():
    library, metrics = FakeNvml(FakeGpu(processes={ME: GIB})), Metrics()
    devices = sampler(library, metrics)
    with devices.run(idles=False):
        with devices.run(idles=False):
            devices.look()
        assert not library.closed.is_set()
    assert library.closed.wait(10)
    before = metrics.snapshot()[f"{BUSY}_COUNT"]
    with devices.run(idles=False):
        devices.close()
    assert metrics.snapshot()[f"{BUSY}_COUNT"] == before + 1


def test_after_the_close_there_is_no_thread():
    devices = sampler(FakeNvml(FakeGpu(processes={ME: GIB})), Metrics())
    devices.close()
    with devices.run(idles=False):
        devices.look()
    assert devices._thread is None


def test_a_model_that_comes_later_brings_its_gpu():
    first, second = FakeGpu("GPU-0", 10, 0, {ME: GIB}), FakeGpu("GPU-1", 90, 0)
    looks, later = Looks(2), Looks(8)

    def before_look(number):
        looks(number)
        later(number)

    metrics = Metrics()
    devices = sampler(FakeNvml(first, second, before_look=before_look), metrics)
    with devices.run(idles=False):
        devices.look()
        with looks:
            second.processes = {ME: 2 * GIB}
            devices.look()
        with later:
            pass
        devices.close()
    assert metrics.snapshot()[f"{BUSY}_MAX"] == 90


def test_while_callers_have_nothing_to_run_nothing_is_recorded():
    asked = []
    second = threading.Event()

    def working():
        asked.append(1)
        if len(asked) == 5:
            second.set()
        return False

    metrics = Metrics()
    devices = sampler(FakeNvml(FakeGpu(processes={ME: GIB})), metrics, working=working)
    with devices.run(idles=True):
        devices.look()
        assert second.wait(10)
        devices.close()
    assert metrics.snapshot()[f"{BUSY}_COUNT"] == 1


@pytest.mark.parametrize(
    ("attributes", "numbers"),
    [
        ({}, set()),
        ({"_device": "cpu"}, set()),
        ({"_device": "mps"}, set()),
        ({"_device": "auto"}, set()),
        ({"_device": "GPU"}, {0}),
        ({"_device": "cuda"}, {0}),
        ({"_device": "cuda:1"}, {1}),
        ({"_device": "cuda:7"}, set()),
        ({"_device": "cuda:0", "_devices": ("cuda:0", "cuda:2")}, {0, 2}),
        ({"_device": "gpu", "_devices": "all"}, {0, 1, 2}),
    ],
)
def test_the_handler_names_gpus(attributes, numbers):
    assert named_gpus(SimpleNamespace(**attributes), 3) == numbers


def test_pytorch_names_those_on_which_it_has_memory(monkeypatch):
    cuda = SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: 3, memory_reserved=lambda number: number * GIB
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert named_gpus(SimpleNamespace(), 3) == {1, 2}


class OnGpu(CountingHandler):
    _device = "cuda:0"


@pytest.fixture
def library(monkeypatch):
    """A driver with one GPU, in the place of the one of this machine."""
    library = FakeNvml(FakeGpu(busy=70, used=3 * GIB))
    over_it = functools.partial(
        DeviceSampler, open_devices=lambda: open_gpus(library, "0"), may_be_there=lambda: True, interval_s=0.0005
    )
    monkeypatch.setattr(passes, "DeviceSampler", over_it)
    return library


@pytest.mark.parametrize("workers", [0, 2, None])
@pytest.mark.parametrize("copies", [1, 2])
def test_a_run_records_what_its_gpus_tell(library, workers, copies):
    metrics = Metrics()
    results = list(infer(range(100), OnGpu(max_batch_size=10, model_copies=copies), metrics=metrics, workers=workers))
    assert len(results) == 100
    assert metrics.snapshot()[f"{BUSY}_MEAN"] == 70
    assert metrics.snapshot()[f"{MEMORY}_MAX"] == 3 * GIB
    assert not is_looking()
    assert library.users == 0


def test_rows_that_are_submitted_are_a_run_too(library):
    with Engine(OnGpu(min_batch_size=1)) as engine:
        assert engine.submit(1).result().inference == 2
        engine.close()
        assert engine.metrics()[f"{BUSY}_MEAN"] == 70


def test_an_engine_works_while_its_model_is_called_and_was_called_since_one_asked():
    class Waits(CountingHandler):
        called, go_on = threading.Event(), threading.Event()

        def run_inference(self, batch, model, inference_args=None):
            self.called.set()
            assert self.go_on.wait(10)
            return super().run_inference(batch, model, inference_args)

    handler = Waits(min_batch_size=1)
    with Engine(handler) as engine:
        is_working = engine._passes._is_working
        assert not is_working()
        future = engine.submit(1)
        assert handler.called.wait(10)
        assert [is_working(), is_working()] == [True, True]
        handler.go_on.set()
        future.result()
        engine.close()
        assert [is_working(), is_working()] == [True, False]


def test_a_run_on_the_cpu_records_nothing(library):
    metrics = Metrics()
    list(infer(range(100), CountingHandler(), metrics=metrics))
    assert metrics.snapshot()[f"{BUSY}_COUNT"] == 0
    assert not is_looking()


def test_an_engine_that_is_not_closed_leaves_no_thread_behind(library):
    engine = Engine(OnGpu())
    list(engine.map(range(10)))
    assert library.closed.wait(10)
    engine.close()


def test_a_run_survives_a_gpu_that_is_lost(library):
    library.gpus[0].busy = NVMLError(LOST)
    metrics = Metrics()
    assert len(list(infer(range(100), OnGpu(), metrics=metrics))) == 100
    assert metrics.snapshot()[f"{MEMORY}_COUNT"] == 0
