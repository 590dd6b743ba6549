"""How the model is called: other methods, functions of one's own, and arguments."""

import copy

import pytest
import torch
from torch import nn

from runinference import (
    ModelFaultError,
    PredictionResult,
    PytorchModelHandlerKeyedTensor,
    PytorchModelHandlerTensor,
    infer,
    make_keyed_tensor_model_fn,
    make_tensor_model_fn,
)
from runinference.handlers.pytorch.handlers import default_keyed_tensor_inference_fn, default_tensor_inference_fn

from .models import KeyedLinear, Linear, Same

ROWS = [torch.tensor([float(n), n + 1.0, n + 2.0]) for n in range(7)]


def predict(handler, rows=ROWS, **arguments):
    return [result.inference for result in infer(rows, handler, **arguments)]


def outputs(module, factor=1):
    with torch.no_grad():
        return list(module(torch.stack(ROWS)) * factor)


def test_another_method_is_called(saved):
    path, module = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear, inference_fn=make_tensor_model_fn("doubled"))
    torch.testing.assert_close(predict(handler), outputs(module, 2))
    torch.testing.assert_close(predict(handler, inference_args={"scale": 3.0}), outputs(module, 6))


def test_another_method_is_called_by_name(saved):
    path, module = saved(KeyedLinear)
    rows = [{"a": torch.rand(3), "b": torch.rand(2)} for _ in range(4)]
    handler = PytorchModelHandlerKeyedTensor(path, KeyedLinear, inference_fn=make_keyed_tensor_model_fn("backwards"))
    with torch.no_grad():
        wanted = module.backwards(torch.stack([r["a"] for r in rows]), torch.stack([r["b"] for r in rows]))
    torch.testing.assert_close(predict(handler, rows), list(wanted))


def test_the_defaults_can_be_named_and_called(saved):
    path, module = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear, inference_fn=default_tensor_inference_fn)
    torch.testing.assert_close(predict(handler), outputs(module))
    results = list(default_tensor_inference_fn(ROWS, module, torch.device("cpu"), {"scale": 2.0}, "the model"))
    torch.testing.assert_close([result.inference for result in results], outputs(module, 2))
    assert {result.model_id for result in results} == {"the model"}
    keyed_path, keyed = saved(KeyedLinear, "keyed.pth")
    rows = [{"a": torch.rand(3), "b": torch.rand(2)}] * 3
    assert len(list(default_keyed_tensor_inference_fn(rows, keyed, torch.device("cpu")))) == 3
    handler = PytorchModelHandlerKeyedTensor(keyed_path, KeyedLinear, inference_fn=default_keyed_tensor_inference_fn)
    assert len(predict(handler, rows)) == 3


RETURNS = {
    "results": lambda batch, y, model_id: [PredictionResult(x, row, model_id) for x, row in zip(batch, y, strict=True)],
    "tensor": lambda batch, y, model_id: y,
    "list": lambda batch, y, model_id: list(y),
    "generator of results": lambda batch, y, model_id: (
        PredictionResult(x, row, model_id) for x, row in zip(batch, y, strict=True)
    ),
    "generator": lambda batch, y, model_id: (row for row in y),
    "array": lambda batch, y, model_id: y.detach().numpy(),
    "tuple of results": lambda batch, y, model_id: tuple(
        PredictionResult(x, row, model_id) for x, row in zip(batch, y, strict=True)
    ),
}


@pytest.mark.parametrize("kind", RETURNS)
@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_function_of_ones_own_may_return(saved, kind, size):
    seen = []

    def run(batch, model, device, inference_args=None, model_id=None):
        seen.append((len(batch), device, inference_args, model_id, model.training))
        return RETURNS[kind](batch, model(torch.stack(list(batch))), model_id)

    path, module = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear, inference_fn=run, min_batch_size=size, max_batch_size=size)
    results = list(infer(ROWS, handler, inference_args={"a": 1}))
    torch.testing.assert_close([torch.as_tensor(result.inference) for result in results], outputs(module))
    assert all(result.example is row for result, row in zip(results, ROWS, strict=True))
    assert {result.model_id for result in results} == {path}
    assert {entry[1:] for entry in map(_frozen, seen)} == {(torch.device("cpu"), (("a", 1),), path, False)}


def _frozen(entry):
    return (*entry[:2], tuple(entry[2].items()), *entry[3:])


def test_a_function_that_returns_too_few_is_told(saved):
    path, _ = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear, inference_fn=lambda batch, *_: batch[:1], min_batch_size=7)
    with pytest.raises(ModelFaultError, match="returned 1 predictions for a batch of 7 rows"):
        predict(handler)


def test_a_function_may_compute_gradients(saved):
    def sensitivity(batch, model, device, inference_args=None, model_id=None):
        x = torch.stack(list(batch)).requires_grad_(True)
        return torch.autograd.grad(model(x).sum(), x)[0]

    path, module = saved(Linear)
    found = predict(PytorchModelHandlerTensor(path, Linear, inference_fn=sensitivity))
    torch.testing.assert_close(found, [module.linear.weight.sum(0).detach()] * 7)


def test_a_model_may_compute_gradients(saved):
    class Force(Linear):
        def forward(self, x):
            with torch.enable_grad():
                x = x.clone().requires_grad_(True)
                return torch.autograd.grad(self.linear(x).sum(), x)[0]

    path, module = saved(Force)
    torch.testing.assert_close(predict(PytorchModelHandlerTensor(path, Force))[0], module.linear.weight.sum(0).detach())


def test_hooks_of_the_model_run(saved):
    class Hooked(Same):
        def __init__(self):
            super().__init__()
            self.register_forward_hook(lambda module, args, output: output + 1)

    path, _ = saved(Hooked)
    torch.testing.assert_close(predict(PytorchModelHandlerTensor(path, Hooked)), [row + 1 for row in ROWS])


def test_arguments_that_the_model_does_not_take_are_a_fault(saved):
    path, _ = saved(Linear)
    failures = []
    with pytest.raises(ModelFaultError, match=r"Linear.forward takes no argument 'scala'\. Did you mean 'scale'"):
        predict(PytorchModelHandlerTensor(path, Linear), inference_args={"scala": 1}, on_failure=failures.append)
    assert failures == []


def test_an_argument_that_is_the_input_is_a_fault(saved):
    path, _ = saved(Linear)
    with pytest.raises(ModelFaultError, match="'x'"):
        predict(PytorchModelHandlerTensor(path, Linear), inference_args={"x": ROWS[0]}, on_failure=print)


def test_an_argument_that_is_an_input_by_name_is_a_fault(saved):
    path, _ = saved(KeyedLinear)
    rows = [{"a": torch.rand(3), "b": torch.rand(2)}] * 3
    handler = PytorchModelHandlerKeyedTensor(path, KeyedLinear)
    with pytest.raises(ModelFaultError, match="'b'"):
        predict(handler, rows, inference_args={"b": torch.rand(2)}, on_failure=print)


def test_arguments_may_hold_tensors_and_are_never_changed(saved):
    class Greedy(Linear):
        def forward(self, x, options=None, weights=()):
            shift = options.pop("shift")
            weights.append("used")
            return self.linear(x) * weights[0] + shift["by"]

    path, module = saved(Greedy)
    arguments = {"options": {"shift": {"by": torch.tensor([1.0, 2.0])}}, "weights": [torch.tensor(3.0)]}
    before = copy.deepcopy(arguments)
    handler = PytorchModelHandlerTensor(path, Greedy, min_batch_size=2, max_batch_size=2)
    found = predict(handler, inference_args=arguments)
    with torch.no_grad():
        wanted = module.linear(torch.stack(ROWS)) * 3 + torch.tensor([1.0, 2.0])
    torch.testing.assert_close(torch.stack(found), wanted)
    assert str(arguments) == str(before)


def test_arguments_of_ones_own_kinds_arrive_as_they_are(saved):
    from collections import defaultdict

    class Looking(Linear):
        def forward(self, x, shifts=None):
            return self.linear(x) + shifts["unknown"]

    path, module = saved(Looking)
    found = predict(PytorchModelHandlerTensor(path, Looking), inference_args={"shifts": defaultdict(lambda: 5)})
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(found), module.linear(torch.stack(ROWS)) + 5)


def test_a_model_that_takes_anything_is_given_anything(saved):
    class Anything(Linear):
        def forward(self, x, **options):
            return self.linear(x) * options.get("factor", 1)

    path, module = saved(Anything)
    found = predict(PytorchModelHandlerTensor(path, Anything), inference_args={"factor": 4})
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(found), module(torch.stack(ROWS)) * 4)


def test_two_handlers_of_one_model_do_not_mix(saved):
    path, _ = saved(Same)
    model = PytorchModelHandlerTensor(path, Same).load_model()
    plain = PytorchModelHandlerTensor(path, Same)
    best = PytorchModelHandlerTensor(path, Same, output_fn=lambda y, _: y.argmax(1))
    for _ in range(2):
        assert [r.inference.shape for r in plain.run_inference(ROWS, model)] == [(3,)] * 7
        assert [r.inference.item() for r in best.run_inference(ROWS, model)] == [2] * 7


def test_a_model_of_an_engine_may_be_any_module(saved):
    class Bag(PytorchModelHandlerTensor):
        def load_model(self):
            return {"model": nn.Flatten()}

    def run(batch, model, device, inference_args=None, model_id=None):
        return model["model"](torch.stack(list(batch)))

    handler = Bag("unused.pth", nn.Identity, inference_fn=run)
    torch.testing.assert_close(predict(handler), ROWS)
    assert handler.get_model_bytes(handler.load_model()) is None
