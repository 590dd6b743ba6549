"""Outputs that follow the length of their row are cut back to it, and no others."""

import pytest
import torch
from torch import nn

from runinference import PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor, infer
from runinference.metrics import Metrics

from .models import Same


class Module(nn.Module):
    """Runs a function on its input."""

    function = None

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.calls = []

    def forward(self, **inputs):
        self.calls.append({name: tuple(tensor.shape) for name, tensor in inputs.items()})
        return type(self).function(**inputs)


def run(tmp_path, function, rows, size=None, **options):
    """The predictions of a model that is `function`, and its calls."""
    model_class = type("Made", (Module,), {"function": staticmethod(function)})
    torch.save(model_class().state_dict(), tmp_path / "model.pth")
    size = size or len(rows)
    handler = PytorchModelHandlerKeyedTensor(
        str(tmp_path / "model.pth"),
        model_class,
        padding=options.pop("padding", 0),
        min_batch_size=size,
        max_batch_size=size,
        batch_length_fn=None,
        **options,
    )
    calls = []
    load = handler.load_model

    def watched():
        model = load()
        calls.append(model.calls)
        return model

    handler.load_model = watched
    return [result.inference for result in infer(rows, handler)], calls[0]


def rows_of(*lengths, **others):
    return [
        {"x": torch.arange(1.0, length + 1), **{name: torch.arange(1.0, each[i] + 1) for name, each in others.items()}}
        for i, length in enumerate(lengths)
    ]


def alone(function, rows):
    return [function(**{name: tensor[None] for name, tensor in row.items()}) for row in rows]


def first(outputs):
    if isinstance(outputs, dict):
        return {name: first(value) for name, value in outputs.items()}
    if isinstance(outputs, tuple):
        return tuple(first(value) for value in outputs)
    return outputs[0]


def assert_as_alone(tmp_path, function, rows, size=None, **options):
    found, calls = run(tmp_path, function, rows, size, **options)
    for one, other in zip(found, alone(function, rows), strict=True):
        torch.testing.assert_close(one, first(other))
    return calls


@pytest.mark.parametrize("side", ["left", "right"])
def test_outputs_per_element_are_cut(tmp_path, side):
    assert_as_alone(tmp_path, lambda x: x * 2, rows_of(2, 5, 3, 1), padding_side=side)


@pytest.mark.parametrize("side", ["left", "right"])
def test_outputs_per_pair_of_elements_are_cut_in_both_axes(tmp_path, side):
    def pairs(x):
        return (x[:, None, :, None] * x[:, None, None, :]).expand(-1, 2, -1, -1)

    assert_as_alone(tmp_path, pairs, rows_of(2, 5, 3), padding_side=side)


def test_an_axis_that_is_as_long_by_chance_is_kept(tmp_path):
    def both(x):
        return {"fixed": x.sum(1, keepdim=True).expand(-1, 5), "each": x[..., None].expand(-1, -1, 5)}

    found, _ = run(tmp_path, both, rows_of(2, 5, 3))
    assert [tuple(row["fixed"].shape) for row in found] == [(5,)] * 3
    assert [tuple(row["each"].shape) for row in found] == [(2, 5), (5, 5), (3, 5)]


def test_the_chance_may_come_in_any_batch(tmp_path):
    def both(x):
        return {"fixed": x.sum(1, keepdim=True).expand(-1, 4), "each": x[..., None].expand(-1, -1, 4)}

    lengths = (6, 3, 4, 2, 5, 4, 4, 1, 4, 4, 8, 4)
    found, _ = run(tmp_path, both, rows_of(*lengths), size=2)
    assert [tuple(row["fixed"].shape) for row in found] == [(4,)] * 12
    assert [tuple(row["each"].shape) for row in found] == [(length, 4) for length in lengths]


def test_the_model_is_tried_once_to_find_out(tmp_path):
    calls = assert_as_alone(tmp_path, lambda x: x, rows_of(*[2, 5] * 10), size=2)
    assert len(calls) == 11


def test_rows_of_one_length_are_not_tried(tmp_path):
    calls = assert_as_alone(tmp_path, lambda x: x, rows_of(*[3] * 10), size=2)
    assert len(calls) == 5


@pytest.mark.parametrize("count", [2, 3])
def test_a_tuple_of_outputs_per_element_is_several_outputs(tmp_path, count):
    assert_as_alone(tmp_path, lambda x: (x, x * 2), rows_of(2, 5, 3)[:count])


def test_a_tuple_within_a_dict_is_several_outputs(tmp_path):
    assert_as_alone(tmp_path, lambda x: {"last": x, "hidden": (x, x * 2)}, rows_of(2, 5, 3))


def test_a_tuple_with_an_output_per_row_is_several_outputs(tmp_path):
    assert_as_alone(tmp_path, lambda x: (x, x.sum(1)), rows_of(2, 2, 2))
    assert_as_alone(tmp_path, lambda x: (x[:, 0], x), rows_of(2, 5, 3))


def test_nested_outputs_are_cut(tmp_path):
    assert_as_alone(tmp_path, lambda x: {"a": {"b": x, "c": x[:, 0]}, "d": x[..., None]}, rows_of(2, 5, 3))


def test_an_output_function_may_follow_the_length_too(tmp_path):
    found, _ = run(tmp_path, lambda x: torch.stack([x, -x], 2), rows_of(2, 5), output_fn=lambda y, _: y.argmax(2))
    assert [row.tolist() for row in found] == [[0, 0], [0] * 5]


def decoder(x, y):
    return {"encoded": x * 2, "decoded": y * 3}


def test_outputs_of_a_decoder_are_cut_to_its_own_input(tmp_path):
    assert_as_alone(tmp_path, decoder, rows_of(2, 5, 3, y=(4, 1, 2)))


def test_equal_lengths_in_one_batch_say_nothing_of_the_next(tmp_path):
    assert_as_alone(tmp_path, decoder, rows_of(3, 5, 3, 5, y=(3, 5, 5, 2)), size=2)


def test_a_second_input_of_the_same_lengths_is_cut_alike(tmp_path):
    assert_as_alone(tmp_path, decoder, rows_of(2, 5, 3, y=(2, 5, 3)))


def test_an_axis_that_is_always_longer_by_one_is_cut(tmp_path):
    assert_as_alone(tmp_path, lambda x: torch.cat([torch.zeros(len(x), 1), x], 1), rows_of(2, 5, 3))


def test_what_stayed_the_same_in_one_batch_may_differ_in_the_next(tmp_path):
    assert_as_alone(tmp_path, decoder, rows_of(3, 3, 2, 5, 4, 4, y=(2, 5, 4, 4, 1, 6)), size=2)


@pytest.mark.parametrize("lengths", [(2, 3, 4, 8), (1, 2, 3, 6), (3, 4, 5, 6), (4, 6, 5, 7)])
@pytest.mark.parametrize("function", [lambda x: x[:, ::2], lambda x: x.repeat_interleave(2, 1), lambda x: x[:, 1:]])
def test_nothing_is_lost_of_an_axis_that_follows_in_another_way(tmp_path, function, lengths):
    rows = rows_of(*lengths)
    found, _ = run(tmp_path, function, rows, size=2)
    for one, other in zip(found, alone(function, rows), strict=True):
        torch.testing.assert_close(one[: other.shape[1]], other[0])


def test_single_numbers_beside_sequences_are_no_trouble(tmp_path):
    rows = [{**row, "scale": torch.tensor(float(i + 1))} for i, row in enumerate(rows_of(2, 5, 3))]
    calls = assert_as_alone(tmp_path, lambda x, scale: {"y": x * scale[:, None], "z": scale * 2}, rows)
    assert len(calls) == 2


def test_features_of_one_length_beside_sequences_are_kept(tmp_path):
    rows = [{"features": torch.arange(4.0) + i, **row} for i, row in enumerate(rows_of(2, 5, 4, 4))]
    assert_as_alone(tmp_path, lambda features, x: {"f": features * 2, "y": x * 2}, rows, size=2)


def test_a_model_that_takes_only_some_lengths_gives_right_results(tmp_path):
    def pairs(x):
        if x.shape[1] % 2:
            raise ValueError("an even number of elements is needed")
        return x * 2

    assert_as_alone(tmp_path, pairs, rows_of(2, 6, 4, 8))


def test_a_model_that_takes_only_some_lengths_is_run_in_batches(tmp_path):
    def pairs(x):
        if x.shape[1] % 2:
            raise ValueError("an even number of elements is needed")
        return x * 2

    calls = assert_as_alone(tmp_path, pairs, rows_of(2, 6, 4, 8))
    assert len(calls) <= 3


def test_cut_rows_hold_no_more_than_themselves(tmp_path):
    found, _ = run(tmp_path, lambda x: x * 2, rows_of(2, 5, 3))
    assert [row.untyped_storage().nbytes() for row in found] == [8, 20, 12]


def test_results_of_lone_tensors_are_cut_too(saved):
    path, _ = saved(Same)
    rows = [torch.rand(length, 5) for length in (5, 2, 3)]
    metrics = Metrics()
    handler = PytorchModelHandlerTensor(path, Same, padding=0, min_batch_size=3, max_batch_size=3)
    found = [result.inference for result in infer(rows, handler, metrics=metrics)]
    torch.testing.assert_close(found, rows)
    assert metrics.snapshot()["inference_calls"] == 1
