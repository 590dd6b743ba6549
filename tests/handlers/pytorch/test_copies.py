"""Several copies of a model in one process, loaded and run at the same time: none disturbs another."""

import sys
import threading
import warnings

import pytest
import torch

from runinference import (
    ConfigurationError,
    PytorchModelHandlerKeyedTensor,
    PytorchModelHandlerTensor,
    infer,
)

from .models import Conv, Encoder, KeyedLinear, Linear, Same


def rows_of(count, seed, *shape):
    random = torch.Generator().manual_seed(seed)
    return list(torch.rand(count, *shape, generator=random))


def wanted(module, rows):
    with torch.no_grad():
        return [module(row[None])[0] for row in rows]


@pytest.mark.parametrize(("model_class", "shape"), [(Linear, (3,)), (Conv, (3, 8, 8))])
def test_two_copies_run_tensors_at_the_same_time(saved, side_by_side, model_class, shape):
    path, module = saved(model_class)
    batches = [rows_of(5, 0, *shape), rows_of(8, 1, *shape)]
    found = side_by_side(PytorchModelHandlerTensor(path, model_class), batches)
    for rows, rounds in zip(batches, found, strict=True):
        for predictions in rounds:
            torch.testing.assert_close(predictions, wanted(module, rows))


def test_two_copies_run_padded_rows_by_name_at_the_same_time(saved, side_by_side):
    path, module = saved(Encoder)
    random = torch.Generator().manual_seed(0)
    batches = [
        [{"input_ids": torch.randint(0, 50, (length,), generator=random)} for length in lengths]
        for lengths in ([3, 9, 5], [12, 2, 7, 16])
    ]
    handler = PytorchModelHandlerKeyedTensor(path, Encoder, padding=0)
    for rows, rounds in zip(batches, side_by_side(handler, batches), strict=True):
        with torch.no_grad():
            expected = [module(row["input_ids"][None]) for row in rows]
        for predictions in rounds:
            for one, other in zip(predictions, expected, strict=True):
                for name in ("tokens", "pooled", "attention"):
                    torch.testing.assert_close(one[name], other[name][0])


def test_two_copies_may_have_arguments_of_their_own(saved, side_by_side):
    path, module = saved(KeyedLinear)
    rows = [{"a": a, "b": b} for a, b in zip(rows_of(4, 0, 3), rows_of(4, 1, 2), strict=True)]
    handler = PytorchModelHandlerKeyedTensor(path, KeyedLinear)
    found = side_by_side(handler, [rows, rows], [{"scale": 1.0}, {"scale": 3.0}])
    for scale, rounds in zip((1, 3), found, strict=True):
        for predictions in rounds:
            for row, prediction in zip(rows, predictions, strict=True):
                expected = scale * (module.left(row["a"]) + module.right(row["b"])).detach()
                torch.testing.assert_close(prediction["sum"], expected)


# The compiler of PyTorch is written with parts of PyTorch that are to go.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_two_copies_may_be_compiled_at_the_same_time(saved, side_by_side):
    path, module = saved(Linear)
    batches = [rows_of(5, 0, 3), rows_of(5, 1, 3)]
    found = side_by_side(PytorchModelHandlerTensor(path, Linear, compile=True), batches, times=3)
    for rows, rounds in zip(batches, found, strict=True):
        for predictions in rounds:
            torch.testing.assert_close(predictions, wanted(module, rows))


def test_two_copies_of_an_exported_program_run_at_the_same_time(exported, side_by_side):
    module = Conv().eval()
    batches = [rows_of(4, 0, 3, 8, 8), rows_of(7, 1, 3, 8, 8)]
    handler = PytorchModelHandlerTensor(exported_program_path=exported(module, torch.rand(3, 8, 8)))
    for rows, rounds in zip(batches, side_by_side(handler, batches), strict=True):
        for predictions in rounds:
            torch.testing.assert_close(predictions, wanted(module, rows))


class Draws(torch.nn.Module):
    """Has a constant that is drawn when it is made, after its weights."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.constant = torch.rand(2)

    def forward(self, x: torch.Tensor):
        return self.linear(x) + self.constant


def test_loading_several_copies_at_once_changes_nothing_in_the_process(saved):
    path, module = saved(Draws)
    handler = PytorchModelHandlerTensor(path, Draws)
    together, found = threading.Barrier(4), []
    filters = list(warnings.filters)

    def load(number):
        together.wait(30)
        copy = handler.for_copy(number, 4)
        found.extend(copy.load_model() for _ in range(25))

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    torch.manual_seed(0)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    assert warnings.filters == filters
    # The same constants as if they had been made one after the other.
    torch.manual_seed(0)
    expected = {tuple(Draws().constant.tolist()) for _ in range(100)}
    assert {tuple(model.constant.tolist()) for model in found} == expected
    assert all(torch.equal(model.linear.weight, module.linear.weight) for model in found)


class Wraps(torch.nn.Module):
    """Made around a part that it is given."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x)


def test_copies_do_not_share_a_part_that_the_model_is_given(saved):
    path, _ = saved(Wraps, part=torch.nn.Linear(3, 2))
    handler = PytorchModelHandlerTensor(path, Wraps, {"part": torch.nn.Linear(3, 2)})
    first, second = (handler.for_copy(number, 2).load_model() for number in range(2))
    assert first.part is not second.part


def test_an_argument_that_cannot_be_copied_is_told():
    handler = PytorchModelHandlerTensor("m.pth", Same, {"lock": threading.Lock()}, model_copies=2)
    with pytest.raises(ConfigurationError, match="each copy of the model needs a copy of model_params, which cannot"):
        handler.for_copy(0, 2)


def test_an_engine_with_two_copies_predicts_what_one_does(saved):
    path, module = saved(Linear)
    rows = rows_of(300, 0, 3)
    found = [r.inference for r in infer(rows, PytorchModelHandlerTensor(path, Linear, model_copies=2))]
    torch.testing.assert_close(found, wanted(module, rows))
