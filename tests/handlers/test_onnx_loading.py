"""The ONNX handler opens its model: files, session options, execution providers."""

from pathlib import Path

import numpy as np
import onnx_models as models
import pytest

from runinference import ConfigurationError, ModelLoadError, OnnxModelHandlerNumpy, infer
from runinference.handlers.onnx.session import check_started
from runinference.jobs.schemes import SCHEMES


@pytest.fixture
def path(tmp_path):
    return models.linear(tmp_path / "model.onnx")


def options_of(path, session_options):
    return OnnxModelHandlerNumpy(path, session_options).load_model().get_session_options()


def test_a_missing_file_is_told_with_the_nearest_name(path):
    with pytest.raises(ModelLoadError, match=r"modle.onnx does not exist. Did you mean .*model.onnx\?"):
        OnnxModelHandlerNumpy(path.replace("model", "modle")).load_model()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no model", None])
def test_a_file_that_is_empty_or_no_model_or_cut_short_is_told(path, content):
    file = Path(path)
    file.write_bytes(file.read_bytes()[:-20] if content is None else content)
    with pytest.raises(ModelLoadError, match=r"model.onnx cannot be loaded as an ONNX model \(onnxruntime.*complete"):
        OnnxModelHandlerNumpy(path).load_model()


def large(folder):
    weights = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
    path = models.linear(
        folder / "large.onnx", weights, save_as_external_data=True, location="large.weights", size_threshold=0
    )
    return path, weights


def test_weights_in_a_file_beside_the_model_are_loaded_and_counted(tmp_path):
    path, weights = large(tmp_path)
    handler = OnnxModelHandlerNumpy(path)
    row = np.ones(300, np.float32)
    (result,) = infer([row], handler)
    np.testing.assert_allclose(result.inference, row @ weights, rtol=1e-4, atol=1e-4)
    found = handler.get_model_bytes(handler.load_model())
    assert found == weights.nbytes + Path(path).stat().st_size


def test_the_bytes_are_those_of_the_session_that_was_loaded(path, tmp_path):
    handler = OnnxModelHandlerNumpy(path)
    session = handler.load_model()
    size = Path(path).stat().st_size
    handler.update_model_path(large(tmp_path)[0])
    assert handler.get_model_bytes(session) == size


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"short")])
def test_weights_that_are_missing_or_cut_short_are_told(tmp_path, damage):
    path, _ = large(tmp_path)
    damage(tmp_path / "large.weights")
    with pytest.raises(ModelLoadError, match=r"large.onnx cannot be loaded .*complete, together with any files of w"):
        OnnxModelHandlerNumpy(path).load_model()


def test_a_folder_with_one_model_is_a_model(tmp_path, path):
    handler = OnnxModelHandlerNumpy(str(tmp_path))
    assert [result.model_id for result in infer([np.zeros(3)], handler)] == [str(tmp_path)]
    models.linear(tmp_path / "other.onnx")
    with pytest.raises(ModelLoadError, match="is a folder with 2 files"):
        handler.load_model()


def test_a_model_behind_a_url_is_run(path, tmp_path, monkeypatch):
    import fsspec

    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "cache"))
    with fsspec.open("memory://models/model.onnx", "wb") as file:
        file.write(Path(path).read_bytes())
    assert len(list(infer([np.zeros(3)], OnnxModelHandlerNumpy("memory://models/model.onnx")))) == 1


def test_an_input_that_no_array_can_hold_is_told_unless_a_function_runs_the_model(tmp_path):
    path = models.write(
        tmp_path / "half.onnx",
        [models.node("Cast", ["x"], ["y"], to=models.FLOAT)],
        [models.value("x", models.BFLOAT16, ["N"])],
        [models.value("y", models.FLOAT, ["N"])],
    )
    with pytest.raises(ModelLoadError, match=r"half.onnx: .*'x' is of type tensor\(bfloat16\).*pass inference_fn"):
        OnnxModelHandlerNumpy(path).load_model()
    assert OnnxModelHandlerNumpy(path, inference_fn=print).load_model().get_inputs()[0].name == "x"


def test_an_output_that_the_model_lacks_is_told_with_the_closest(tmp_path):
    path = models.two_and_two(tmp_path / "model.onnx")
    with pytest.raises(ModelLoadError, match=r"no output 'totl'. Did you mean 'total'.* Outputs: total, scaled"):
        OnnxModelHandlerNumpy(path, output_names=["totl"]).load_model()


def one_thread():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def test_session_options_may_be_a_dict_a_function_or_an_object(path):
    assert options_of(path, {"intra_op_num_threads": 1}).intra_op_num_threads == 1
    assert options_of(path, one_thread).intra_op_num_threads == 1
    assert options_of(path, one_thread()).intra_op_num_threads == 1
    level = options_of(path, {"graph_optimization_level": "ORT_DISABLE_ALL"}).graph_optimization_level
    assert level.name == "ORT_DISABLE_ALL"


@pytest.mark.parametrize(
    ("session_options", "message"),
    [
        ({"intra_op_num_thread": 1}, "no attribute 'intra_op_num_thread'. Did you mean 'intra_op_num_threads'"),
        ({"add_session_config_entry": 1}, "no attribute 'add_session_config_entry'.*for its methods, pass a function"),
        ({"graph_optimization_level": "ORT_ENABLE_AL"}, "cannot be 'ORT_ENABLE_AL'. Did you mean 'ORT_ENABLE_ALL'"),
        ({"intra_op_num_threads": "two"}, "intra_op_num_threads cannot be 'two'; it is 0 by default"),
        (dict, "session_options must return an onnxruntime.SessionOptions, got dict"),
    ],
)
def test_session_options_that_cannot_work_are_refused(path, session_options, message):
    with pytest.raises(ConfigurationError, match=message):
        OnnxModelHandlerNumpy(path, session_options).load_model()


def test_providers_may_have_options(path):
    plain = OnnxModelHandlerNumpy(path, None, ["CPUExecutionProvider"], [{}]).load_model()
    tuples = OnnxModelHandlerNumpy(path, providers=[("CPUExecutionProvider", {})]).load_model()
    assert plain.get_providers() == tuples.get_providers() == ["CPUExecutionProvider"]


def test_a_provider_that_is_not_available_is_told(path):
    message = "model.onnx: the execution provider 'CUDAExecutionProvide.?' is not available.*offers .*CPUExecution"
    with pytest.raises(ModelLoadError, match=message):
        OnnxModelHandlerNumpy(path, providers=["CUDAExecutionProvide", "CPUExecutionProvider"]).load_model()


def test_a_provider_that_did_not_start_is_told_or_logged(caplog):
    chosen, started = ["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]
    check_started("m.onnx", started, chosen, asked=True)
    with pytest.raises(ModelLoadError, match=r"m.onnx: .* CUDAExecutionProvider did not start; the model runs"):
        check_started("m.onnx", chosen, started, asked=True)
    assert caplog.messages == []
    check_started("m.onnx", chosen, started, asked=False)
    assert "CUDAExecutionProvider did not start" in caplog.text


def test_the_command_line_knows_the_files(path, tmp_path):
    handler = SCHEMES["onnx"](path)
    assert handler.get_model_id() == path
    (tmp_path / "model.pt").touch()
    with pytest.raises(ConfigurationError, match=r"suffix must be one of .onnx, .ort"):
        SCHEMES["onnx"](str(tmp_path / "model.pt"))


def test_making_a_handler_imports_nothing():
    import subprocess
    import sys

    code = "import sys, runinference as r; r.OnnxModelHandlerNumpy('m.onnx'); print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
