"""What a handler for a pipeline is made of, and what is said where it cannot be loaded."""

import gc
import json
import pickle
import shutil
import subprocess
import sys
import weakref

import pytest
import torch
import transformers

from runinference import ConfigurationError, HuggingFacePipelineModelHandler, ModelLoadError, PipelineTask, infer

from .models import texts

TASK = "text-classification"


@pytest.fixture
def copied(model_folder, tmp_path):
    """A folder with a copy of the classifier, to break."""
    return shutil.copytree(model_folder("classifier"), tmp_path / "copy")


def load(task, model, **arguments):
    return HuggingFacePipelineModelHandler(task, str(model), **{"device": "cpu", **arguments}).load_model()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs task, model or both"),
        ({"task": "", "model": ""}, "needs task, model or both"),
        ({"task": TASK, "model": torch.nn.Linear(1, 1)}, "model must be a folder, a URL or.*got Linear"),
        ({"task": TASK, "device": "GPUs"}, "device must be 'CPU'.*got 'GPUs'"),
        ({"task": TASK, "device": "cpu", "load_pipeline_args": {"device": -1}}, "the device is given twice"),
        ({"task": TASK, "load_pipeline_args": {"device": -1, "device_map": "auto"}}, "the device is given twice"),
        ({"task": TASK, "load_pipeline_args": {"device": "tpu"}}, "device must be.*got 'tpu'"),
        ({"task": TASK, "load_pipeline_args": {"model": "x"}}, "model is an argument of its own"),
        ({"task": TASK, "load_pipeline_args": {"framework": "tf"}}, "framework must be 'pt', got 'tf'"),
        ({"task": TASK, "precision": "int8"}, "precision must be one of fp32, bf16, fp16, got 'int8'"),
        ({"task": TASK, "precision": "bf16", "load_pipeline_args": {"dtype": "float16"}}, "either precision or the"),
        ({"task": TASK, "too_long": "cut"}, "too_long must be one of truncate, set_aside, got 'cut'"),
        ({"task": TASK, "too_long": "truncate", "inference_fn": print}, "too_long has no effect with an inference_fn"),
        ({"task": "object-detection", "too_long": "truncate"}, "too_long has no effect for object-detection"),
        ({"task": TASK, "inference_fn": "run"}, "inference_fn must be a function, got 'run'"),
        ({"task": TASK, "to_long": "truncate"}, "'to_long'.*Did you mean 'too_long'"),
    ],
)
def test_an_argument_that_cannot_work_is_refused_at_once(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        HuggingFacePipelineModelHandler(**arguments)


def test_the_arguments_for_loading_are_left_as_they_are_and_used(model_folder):
    given = {"framework": "pt", "device": -1, "model_kwargs": {"num_labels": 3}, "top_k": 2}
    handler = HuggingFacePipelineModelHandler(TASK, model_folder("classifier"), load_pipeline_args=given)
    pipeline = handler.load_model()
    assert given == {"framework": "pt", "device": -1, "model_kwargs": {"num_labels": 3}, "top_k": 2}
    assert len(next(iter(handler.run_inference(["good"], pipeline))).inference) == 2


def test_the_lengths_of_texts_decide_their_batches_unless_something_else_does():
    def length_of(**options):
        return HuggingFacePipelineModelHandler(**options).batch_elements_kwargs().get("length_fn")

    assert length_of(task=TASK)("good") == 4
    assert length_of(model="some/model")("good") == 4
    assert length_of(task="image-classification") is None
    assert length_of(task=TASK, batch_length_fn=None) is None
    assert length_of(task=TASK, batch_length_fn=lambda row: 7)("good") == 7
    assert length_of(task=TASK, element_size_fn=len, max_batch_weight=9) is None
    assert length_of(task=TASK, max_batch_weight=4096)("good") == 4


def test_the_name_of_a_model_is_its_place_or_else_the_task(tmp_path):
    assert HuggingFacePipelineModelHandler(TASK, tmp_path).get_model_id() == str(tmp_path)
    handler = HuggingFacePipelineModelHandler(PipelineTask.FillMask)
    assert handler.get_model_id() == "fill-mask"
    handler.update_model_path("another/model")
    assert handler.get_model_id() == "another/model"
    assert handler.get_metrics_namespace() == "BeamML_HuggingFacePipelineModelHandler"


def test_every_task_of_transformers_has_its_name():
    values = {task.value for task in PipelineTask}
    assert set(transformers.pipelines.get_supported_tasks()) <= values
    assert PipelineTask.TextClassification == "text-classification"
    assert f"{PipelineTask('translation_XX_to_YY').name}" == "Translation_XX_to_YY"


def test_a_model_may_be_saved_in_one_precision_and_run_in_another(model_folder):
    folder = model_folder("classifier")
    exact = load(TASK, folder)(texts(5), top_k=None)
    for precision, dtype in [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]:
        handler = HuggingFacePipelineModelHandler(TASK, folder, device="cpu", precision=precision)
        pipeline = handler.load_model()
        assert pipeline.model.dtype == dtype
        found = [result.inference for result in handler.run_inference(texts(5), pipeline, {"top_k": None})]
        for one, other in zip(found, exact, strict=True):
            scores = {each["label"]: each["score"] for each in one}
            assert all(abs(scores[each["label"]] - each["score"]) < 0.05 for each in other)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_an_error_only_where_the_model_is_loaded(model_folder):
    handler = HuggingFacePipelineModelHandler(TASK, model_folder("classifier"), device="GPU")
    with pytest.raises(ModelLoadError, match="A GPU was asked for, but PyTorch"):
        handler.load_model()
    with pytest.raises(ModelLoadError, match="'cuda:1' was asked for"):
        load(TASK, model_folder("classifier"), device=1)
    assert HuggingFacePipelineModelHandler(TASK, model_folder("classifier")).load_model().device.type == "cpu"


def test_a_dropped_pipeline_leaves_the_memory(model_folder):
    gc.collect()
    handler = HuggingFacePipelineModelHandler("feature-extraction", model_folder("encoder"), device="cpu")
    pipeline = handler.load_model()
    list(handler.run_inference(["good"], pipeline))
    alive = weakref.ref(pipeline.model)
    gc.disable()
    try:
        del pipeline
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("text-clasification", "There is no task 'text-clasification'. Did you mean 'text-classification'"),
        ("summarization", r"transformers 5.* have no task 'summarization'. text-generation does this now"),
        (PipelineTask.QuestionAnswering, "have no task 'question-answering'"),
        ("translation_en_to_fr", "have no task 'translation_en_to_fr'"),
        ("vqa", "have no task 'vqa'. image-text-to-text does this now"),
        ("image-to-image", "diffusers"),
        ("", "does not say what task it is for: pass task.*says that it is a BertForSequenceClassification"),
        ("fill-mask", r"no trained weights for fill-mask: cls\..*would be random.*is a BertForSequenceClassification"),
        ("image-classification", "cannot be loaded for image-classification: .*Can't load image processor"),
        ("zero-shot-classification", "none of its labels is entailment, they are LABEL_0"),
    ],
)
def test_a_task_that_does_not_fit_is_said_in_a_sentence(task, message, model_folder):
    with pytest.raises(ModelLoadError, match=message) as caught:
        load(task, model_folder("classifier"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_model_for_another_task_is_refused(model_folder):
    with pytest.raises(ModelLoadError, match=r"no trained weights for text-classification: .*BertForMaskedLM"):
        load(TASK, model_folder("masked"))
    with pytest.raises(ModelLoadError, match=r"vit.* cannot be loaded for text-classification.*ViTForImage"):
        load(TASK, model_folder("vit"))
    with pytest.raises(ModelLoadError, match=r"BertForSequenceClassification, which is not made for text-generation|"
                                             r"no trained weights for text-generation"):  # fmt: skip
        load("text-generation", model_folder("classifier"))


def test_a_base_model_without_its_unused_pooler_is_loaded(model_folder):
    assert load("feature-extraction", model_folder("masked")).task == "feature-extraction"


def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(copied, tmp_path):
    def assert_says(message, task=TASK, place=copied):
        with pytest.raises(ModelLoadError, match=message) as caught:
            load(task, place)
        assert "\n" not in str(caught.value)

    assert_says("does not exist. Did you mean .*copy", place=tmp_path / "coppy")
    assert_says("is a file; what is needed is the folder", place=copied / "config.json")
    (tmp_path / "empty").mkdir()
    assert_says("empty holds no model of transformers: there is no config.json", place=tmp_path / "empty")
    weights = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert_says("cannot be loaded for text-classification: .*SafetensorError")
    (copied / "model.safetensors").unlink()
    assert_says("cannot be loaded for text-classification: .*no file named")
    (copied / "model.safetensors").write_bytes(weights)
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    assert_says("cannot be loaded for text-classification")
    (copied / "config.json").write_text("{")
    assert_says("not a valid JSON file")
    (copied / "config.json").write_text(json.dumps(config))
    for file in copied.glob("token*"):
        file.unlink()
    assert_says("comes without a tokenizer, or with one that knows no words")


@pytest.mark.parametrize("model", ["nobody/nothing", "nothing"])
def test_a_model_that_cannot_be_fetched_from_the_hub_is_said_in_a_sentence(model):
    with pytest.raises(ModelLoadError, match=f"{model} is no folder here, and.*HF_HUB_OFFLINE.*hf download {model}"):
        load(TASK, model)
    with pytest.raises(ModelLoadError, match="The default model for text-classification"):
        load(TASK, "")


def test_a_model_behind_a_url_is_fetched(model_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path))
    url = f"file://{model_folder('classifier')}"
    handler = HuggingFacePipelineModelHandler(TASK, url, device="cpu")
    assert next(infer(["good"], handler)).model_id == url


def test_code_in_a_model_is_not_run_unless_it_is_trusted_and_nobody_is_asked(copied, capsys):
    config = json.loads((copied / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"}
    config["model_type"] = "evil"
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "evil.py").write_text("raise SystemExit('run')")
    with pytest.raises(ModelLoadError, match=r"code of its own, which was not run.*trust_remote_code=True"):
        load(TASK, copied)
    assert capsys.readouterr().out == ""


def test_nothing_is_imported_before_the_model_is_loaded_and_nothing_is_printed(model_folder, tmp_path):
    writer = HuggingFacePipelineModelHandler("text-generation", model_folder("gpt"))
    (tmp_path / "writer.pickle").write_bytes(pickle.dumps(writer))
    handler = HuggingFacePipelineModelHandler(TASK, model_folder("classifier"), too_long="set_aside")
    (tmp_path / "handler.pickle").write_bytes(pickle.dumps(handler))
    code = (
        "import pickle, sys\n"
        "from runinference import HuggingFacePipelineModelHandler, infer\n"
        f"handler = pickle.load(open({str(tmp_path / 'handler.pickle')!r}, 'rb'))\n"
        "assert not {'torch', 'transformers', 'PIL'} & set(sys.modules), 'too early'\n"
        "rows = ['good', 'bad film ' * 50, 'a film'] * 10\n"
        "failures = []\n"
        "assert len(list(infer(rows, handler, on_failure=failures.append))) == 20\n"
        "assert len(failures) == 10\n"
        f"writer = pickle.load(open({str(tmp_path / 'writer.pickle')!r}, 'rb'))\n"
        "assert len(list(infer(['good', 'bad film ' * 50] * 20, writer, inference_args={'max_new_tokens': 5}))) == 40\n"
        "print([name for name in ('tensorflow', 'jax', 'torchvision') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_a_text_that_ends_before_the_others_of_its_batch_is_not_warned_about(model_folder, monkeypatch):
    folder = model_folder("gpt")
    end = transformers.AutoTokenizer.from_pretrained(folder).eos_token_id
    loaded = HuggingFacePipelineModelHandler("text-generation", folder).load_model()
    bare = transformers.AutoModelForCausalLM.from_pretrained(folder, pad_token_id=end)
    warnings = []
    monkeypatch.setattr(transformers.modeling_utils.logger, "warning_once", warnings.append)
    for model, warned in ((bare, True), (loaded.model, False)):
        model(input_ids=torch.tensor([[end], [end - 1]]))
        assert bool(warnings) == warned
        warnings.clear()
