"""Tensors of PyTorch on their way to a model in another process and back."""

import copy
import pickle

import hosted_calls as calls
import hosted_handlers as handlers
import pytest
from hosted_world import ON_LINUX, a_world

from runinference.models.host.wire import freeze, pack, unpack
from runinference.models.hosted import hosted_model

torch = pytest.importorskip("torch")
pytestmark = ON_LINUX


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6).reshape(2, 3),
        torch.randn(300, 100, 10),
        torch.randn(50, 40).t(),
        torch.tensor(3.5, dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.tensor([1 + 2j, 3 - 4j]).conj(),
        torch.empty(0, 5),
        torch.ones(3, requires_grad=True),
        torch.eye(3).to_sparse(),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=["ints", "large", "transposed", "bfloat16", "bools", "conjugate", "empty", "grad", "sparse", "parameter"],
)
def test_tensors_arrive_as_they_are(tensor):
    arrived = unpack([bytearray(part) for part in pack(tensor)])
    assert (type(arrived), arrived.dtype, arrived.shape) == (type(tensor), tensor.dtype, tensor.shape)
    assert (arrived.layout, arrived.requires_grad) == (tensor.layout, tensor.requires_grad)
    assert torch.equal(arrived.to_dense(), tensor.to_dense())


def test_a_row_does_not_carry_the_whole_batch():
    rows = list(torch.randn(100, 1000).unbind())
    assert len(freeze(rows)) < 1.1 * 100 * 1000 * 4 < len(pickle.dumps(rows, 5))


def test_large_tensors_are_not_copied_into_the_pickle():
    tensor = torch.randn(1000, 1000)
    pickled, memory = pack([tensor, copy.copy(tensor[0])])
    assert len(pickled) < 8000
    assert memory.nbytes == 4_000_000


def test_tensors_go_to_a_hosted_model_and_come_back(monkeypatch):
    rows = [torch.randn(3, 224, 224) for _ in range(4)]
    with a_world(monkeypatch), hosted_model(handlers.Calls(), "model") as model:
        for doubled, row in zip(model.run_inference([calls.sums, *rows]), rows, strict=True):
            assert torch.equal(doubled, row * 2)
            doubled.zero_()
