"""Whatever a model returns comes apart into one result for each row, which nothing else holds on to."""

import dataclasses
import pickle
from typing import NamedTuple

import pytest
import torch

from runinference import Engine, ModelFaultError, PytorchModelHandlerTensor, infer
from runinference.metrics import Metrics

from .models import Linear, Same


class Pair(NamedTuple):
    low: torch.Tensor
    high: torch.Tensor


@dataclasses.dataclass
class Found:
    values: torch.Tensor
    total: torch.Tensor
    nothing: object = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    values: torch.Tensor


ROWS = [torch.tensor([float(n), n + 1.0, n + 2.0]) for n in range(7)]


def run(saved, function, rows=ROWS, **options):
    """The predictions of a model that is `function`."""

    class Made(Same):
        def forward(self, x):
            return function(x)

    path, _ = saved(Made)
    arguments = {name: options.pop(name) for name in ("on_failure", "metrics") if name in options}
    return [result.inference for result in infer(rows, PytorchModelHandlerTensor(path, Made, **options), **arguments)]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x * 2, lambda row: row * 2),
        (lambda x: x.sum(1), lambda row: row.sum()),
        (lambda x: x.argmax(1), lambda row: row.argmax()),
        (lambda x: x > 1, lambda row: row > 1),
        (lambda x: (x, x.sum(1)), lambda row: (row, row.sum())),
        (lambda x: (x,), lambda row: (row,)),
        (lambda x: Pair(x, x + 1), lambda row: Pair(row, row + 1)),
        (lambda x: {"a": x, "b": {"c": x.sum(1)}}, lambda row: {"a": row, "b": {"c": row.sum()}}),
        (lambda x: {"a": x, "b": None}, lambda row: {"a": row, "b": None}),
        (lambda x: ((x, x[:, 0]), x), lambda row: ((row, row[0]), row)),
        (lambda x: [{"sum": float(row.sum())} for row in x], lambda row: {"sum": float(row.sum())}),
        (lambda x: [str(float(row[0])) for row in x], lambda row: str(float(row[0]))),
        (lambda x: list(x), lambda row: row),
        (lambda x: (row for row in x), lambda row: row),
        (lambda x: x.numpy() * 2, lambda row: row * 2),
        (lambda x: x[:, None, :, None], lambda row: row[None, :, None]),
        (lambda x: x[:, :0], lambda row: row[:0]),
        (lambda x: x.to(torch.complex64), lambda row: row.to(torch.complex64)),
        (lambda x: x.bfloat16(), lambda row: row),
    ],
)
def test_outputs_of_every_form_are_taken_apart(saved, function, expected, size):
    found = run(saved, function, min_batch_size=size, max_batch_size=size)
    for one, row in zip(found, ROWS, strict=True):
        other = expected(row)
        assert type(one) is type(other) or not isinstance(other, (tuple, dict))
        if isinstance(other, str):
            assert one == other
        else:
            torch.testing.assert_close(torch.as_tensor(one) if isinstance(other, torch.Tensor) else one, other)


def test_a_dataclass_comes_apart_into_dataclasses(saved):
    found = run(saved, lambda x: Found(x, x.sum(1)))
    assert {type(one) for one in found} == {Found}
    assert [(one.values.tolist(), one.total.item(), one.nothing) for one in found] == [
        (row.tolist(), row.sum().item(), None) for row in ROWS
    ]
    assert [one.values.tolist() for one in run(saved, Frozen)] == [row.tolist() for row in ROWS]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:1], r"returned 1 predictions for a batch of 7 rows"),
        (lambda x: x.sum(), r"returned one Tensor for a batch"),
        (lambda x: float(x.sum()), r"returned one float for a batch"),
        (lambda x: None, r"returned one NoneType for a batch"),
        (lambda x: {"a": x, "loss": x.sum()}, r"output \['loss'\] is one Tensor for the whole batch"),
        (lambda x: {"a": x, "b": x[:2]}, r"output \['b'\] has 2 entries for a batch of 7 rows"),
        (lambda x: (x, x.sum()), r"output \[1\] is one Tensor for the whole batch"),
        (lambda x: {}, r"is empty"),
        (lambda x: [x, x], r"returned 2 predictions for a batch of 7 rows"),
        (lambda x: "text", r"returned one str for a batch"),
    ],
)
def test_outputs_that_are_not_per_row_are_a_fault_of_the_model(saved, function, message):
    with pytest.raises(ModelFaultError, match=message):
        run(saved, function, min_batch_size=7, max_batch_size=7, on_failure=print)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 2,
        lambda x: x,
        lambda x: x.T.contiguous().T,
        lambda x: list(x * 2),
    ],
)
def test_results_are_tensors_of_their_own(saved, function):
    found = run(saved, function, [torch.rand(3) for _ in range(512)], min_batch_size=512, max_batch_size=512)
    assert not any(tensor.is_inference() or tensor.requires_grad for tensor in found)
    assert {tensor.untyped_storage().nbytes() for tensor in found} == {12}
    assert len(pickle.dumps(found[0])) < 1000
    weight = torch.ones(3, requires_grad=True)
    (weight * found[0]).sum().backward()
    torch.testing.assert_close(weight.grad, found[0])
    before = found[1].clone()
    found[0].zero_()
    torch.testing.assert_close(found[1], before)


@pytest.mark.parametrize("function", [lambda x: x * 2, lambda x: {"y": (x * 2, x)}, lambda x: list(x * 2)])
def test_results_do_not_need_gradients_though_the_model_computed_some(saved, function):
    def run_with_gradients(x):
        with torch.enable_grad():
            return function(x.clone().requires_grad_(True))

    for one in run(saved, run_with_gradients):
        tensors = one["y"] if isinstance(one, dict) else (one,)
        assert not any(tensor.requires_grad for tensor in tensors)


def test_what_the_model_keeps_is_not_what_it_gave(saved):
    class Buffered(Same):
        """Writes each output into the same memory."""

        def forward(self, x):
            if not hasattr(self, "memory"):
                self.memory = torch.empty(2, 3)
            return self.memory.copy_(x)

    path, _ = saved(Buffered)
    rows = [torch.full((3,), float(n)) for n in range(8)]
    handler = PytorchModelHandlerTensor(path, Buffered)
    model = handler.load_model()
    results = [list(handler.run_inference(rows[i : i + 2], model)) for i in range(0, 8, 2)]
    assert [result.inference[0].item() for part in results for result in part] == list(range(8))


def test_outputs_that_are_memory_of_the_model_survive_the_next_batch(saved):
    class Buffered(Same):
        def forward(self, x):
            if not hasattr(self, "memory"):
                self.memory = torch.empty(2, 3)
            return self.memory.copy_(x)

    path, _ = saved(Buffered)
    rows = [torch.full((3,), float(n)) for n in range(8)]
    handler = PytorchModelHandlerTensor(path, Buffered, min_batch_size=2, max_batch_size=2)
    assert [result.inference[0].item() for result in infer(rows, handler)] == list(range(8))


def test_an_output_function_runs_where_the_model_does(saved):
    seen = []

    def best(outputs, inputs):
        seen.append((outputs.device.type, tuple(inputs.shape), torch.is_grad_enabled()))
        return {"best": outputs.argmax(1), "score": outputs.amax(1)}

    path, module = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear, output_fn=best, min_batch_size=7, max_batch_size=7)
    found = [result.inference for result in infer(ROWS, handler)]
    with torch.no_grad():
        logits = module(torch.stack(ROWS))
    assert [row["best"].item() for row in found] == logits.argmax(1).tolist()
    torch.testing.assert_close(torch.stack([row["score"] for row in found]), logits.amax(1))
    assert seen == [("cpu", (7, 3), False)]


def test_memory_that_runs_out_halves_the_batch(saved):
    sizes = []

    def limited(x):
        sizes.append(len(x))
        if len(x) > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return x

    metrics = Metrics()
    failures = []
    rows = [torch.full((3,), float(n)) for n in range(64)]
    found = run(saved, limited, rows, metrics=metrics, on_failure=failures.append, max_batch_size=16)
    assert [tensor[0].item() for tensor in found] == list(range(64))
    assert failures == []
    assert sum(size > 4 for size in sizes) < 8


def test_memory_of_the_host_that_runs_out_is_remembered(saved):
    sizes = []

    def limited(x):
        sizes.append(len(x))
        if len(x) > 4:
            torch.empty(2**56)
        return x

    rows = [torch.full((3,), float(n)) for n in range(256)]
    found = run(saved, limited, rows, min_batch_size=16, max_batch_size=16)
    assert [tensor[0].item() for tensor in found] == list(range(256))
    assert sum(size > 4 for size in sizes) < 8


def test_four_threads_share_one_engine(saved):
    from concurrent.futures import ThreadPoolExecutor

    path, module = saved(Linear)
    rows = list(torch.rand(200, 3))
    with (
        Engine(PytorchModelHandlerTensor(path, Linear, max_batch_size=16)) as engine,
        ThreadPoolExecutor(4) as pool,
    ):
        futures = list(pool.map(engine.submit, rows))
        found = [future.result(timeout=30).inference for future in futures]
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(found), module(torch.stack(rows)))
