"""TorchScript and exported programs."""

import pytest
import torch
from torch import nn

from runinference import ModelFaultError, PytorchModelHandlerTensor, infer
from runinference.metrics import Metrics

from .models import Conv, Linear, Same, random_weights

ROWS = [torch.tensor([1.0, 2.0, float(number)]) for number in range(9)]


class Dropped(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.dropout, self.norm = nn.Linear(3, 32), nn.Dropout(0.5), nn.BatchNorm1d(32)

    def forward(self, x: torch.Tensor):
        return self.norm(self.dropout(self.linear(x)))


def outcome(call):
    """What a function returns or raises."""
    try:
        return call()
    except Exception as error:
        return error


def expected(module, rows=ROWS):
    with torch.no_grad():
        return list(module.eval()(torch.stack(rows)))


def test_a_script_saved_in_training_mode_runs_in_evaluation_mode(script, predict):
    module = random_weights(Dropped())
    path = script(module.train())
    handler = PytorchModelHandlerTensor(torch_script_model_path=path)
    torch.testing.assert_close(predict(handler, ROWS), expected(module))


def test_a_program_exported_in_training_mode_is_refused_or_runs_in_evaluation_mode(exported, predict):
    module = random_weights(Dropped())
    path = exported(module.train(), ROWS[0])
    handler = PytorchModelHandlerTensor(exported_program_path=path)
    found = outcome(lambda: predict(handler, ROWS))
    if isinstance(found, Exception):
        assert "training" in str(found)
    else:
        torch.testing.assert_close(found, expected(module))


def test_a_program_of_convolutions_runs(exported, predict):
    module = random_weights(Conv())
    images = [torch.rand(3, 8, 8) for _ in range(5)]
    handler = PytorchModelHandlerTensor(exported_program_path=exported(module, images[0]))
    torch.testing.assert_close(predict(handler, images), expected(module, images))


def test_an_argument_that_a_program_does_not_take_is_refused(exported):
    path = exported(random_weights(Linear()), ROWS[0])
    handler = PytorchModelHandlerTensor(exported_program_path=path)
    with pytest.raises(ModelFaultError, match="takes no argument 'scala'"):
        list(infer(ROWS, handler, inference_args={"scala": 1.0}, on_failure=print))


def test_an_argument_that_a_script_does_not_take_is_refused(script):
    handler = PytorchModelHandlerTensor(torch_script_model_path=script(random_weights(Linear())))
    with pytest.raises(ModelFaultError, match=r"takes no argument 'scala'\. Did you mean 'scale'"):
        list(infer(ROWS, handler, inference_args={"scala": 1.0}, on_failure=print))


def test_rows_of_doubles_run_through_a_frozen_script(script, predict):
    module = random_weights(Linear())
    handler = PytorchModelHandlerTensor(torch_script_model_path=script(module, freeze=True))
    torch.testing.assert_close(predict(handler, [row.double() for row in ROWS]), expected(module))


def test_rows_run_through_a_frozen_script(script, predict):
    module = random_weights(Linear())
    handler = PytorchModelHandlerTensor(torch_script_model_path=script(module, freeze=True))
    torch.testing.assert_close(predict(handler, ROWS), expected(module))


def test_a_program_for_one_row_at_a_time_gives_right_results(tmp_path, predict):
    module = random_weights(Linear())
    torch.export.save(torch.export.export(module, (ROWS[0][None],)), tmp_path / "one.pt2")
    handler = PytorchModelHandlerTensor(exported_program_path=str(tmp_path / "one.pt2"), max_batch_size=1)
    torch.testing.assert_close(predict(handler, ROWS), expected(module))


def test_a_program_for_batches_of_one_size_says_so(tmp_path):
    module = random_weights(Linear())
    torch.export.save(torch.export.export(module, (torch.stack(ROWS[:2]),)), tmp_path / "two.pt2")
    handler = PytorchModelHandlerTensor(exported_program_path=str(tmp_path / "two.pt2"))
    metrics = Metrics()
    found = outcome(lambda: list(infer(ROWS[:8], handler, on_failure=print, metrics=metrics)))
    assert "dynamic" in str(found) or metrics.snapshot()["inference_calls"] <= 4


def test_padded_rows_run_through_a_script(script, predict, together):
    handler = PytorchModelHandlerTensor(torch_script_model_path=script(Same()), padding=0, **together(3))
    rows = [torch.arange(1, length + 1) for length in (2, 5, 3)]
    torch.testing.assert_close(predict(handler, rows), rows)


def test_bytes_of_programs_are_those_of_their_weights(script, exported):
    module = random_weights(Conv())
    wanted = sum(tensor.nbytes for tensor in module.state_dict().values())
    for handler in (
        PytorchModelHandlerTensor(torch_script_model_path=script(module)),
        PytorchModelHandlerTensor(exported_program_path=exported(module, torch.rand(3, 8, 8))),
    ):
        assert handler.get_model_bytes(handler.load_model()) == wanted


def test_extra_files_of_a_script_are_loaded(tmp_path, script):
    extra = {"note.txt": ""}
    path = script(Linear())
    handler = PytorchModelHandlerTensor(torch_script_model_path=path, load_model_args={"_extra_files": extra})
    assert handler.load_model() is not None
