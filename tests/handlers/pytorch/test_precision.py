"""Precision, memory order and compilation change the speed of a model, not what it predicts."""

import pytest
import torch
from torch import nn

from runinference import (
    ConfigurationError,
    PytorchModelHandlerKeyedTensor,
    PytorchModelHandlerTensor,
    infer,
    make_tensor_model_fn,
)

from .models import Conv, Encoder, Linear, random_weights


def predict(handler, rows):
    return [result.inference for result in infer(rows, handler)]


def wanted(module, rows):
    with torch.no_grad():
        return list(module(torch.stack(rows)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_close_and_comes_out_as_float32(saved, precision):
    path, module = saved(Linear)
    rows = [torch.rand(3) for _ in range(8)]
    found = predict(PytorchModelHandlerTensor(path, Linear, precision=precision), rows)
    assert {tensor.dtype for tensor in found} == {torch.float32}
    torch.testing.assert_close(found, wanted(module, rows), rtol=0.02, atol=0.02)
    assert not torch.equal(torch.stack(found), torch.stack(wanted(module, rows)))


def test_lower_precision_takes_rows_of_doubles_and_arrays(saved):
    path, module = saved(Linear)
    rows = [torch.rand(3, dtype=torch.float64) for _ in range(4)]
    found = predict(PytorchModelHandlerTensor(path, Linear, precision="bf16"), [row.numpy() for row in rows])
    torch.testing.assert_close(found, wanted(module, [row.float() for row in rows]), rtol=0.02, atol=0.02)


def test_a_model_of_attention_runs_in_bf16(saved):
    path, module = saved(Encoder)
    rows = [{"input_ids": torch.arange(length)} for length in (3, 7, 5)]
    found = predict(PytorchModelHandlerKeyedTensor(path, Encoder, precision="bf16"), rows)
    for row, one in zip(rows, found, strict=True):
        with torch.no_grad():
            pooled = module(row["input_ids"][None])["pooled"][0]
        assert one["pooled"].dtype == torch.float32
        torch.testing.assert_close(one["pooled"], pooled, rtol=0.1, atol=0.1)


def test_a_transformer_of_pytorch_runs_in_bf16(tmp_path):
    def make():
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    module = make().eval()
    torch.save(module.state_dict(), tmp_path / "model.pth")
    rows = [torch.rand(5, 16) for _ in range(3)]
    for precision, tolerance in (("fp32", 1e-5), ("bf16", 0.1)):
        found = predict(PytorchModelHandlerTensor(str(tmp_path / "model.pth"), make, precision=precision), rows)
        torch.testing.assert_close(found, wanted(module, rows), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_norms_and_convolutions_run_with_channels_last(saved, precision):
    path, module = saved(Conv)
    rows = [torch.rand(3, 8, 8) for _ in range(5)]
    handler = PytorchModelHandlerTensor(path, Conv, channels_last=True, precision=precision)
    tolerance = 1e-5 if precision == "fp32" else 0.05
    torch.testing.assert_close(predict(handler, rows), wanted(module, rows), rtol=tolerance, atol=tolerance)
    weight = handler.load_model().conv[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_channels_last_leaves_other_inputs_alone(saved):
    path, module = saved(Linear)
    rows = [torch.rand(3) for _ in range(4)]
    found = predict(PytorchModelHandlerTensor(path, Linear, channels_last=True), rows)
    torch.testing.assert_close(found, wanted(module, rows))


def test_programs_run_in_lower_precision(script, exported):
    module = random_weights(Linear())
    rows = [torch.rand(3) for _ in range(4)]
    for handler in (
        PytorchModelHandlerTensor(torch_script_model_path=script(module), precision="bf16"),
        PytorchModelHandlerTensor(exported_program_path=exported(module, rows[0]), precision="bf16"),
    ):
        found = predict(handler, rows)
        assert found[0].dtype == torch.float32
        torch.testing.assert_close(found, wanted(module, rows), rtol=0.02, atol=0.02)


def test_a_function_of_ones_own_runs_in_lower_precision(saved):
    def run(batch, model, device, inference_args=None, model_id=None):
        return model(torch.stack(batch))

    path, module = saved(Linear)
    rows = [torch.rand(3) for _ in range(4)]
    handler = PytorchModelHandlerTensor(path, Linear, precision="bf16", inference_fn=run)
    found = [tensor.float() for tensor in predict(handler, rows)]
    torch.testing.assert_close(found, wanted(module, rows), rtol=0.02, atol=0.02)


def test_models_in_half_precision_run_as_they_are(tmp_path):
    def make():
        return nn.Linear(3, 2).bfloat16()

    module = make()
    torch.save(module.state_dict(), tmp_path / "model.pth")
    rows = [torch.rand(3) for _ in range(4)]
    found = predict(PytorchModelHandlerTensor(str(tmp_path / "model.pth"), make), rows)
    assert found[0].dtype == torch.float32
    torch.testing.assert_close(found, [row.float() for row in wanted(module, [row.bfloat16() for row in rows])])


# The compiler of PyTorch is written with parts of PyTorch that are to go.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_a_compiled_model_predicts_the_same(saved):
    path, module = saved(Linear)
    rows = [torch.rand(3) for _ in range(4)]
    # Batches of one size, so that one program is compiled.
    handler = PytorchModelHandlerTensor(path, Linear, compile=True, min_batch_size=2, max_batch_size=2)
    torch.testing.assert_close(predict(handler, rows), wanted(module, rows))
    assert handler.get_model_bytes(handler.load_model()) == 32


def test_compiling_with_another_method_is_refused():
    with pytest.raises(ConfigurationError, match="compile has no effect with"):
        PytorchModelHandlerTensor("m.pth", Linear, compile=True, inference_fn=make_tensor_model_fn("doubled"))
