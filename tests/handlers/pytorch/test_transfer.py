"""Copies in the background: the device waits for its input, and nobody reads results before they are there."""

import contextlib

import pytest
import torch

from runinference.handlers.pytorch.transfer import PlainTransfer, StreamTransfer
from runinference.handlers.results import make_results
from runinference.pending import Pending


class Stream:
    """Notes what waits for what."""

    def __init__(self, log, name):
        self.log, self.name = log, name

    def wait_stream(self, other):
        self.log.append(f"{self.name} waits for {other.name}")


class Event:
    def __init__(self, log):
        self.log = log

    def record(self, stream):
        self.log.append(f"event recorded on {stream.name}")

    def synchronize(self):
        self.log.append("host waited")


class Api:
    """Streams and events as `torch.cuda` has them, on no device."""

    def __init__(self):
        self.log = []
        self.compute = Stream(self.log, "compute")
        self.current = self.compute

    def Stream(self, device):  # noqa: N802
        return Stream(self.log, "copies")

    def Event(self):  # noqa: N802
        return Event(self.log)

    def current_stream(self, device):
        return self.current

    @contextlib.contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        self.log.append(f"on {stream.name}")
        yield
        self.log.append(f"off {stream.name}")
        self.current = before


@pytest.fixture
def api(monkeypatch):
    """A device whose tensors note on which stream they are used."""
    api = Api()
    # Only tensors of a device can do this.
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda tensor, stream: api.log.append(f"input kept for {stream.name}")
    )
    return api


def test_the_computation_waits_for_its_input(api):
    transfer = StreamTransfer(torch.device("cpu"), api, pinned=False)
    there = transfer.to_device({"a": torch.ones(2), "b": (torch.zeros(2), "text")})
    assert there["a"].tolist() == [1, 1]
    assert there["b"][1] == "text"
    assert api.log == [
        "on copies",
        "input kept for compute",
        "input kept for compute",
        "off copies",
        "compute waits for copies",
    ]


def test_results_are_read_only_after_the_event_behind_them(api):
    transfer = StreamTransfer(torch.device("cpu"), api, pinned=False)
    outputs, wait = transfer.to_host((torch.ones(2, 3), torch.zeros(2)))
    assert api.log == ["event recorded on compute"]
    results = Pending(make_results(["x", "y"], outputs), wait)
    assert len(results) == 2
    assert api.log == ["event recorded on compute"]
    assert [result.inference[0].tolist() for result in results] == [[1, 1, 1]] * 2
    assert api.log == ["event recorded on compute", "host waited"]
    assert results[1].example == "y"
    assert api.log.count("host waited") == 1


def test_a_copy_is_not_the_memory_of_the_device(api):
    transfer = StreamTransfer(torch.device("cpu"), api, pinned=False)
    output = torch.ones(2, 3)
    copied, _ = transfer.to_host(output)
    output.zero_()
    assert copied.tolist() == [[1, 1, 1]] * 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_comes_to_the_host_as_float32(api, dtype):
    value = torch.tensor([1.5, -2.0]).to(dtype)
    streamed, _ = StreamTransfer(torch.device("cpu"), api, pinned=False).to_host({"y": value})
    plain, wait = PlainTransfer(torch.device("cpu")).to_host({"y": value})
    assert wait is None
    for found in (streamed, plain):
        assert found["y"].dtype == torch.float32
        assert found["y"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float64, torch.complex64])
def test_other_types_stay_as_they_are(api, dtype):
    value = torch.tensor([1, 0]).to(dtype)
    copied, _ = StreamTransfer(torch.device("cpu"), api, pinned=False).to_host(value)
    assert copied.dtype == dtype
    assert torch.equal(copied, value)


def test_turned_and_spread_tensors_are_copied_right(api):
    transfer = StreamTransfer(torch.device("cpu"), api, pinned=False)
    value = torch.arange(6.0).view(2, 3)
    copied, _ = transfer.to_host([value.T, value[:, ::2], torch.ones(1).expand(4)])
    assert [tensor.tolist() for tensor in copied] == [[[0, 3], [1, 4], [2, 5]], [[0, 2], [3, 5]], [1, 1, 1, 1]]


def test_the_cpu_copies_nothing():
    value = torch.ones(2)
    transfer = PlainTransfer(torch.device("cpu"))
    assert transfer.to_device(value) is value
    assert transfer.to_host(value)[0].data_ptr() == value.data_ptr()
