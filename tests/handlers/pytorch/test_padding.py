"""Rows of several lengths in one batch: filled up, told to the model, and not too long."""

import pytest
import torch
from torch import nn

from runinference import ConfigurationError, PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor, infer
from runinference.metrics import Metrics

from .models import Encoder, Linear, Same


class Seen(nn.Module):
    """Gives each row the whole of what the model was given for it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, extra=None):
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        # Of one length whatever the input is, so that nothing is cut off.
        return {
            name: nn.functional.pad(tensor, (0, 12 - tensor.shape[1]), value=99)
            for name, tensor in {**given, "extra": extra}.items()
            if tensor is not None
        }


class Masked(Seen):
    """The sum of the tokens that are not padding."""

    def forward(self, input_ids, attention_mask=None, features=None, decoder_input_ids=None):
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return ((input_ids + 1) * mask).sum(1)


class NeedsMask(Masked):
    """As `Masked`, but cannot do without a mask."""

    def forward(self, input_ids, attention_mask):
        return ((input_ids + 1) * attention_mask).sum(1)


def ids(*lengths):
    return [{"input_ids": torch.arange(1, length + 1)} for length in lengths]


def run(handler, rows, **arguments):
    return [result.inference for result in infer(rows, handler, **arguments)]


def seen(saved, rows, count=None, **options):
    path, _ = saved(Seen)
    count = count or len(rows)
    handler = PytorchModelHandlerKeyedTensor(path, Seen, min_batch_size=count, max_batch_size=count, **options)
    return [{name: tensor[tensor != 99].tolist() for name, tensor in row.items()} for row in run(handler, rows)]


def test_a_mask_tells_the_model_what_is_padding(saved):
    assert seen(saved, ids(1, 3)) == [
        {"input_ids": [1, 0, 0], "attention_mask": [1, 0, 0]},
        {"input_ids": [1, 2, 3], "attention_mask": [1, 1, 1]},
    ]


def test_padding_may_be_on_the_left(saved):
    assert seen(saved, ids(1, 3), padding_side="left", padding={"input_ids": 7}) == [
        {"input_ids": [7, 7, 1], "attention_mask": [0, 0, 1]},
        {"input_ids": [1, 2, 3], "attention_mask": [1, 1, 1]},
    ]


def test_a_mask_that_the_rows_bring_is_kept(saved):
    rows = [{**row, "attention_mask": torch.tensor([1] * (len(row["input_ids"]) - 1) + [0])} for row in ids(2, 4)]
    assert [row["attention_mask"] for row in seen(saved, rows)] == [[1, 0, 0, 0], [1, 1, 1, 0]]


def test_each_input_has_its_own_filler(saved):
    rows = [
        {**row, "token_type_ids": torch.ones(len(row["input_ids"]), dtype=int), "extra": row["input_ids"] * 10}
        for row in ids(1, 2)
    ]
    found = seen(saved, rows, padding={"input_ids": 5, "extra": -1})
    assert found[0] == {
        "input_ids": [1, 5],
        "attention_mask": [1, 0],
        "token_type_ids": [1, 0],
        "extra": [10, -1],
    }


def test_one_number_fills_every_input(saved):
    rows = [{**row, "extra": row["input_ids"]} for row in ids(1, 2)]
    assert seen(saved, rows, padding=8)[0] == {"input_ids": [1, 8], "attention_mask": [1, 0], "extra": [1, 8]}


def test_an_input_without_a_filler_says_how_to_give_one(saved):
    path, _ = saved(Seen)
    rows = [{**row, "extra": row["input_ids"]} for row in ids(1, 2)]
    failures = []
    handler = PytorchModelHandlerKeyedTensor(path, Seen, min_batch_size=2, max_batch_size=2)
    # Alone they need no padding.
    assert len(run(handler, rows, on_failure=failures.append)) == 2
    with pytest.raises(ValueError, match=r"input 'extra' .* got \[1\], \[2\]\. Say .* padding=\{'extra': 0\}"):
        list(handler.run_inference(rows, handler.load_model()))


def test_a_misspelt_name_in_padding_is_told(saved):
    path, _ = saved(Seen)
    rows = [{**row, "extra": row["input_ids"]} for row in ids(1, 2)]
    handler = PytorchModelHandlerKeyedTensor(path, Seen, padding={"ectra": 0})
    with pytest.raises(ValueError, match=r"Did you mean 'ectra'\? padding has nothing for 'extra'"):
        list(handler.run_inference(rows, handler.load_model()))


@pytest.mark.parametrize("first", ["features", "decoder_input_ids"])
def test_the_mask_is_that_of_the_tokens_wherever_they_stand(saved, first):
    path, _ = saved(Masked)
    rows = [{first: torch.arange(a), **row} for a, row in zip((2, 5, 1), ids(4, 2, 3), strict=True)]
    handler = PytorchModelHandlerKeyedTensor(
        path, Masked, padding={"input_ids": 0, first: 0}, min_batch_size=3, max_batch_size=3
    )
    assert [result.item() for result in run(handler, rows)] == [14, 5, 9]


@pytest.mark.parametrize("lengths", [(2, 4, 3), (3, 3, 3), (3,)])
def test_a_model_that_needs_a_mask_has_one_in_every_batch(saved, lengths):
    path, _ = saved(NeedsMask)
    handler = PytorchModelHandlerKeyedTensor(path, NeedsMask, min_batch_size=3, max_batch_size=3)
    found = run(handler, ids(*lengths))
    assert [result.item() for result in found] == [sum(range(2, length + 2)) for length in lengths]


@pytest.mark.parametrize("side", ["left", "right"])
def test_batches_of_any_mix_predict_as_single_rows_do(saved, side):
    path, module = saved(Encoder)
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 17, (60,), generator=random).tolist()
    rows = [{"input_ids": torch.randint(0, 50, (length,), generator=random)} for length in lengths]
    for size in (2, 7, 60):
        handler = PytorchModelHandlerKeyedTensor(
            path, Encoder, padding_side=side, min_batch_size=size, max_batch_size=size, batch_length_fn=None
        )
        for row, found in zip(rows, run(handler, rows), strict=True):
            with torch.no_grad():
                wanted = {name: tensor[0] for name, tensor in module(row["input_ids"][None]).items()}
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_lone_tensors_are_padded_with_a_number(saved, together):
    path, _ = saved(Same)
    rows = [torch.arange(1.0, length + 1) for length in (2, 4, 1)]
    handler = PytorchModelHandlerTensor(path, Same, padding=-1, output_fn=lambda x, _: x.sum(1), **together(3))
    assert [found.item() for found in run(handler, rows)] == [3 - 2, 10, 1 - 3]


def test_lone_tensors_without_padding_say_how_to_give_it(saved):
    path, _ = saved(Same)
    handler = PytorchModelHandlerTensor(path, Same)
    with pytest.raises(ValueError, match=r"must have one shape, got \[2\], \[3\]\. Say .* padding=0"):
        list(handler.run_inference([torch.zeros(2), torch.zeros(3)], handler.load_model()))


def test_frames_of_features_are_padded_along_time(saved, together):
    path, _ = saved(Same)
    rows = [torch.rand(length, 3) for length in (2, 5, 3, 1)]
    found = run(PytorchModelHandlerTensor(path, Same, padding=0, **together(4)), rows)
    torch.testing.assert_close(found, rows)


def test_only_a_row_with_other_features_is_set_aside(saved, together):
    path, _ = saved(Linear)
    rows = [torch.rand(length, 3) for length in (2, 5, 3)]
    failures = []
    handler = PytorchModelHandlerTensor(path, Linear, padding=0, **together(4))
    found = run(handler, [*rows, torch.rand(2, 4)], on_failure=failures.append)
    assert [failure.index for failure in failures] == [3]
    assert [tuple(tensor.shape) for tensor in found] == [(2, 2), (5, 2), (3, 2)]


def test_rows_of_like_length_share_a_batch(saved):
    path, _ = saved(Encoder)
    lengths = [1, 16] * 64
    metrics = Metrics()
    handler = PytorchModelHandlerKeyedTensor(path, Encoder, min_batch_size=16, max_batch_size=16)
    results = list(infer(ids(*lengths), handler, metrics=metrics))
    assert [len(result.inference["tokens"]) for result in results] == lengths
    batches = []

    class Watched(PytorchModelHandlerKeyedTensor):
        def run_inference(self, batch, model, inference_args=None):
            batches.append({len(row["input_ids"]) for row in batch})
            return super().run_inference(batch, model, inference_args)

    list(infer(ids(*lengths), Watched(path, Encoder, min_batch_size=16, max_batch_size=16)))
    assert sum(len(kinds) > 1 for kinds in batches) <= 1


def test_a_row_that_is_too_long_is_set_aside(saved, together):
    path, _ = saved(Encoder)
    failures = []
    handler = PytorchModelHandlerKeyedTensor(path, Encoder, max_length=5, **together(4))
    found = run(handler, ids(2, 9, 5, 3), on_failure=failures.append)
    assert [len(result["tokens"]) for result in found] == [2, 5, 3]
    assert [failure.index for failure in failures] == [1]
    message = "The input 'input_ids' has 9 elements; the model takes at most 5. too_long='truncate' cuts them off"
    assert message in failures[0].message


def test_a_row_that_is_too_long_is_cut_where_that_is_asked_for(saved, together):
    path, module = saved(Encoder)
    handler = PytorchModelHandlerKeyedTensor(path, Encoder, max_length=5, too_long="truncate", **together(3))
    rows = [{**row, "attention_mask": torch.ones_like(row["input_ids"])} for row in ids(2, 9, 4)]
    for row, found in zip(rows, run(handler, rows), strict=True):
        with torch.no_grad():
            wanted = module(row["input_ids"][None, :5])
        torch.testing.assert_close(found, {name: tensor[0] for name, tensor in wanted.items()}, rtol=1e-5, atol=1e-5)
    assert len(rows[1]["input_ids"]) == 9


def test_lone_tensors_may_be_too_long(saved):
    path, _ = saved(Same)
    rows = [torch.arange(2.0), torch.arange(9.0)]
    failures = []
    assert len(run(PytorchModelHandlerTensor(path, Same, max_length=5), rows, on_failure=failures.append)) == 1
    assert "9 elements; the model takes at most 5" in failures[0].message
    handler = PytorchModelHandlerTensor(path, Same, max_length=5, too_long="truncate", padding=0)
    torch.testing.assert_close(run(handler, rows), [rows[0], rows[1][:5]])


def test_a_collate_function_makes_the_whole_input(saved, together):
    path, _ = saved(Same)

    def collate(rows):
        return torch.stack([torch.tensor([len(row), max(row)], dtype=torch.float32) for row in rows])

    handler = PytorchModelHandlerTensor(path, Same, collate_fn=collate, **together(2))
    assert [found.tolist() for found in run(handler, [[1, 5], [3, 1, 2]])] == [[2, 5], [3, 3]]


def test_a_row_that_a_collate_function_cannot_take_is_set_aside(saved):
    path, _ = saved(Same)
    failures = []
    handler = PytorchModelHandlerTensor(path, Same, collate_fn=torch.stack)
    assert len(run(handler, [torch.zeros(2), "text", torch.zeros(2)], on_failure=failures.append)) == 2
    assert [failure.index for failure in failures] == [1]


@pytest.mark.parametrize("option", [{"padding": 0}, {"max_length": 4}])
def test_options_that_a_collate_function_makes_useless_are_refused(option):
    name = next(iter(option))
    with pytest.raises(ConfigurationError, match=f"{name} has no effect with collate_fn"):
        PytorchModelHandlerKeyedTensor("m.pth", Encoder, collate_fn=list, **option)


@pytest.mark.parametrize("option", [{"padding_side": "left"}, {"too_long": "truncate"}])
def test_all_options_that_a_collate_function_makes_useless_are_refused(option):
    name = next(iter(option))
    with pytest.raises(ConfigurationError, match=f"{name} has no effect with collate_fn"):
        PytorchModelHandlerKeyedTensor("m.pth", Encoder, collate_fn=list, **option)


def test_an_empty_row_is_a_row(saved, together):
    path, _ = saved(Same)
    rows = [torch.zeros(0), torch.ones(1), torch.ones(3)]
    found = run(PytorchModelHandlerTensor(path, Same, padding=0, **together(3)), rows)
    torch.testing.assert_close(found, rows)
