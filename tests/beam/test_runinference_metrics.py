"""The example `runinference_metrics`, and the metrics that it shows."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest
import torch
import transformers
from apache_beam.testing.util import assert_that, equal_to

from runinference import KeyedModelHandler, PytorchModelHandlerKeyedTensor
from runinference.beam import RunInference

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "runinference_metrics"
SENTENCES = 90
DISTRIBUTIONS = {
    "inference_batch_latency_micro_secs",
    "inference_request_batch_size",
    "inference_request_batch_byte_size",
    "model_byte_size",
    "load_model_latency_milli_secs",
}
OF_BATCHING = {"batch_size", "msec_per_batch"}
PARTS = ("COUNT", "SUM", "MIN", "MAX", "MEAN")


def run_example(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "main.py", *arguments],
        cwd=EXAMPLE,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def output():
    done = run_example("--mode", "local", "--device", "CPU", "--model", "tiny", "--num_sentences", str(SENTENCES))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def table(output):
    """The metrics of each namespace by name."""
    found, namespace = {}, None
    for line in output.partition("\n\n")[2].partition("\n\n")[0].splitlines():
        if line.startswith("  "):
            name, value = line.split()
            found[namespace][name] = float(value.replace(",", ""))
        else:
            namespace = line
            found[namespace] = {}
    return found


@pytest.fixture
def example(monkeypatch):
    """Imports of the example's modules work, within one test."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield
    for name in ("config", "pipeline", "pipeline.options", "pipeline.transformations"):
        sys.modules.pop(name, None)


@pytest.fixture
def refused(example, monkeypatch, capsys):
    """What the program says as it ends with the code of wrong usage."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["main.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLE / "main.py"), run_name="__main__")
        assert ended.value.code == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def transformations(example):
    import pipeline.transformations

    return pipeline.transformations


@pytest.fixture
def folder(transformations, tmp_path):
    transformations.make_tiny_model(tmp_path / "tiny")
    return tmp_path / "tiny"


def parts_of(distributions):
    return {f"{name}_{part}" for name in distributions for part in PARTS}


def test_the_example_has_the_metrics_of_the_model_in_the_namespace_of_its_handler(table):
    assert table["BeamML_PyTorch"].keys() >= {"num_inferences", *parts_of(DISTRIBUTIONS)}


def test_the_example_has_the_metrics_of_the_batches_in_a_namespace_of_their_own(table):
    assert table["BatchElements"].keys() == parts_of(OF_BATCHING)


def test_a_distribution_is_shown_with_count_sum_min_max_and_mean_in_this_order(output):
    shown = re.findall(r"^  inference_request_batch_size_(\w+) ", output, re.MULTILINE)
    assert shown == list(PARTS)


def test_every_sentence_counts_once(table):
    of_model = table["BeamML_PyTorch"]
    assert of_model["num_inferences"] == SENTENCES
    assert of_model["inference_request_batch_size_SUM"] == SENTENCES
    assert table["BatchElements"]["batch_size_SUM"] == SENTENCES


def test_every_batch_counts_once(table):
    of_model = table["BeamML_PyTorch"]
    batches = of_model["inference_request_batch_size_COUNT"]
    assert batches == table["BatchElements"]["batch_size_COUNT"] == table["BatchElements"]["msec_per_batch_COUNT"]
    for name in DISTRIBUTIONS - {"model_byte_size", "load_model_latency_milli_secs"}:
        assert of_model[f"{name}_COUNT"] == batches


def test_the_model_is_loaded_once_and_its_size_is_that_of_its_parameters_and_buffers(table, folder):
    of_model = table["BeamML_PyTorch"]
    model = transformers.DistilBertForSequenceClassification.from_pretrained(folder)
    assert of_model["load_model_latency_milli_secs_COUNT"] == of_model["model_byte_size_COUNT"] == 1
    assert of_model["model_byte_size_SUM"] == sum(each.nbytes for each in (*model.parameters(), *model.buffers()))


def test_the_mean_of_a_distribution_is_its_sum_by_its_count(table):
    for values in table.values():
        for name in (name.removesuffix("_MEAN") for name in values if name.endswith("_MEAN")):
            mean = values[f"{name}_SUM"] / values[f"{name}_COUNT"]
            assert values[f"{name}_MEAN"] == pytest.approx(mean, abs=6e-4)
            assert values[f"{name}_MIN"] <= mean <= values[f"{name}_MAX"]


def test_the_total_time_is_that_of_the_batches_not_multiplied_with_the_sentences(table, output):
    total, batches = re.search(r"Total time taken for inference: ([\d.]+) s \(([\d,]+) batches x ", output).groups()
    of_model = table["BeamML_PyTorch"]
    assert int(batches.replace(",", "")) == of_model["inference_batch_latency_micro_secs_COUNT"] < SENTENCES
    assert float(total) == pytest.approx(of_model["inference_batch_latency_micro_secs_SUM"] / 1e6, abs=6e-4)


def test_sentences_of_unequal_lengths_in_one_batch_are_classified_as_each_alone(transformations, folder):
    texts = ["Good.", "A longer sentence than the first one.", "No", "It goes on and on, " * 60]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.DistilBertForSequenceClassification.from_pretrained(folder).eval()
    found = transformations.model_in_folder(folder)
    handler = PytorchModelHandlerKeyedTensor(
        found.state_dict_path,
        transformers.DistilBertForSequenceClassification,
        {"config": found.config},
        min_batch_size=len(texts),
    )
    with torch.inference_mode():
        inputs = [tokenizer(text, truncation=True, return_tensors="pt") for text in texts]
        alone = [model(**each).logits.softmax(-1)[0].tolist() for each in inputs]
    assert len({each["input_ids"].shape for each in inputs}) == len(texts)
    with beam.Pipeline() as pipeline:
        classified = (
            pipeline
            | beam.Create(texts)
            | beam.ParDo(transformations.Tokenize(found.tokenizer_name))
            | RunInference(KeyedModelHandler(handler))
            | beam.ParDo(transformations.PostProcessor())
            | beam.Map(lambda row: (row["input"], *(round(float(value), 4) for value in row["softmax"])))
        )
        assert_that(
            classified,
            equal_to(
                [(text, *(round(value, 4) for value in values)) for text, values in zip(texts, alone, strict=True)]
            ),
        )


def test_a_folder_with_a_model_is_run(folder, monkeypatch, capsys):
    arguments = ["main.py", "--model", str(folder), "--num_sentences", "7"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLE / "main.py"), run_name="__main__")
    assert ended.value.code == 0
    assert re.search(r"^  num_inferences +7$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_before_the_pipeline_starts(refused):
    said = refused("--device", "GPU", "--model", "tiny")
    assert "finds no GPU on this machine; pass --device CPU" in said


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_model_runs_on_the_gpu():
    done = run_example("-d", "GPU", "--model", "tiny", "--num_sentences", "30")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  num_inferences +30$", done.stdout, re.MULTILINE)


def test_cloud_without_a_project_says_where_to_put_it(refused):
    said = refused("--mode", "cloud")
    assert f"set PROJECT_ID in {EXAMPLE / 'config.py'}, or pass --project" in said


def test_a_model_of_this_machine_is_refused_for_the_cloud(refused):
    assert "--model is for --mode local" in refused("-m", "cloud", "-p", "my-project", "--model", "tiny")


def test_a_folder_that_does_not_exist_is_said(refused, tmp_path):
    assert f"There is no folder {tmp_path / 'nothing'}" in refused("--model", str(tmp_path / "nothing"))


def test_a_folder_without_a_model_is_said(refused, tmp_path):
    assert "it has no config.json" in refused("--model", str(tmp_path))


def test_a_folder_without_weights_is_said(refused, folder):
    (folder / "model.safetensors").unlink()
    assert "holds no weights: neither model.safetensors nor pytorch_model.bin" in refused("--model", str(folder))


def test_a_model_of_another_type_is_said(refused, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "holds a model of type bert, not a distilbert" in refused("--model", str(tmp_path))


def test_no_sentences_are_refused(refused):
    assert "--num_sentences must be at least 1, got 0" in refused("--num_sentences", "0")


def test_without_network_the_tiny_model_is_named(tmp_path):
    done = run_example("--mode", "local", HF_HUB_CACHE=str(tmp_path))
    assert done.returncode == 2
    assert "the model hub cannot be reached from here" in done.stderr
    assert "--model tiny makes a small model" in done.stderr


@pytest.mark.parametrize("device", ["CPU", "GPU"])
def test_the_cloud_runs_in_the_project_that_was_asked_for(example, device):
    from pipeline.options import get_pipeline_options

    options = get_pipeline_options("cloud", device, "my-project").get_all_options()
    assert options["runner"] == "DataflowRunner"
    assert options["project"] == "my-project"
    assert options["temp_location"].startswith("gs://my-project-")
    assert Path(options["setup_file"]) == EXAMPLE / "setup.py"
    accelerators = [each for each in options["dataflow_service_options"] or [] if "worker_accelerator" in each]
    assert len(accelerators) == (1 if device == "GPU" else 0)
