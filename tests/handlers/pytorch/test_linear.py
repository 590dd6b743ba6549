"""Linear layers that oneDNN computes give what PyTorch's own give, whatever is done with them."""

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")

from runinference import ConfigurationError, PytorchModelHandlerTensor, infer  # noqa: E402
from runinference.handlers.pytorch.linear import OneDnnLinear, onednn_is_faster, use_onednn  # noqa: E402

FEATURES, OUTPUTS = 12, 5


def layer(bias=True):
    torch.manual_seed(0)
    return torch.nn.Linear(FEATURES, OUTPUTS, bias=bias).eval()


def by_onednn(plain):
    module = copy.deepcopy(plain)
    use_onednn(module, wanted=True)
    assert type(module) is OneDnnLinear
    return module


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "rows",
    [
        torch.rand(1, FEATURES),
        torch.rand(FEATURES),
        torch.rand(3, 7, FEATURES),
        torch.rand(2, 3, 4, FEATURES),
        torch.rand(FEATURES, 9).T,
        torch.rand(9, 2 * FEATURES)[:, ::2],
        torch.rand(1, FEATURES).expand(6, FEATURES),
        torch.rand(0, FEATURES),
        torch.rand(2, 0, FEATURES),
    ],
    ids=["one", "vector", "3d", "4d", "transposed", "strided", "expanded", "none", "no tokens"],
)
def test_outputs_are_the_same_for_inputs_of_every_form(rows, bias):
    plain = layer(bias)
    with torch.inference_mode():
        torch.testing.assert_close(by_onednn(plain)(rows), plain(rows), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, FEATURES + 1), (FEATURES - 1,), ()])
def test_what_does_not_fit_is_the_error_of_a_linear_layer(shape):
    rows, plain = torch.rand(shape), layer()
    with torch.inference_mode():
        with pytest.raises(Exception) as expected:  # noqa: PT011
            plain(rows)
        with pytest.raises(type(expected.value)) as raised:
            by_onednn(plain)(rows)
    assert str(raised.value) == str(expected.value)


def test_gradients_and_other_types_are_as_always():
    plain, module = layer(), by_onednn(layer())
    rows = torch.rand(3, FEATURES, requires_grad=True)
    module(rows).sum().backward()
    assert rows.grad is not None
    with torch.inference_mode(), pytest.raises(RuntimeError, match="same dtype"):
        module(torch.rand(3, FEATURES, dtype=torch.float64))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert module(torch.rand(3, FEATURES).bfloat16()).dtype == plain(torch.rand(3, FEATURES)).dtype


def test_copies_pickles_and_states_are_those_of_a_linear_layer():
    module, rows = by_onednn(layer()), torch.rand(3, FEATURES)
    with torch.inference_mode():
        expected = module(rows)
        for same in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            same.weight.data = same.weight.data.clone()
            torch.testing.assert_close(same(rows), expected)
    assert isinstance(module, torch.nn.Linear)
    layer().load_state_dict(module.state_dict())
    with torch.no_grad():
        module.weight.zero_()
        module.bias.zero_()
        assert not module(rows).any()  # It holds no copy of the weights.


def test_weights_stay_where_they_are():
    plain = layer()
    address = plain.weight.data_ptr()
    use_onednn(plain, wanted=True)
    assert plain.weight.data_ptr() == address


def test_only_plain_layers_of_float32_are_changed():
    class Own(torch.nn.Linear):
        pass

    module = torch.nn.Sequential(layer(), Own(2, 2), layer().double(), torch.nn.Conv1d(1, 1, 1))
    use_onednn(module, wanted=True)
    assert [type(part).__name__ for part in module] == ["OneDnnLinear", "Own", "Linear", "Conv1d"]


def test_by_default_the_faster_one_is_taken():
    module = layer()
    use_onednn(module, wanted=None)
    assert (type(module) is OneDnnLinear) == onednn_is_faster()


@pytest.mark.parametrize("wanted", [True, False])
def test_a_handler_does_as_it_is_told(tmp_path, wanted):
    plain = layer()
    torch.save(plain.state_dict(), tmp_path / "model.pth")
    handler = PytorchModelHandlerTensor(
        str(tmp_path / "model.pth"),
        torch.nn.Linear,
        {"in_features": FEATURES, "out_features": OUTPUTS},
        onednn_linear=wanted,
    )
    rows = list(torch.rand(20, FEATURES))
    found = torch.stack([result.inference for result in infer(rows, handler)])
    with torch.inference_mode():
        torch.testing.assert_close(found, plain(torch.stack(rows)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"onednn_linear": "yes"}, "onednn_linear must be True or False, got 'yes'"),
        ({"onednn_linear": True, "compile": True}, "onednn_linear has no effect with compile"),
        ({"onednn_linear": True, "precision": "bf16"}, "another precision than fp32"),
    ],
)
def test_what_has_no_effect_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        PytorchModelHandlerTensor("model.pth", torch.nn.Linear, {}, **options)
