"""The PyTorch benchmarks with small models: ours answers what Beam's own handler answers."""

import os
import pickle
import subprocess
import sys

import pytest
import torch
import transformers

from runinference import infer
from runinference.benchmarks.cases.pytorch_image_classification import PytorchImageClassification
from runinference.benchmarks.cases.pytorch_language_modeling import PytorchLanguageModeling
from runinference.benchmarks.cases.pytorch_sentiment import PytorchSentiment
from runinference.benchmarks.cases.vllm_gemma_batch import VllmGemmaBatch
from runinference.benchmarks.catalog import find_benchmarks
from runinference.benchmarks.data.photos import make_photo
from runinference.benchmarks.data.wordpiece import tokenizer_folder
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError

CASES = [PytorchImageClassification, PytorchLanguageModeling, PytorchSentiment]

# Beam leaves the file with the weights open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("RUNINFERENCE_CACHE", str(folder))
        yield folder


def prepared(case, examples=24, **settings):
    benchmark = case(Settings(examples, "tiny", **settings))
    benchmark.prepare()
    return benchmark


def ours(benchmark):
    """The answers of our handler."""
    return [benchmark.answer(result.inference) for result in infer(benchmark.examples(), benchmark.handler())]


def beams(benchmark):
    """The answers of Beam's handler, called as Beam's DoFn does it, after it travelled to a worker."""
    handler = pickle.loads(pickle.dumps(benchmark.beams_handler()))
    model = handler.load_model()
    rows = list(benchmark.examples())
    for function in handler.get_preprocess_fns():
        rows = [function(row) for row in rows]
    results, size = [], handler.batch_elements_kwargs().get("max_batch_size", 8)
    for start in range(0, len(rows), size):
        results += handler.run_inference(rows[start : start + size], model, {})
    for function in handler.get_postprocess_fns():
        results = [function(result) for result in results]
    return [benchmark.beams_answer(getattr(result, "inference", result)) for result in results]


@pytest.mark.parametrize("case", CASES)
def test_ours_answers_what_beams_handler_answers(case):
    benchmark = prepared(case)
    answers = ours(benchmark)
    assert len(answers) == 24
    assert answers == beams(benchmark)
    assert len(set(answers)) > 1
    assert {type(answer) for answer in answers} == {int}


@pytest.mark.parametrize("case", CASES)
def test_nothing_to_do_is_done(case):
    benchmark = prepared(case, 0)
    assert list(benchmark.examples()) == []
    assert ours(benchmark) == beams(benchmark) == []
    assert benchmark.num_bytes([]) == benchmark.flops([]) == 0


@pytest.mark.parametrize("case", CASES)
def test_our_handler_travels_to_a_worker(case):
    benchmark = prepared(case, 4)
    handler = pickle.loads(pickle.dumps(benchmark.handler()))
    assert [benchmark.answer(result.inference) for result in infer(benchmark.examples(), handler)] == ours(benchmark)


@pytest.mark.parametrize("case", CASES)
def test_options_are_those_of_our_handler(case):
    handler = prepared(case, 1, handler_options={"precision": "bf16", "max_batch_size": 3}).handler()
    assert handler.batch_elements_kwargs()["max_batch_size"] == 3
    with pytest.raises(ConfigurationError, match="precision must be one of fp32, bf16, fp16, got 'fp8'"):
        prepared(case, 1, handler_options={"precision": "fp8"}).handler()


@pytest.mark.parametrize("case", CASES)
def test_a_gpu_is_asked_of_both_handlers(case):
    benchmark = prepared(case, 1, device="cuda")
    assert benchmark.handler()._device == "cuda"
    if torch.cuda.is_available():
        assert ours(benchmark) == beams(benchmark)
    else:
        with pytest.raises(ConfigurationError, match=r"device='cuda' was asked for, but PyTorch .* finds no GPU"):
            benchmark.beams_handler()


@pytest.mark.parametrize("case", CASES)
def test_weights_that_are_not_there_are_told_before_anything_is_made(case, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "cache"))
    benchmark = case(Settings(4, "tiny", weights=str(tmp_path / "missing.pth")))
    for method in (benchmark.prepare, benchmark.handler, benchmark.beams_handler):
        with pytest.raises(ConfigurationError, match=r"no weights at '.*missing\.pth'"):
            method()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix in (".pth", ".jpg")]


@pytest.mark.parametrize("case", CASES)
def test_input_that_is_not_there_is_told(case, tmp_path):
    benchmark = case(Settings(4, "tiny", input=str(tmp_path / "missing")))
    for method in (benchmark.prepare, benchmark.examples):
        with pytest.raises(ConfigurationError, match=r"'.*missing' does not exist"):
            method()


def test_the_batches_of_beams_handlers_are_those_of_its_examples():
    batches = [prepared(case, 1).beams_handler().batch_elements_kwargs() for case in CASES]
    assert batches == [{"min_batch_size": 10, "max_batch_size": 100}, {"max_batch_size": 1}, {}]


def test_beams_handler_gets_texts_that_are_filled_up_to_128_tokens_and_ours_does_not():
    benchmark = prepared(PytorchSentiment, 1)
    (beams_fn,), (our_fn,) = (each.get_preprocess_fns() for each in (benchmark.beams_handler(), benchmark.handler()))
    (text,) = benchmark.examples()
    assert beams_fn(text)["input_ids"].shape == (128,)
    assert our_fn(text)["input_ids"].shape == (int(beams_fn(text)["attention_mask"].sum()),)


def test_bytes_are_those_of_the_files_and_texts():
    images = prepared(PytorchImageClassification, 3)
    assert images.num_bytes(images.examples()) == sum(len(make_photo(index)) for index in range(3))
    for case in (PytorchLanguageModeling, PytorchSentiment):
        assert prepared(case, 1).num_bytes(["Grüße .", "a"]) == 9 + 1


def test_operations_are_those_of_these_very_inputs():
    images = prepared(PytorchImageClassification, 3)
    assert images.flops(images.examples()) == 3 * images.flops(images.examples()[:1])
    for case in (PytorchLanguageModeling, PytorchSentiment):
        benchmark = prepared(case)
        texts = benchmark.examples()
        assert benchmark.flops(texts) == pytest.approx(sum(benchmark.flops([text]) for text in texts))
        assert benchmark.flops([max(texts, key=len)]) > benchmark.flops([min(texts, key=len)])


def test_images_of_the_user_are_run_in_place_of_photos_that_are_made(tmp_path):
    for index in range(3):
        (tmp_path / f"{index}.jpg").write_bytes(make_photo(100 + index))
    benchmark = prepared(PytorchImageClassification, 2, input=str(tmp_path))
    assert benchmark.examples() == [str(tmp_path / "0.jpg"), str(tmp_path / "1.jpg")]
    assert ours(benchmark) == beams(benchmark)
    assert len(prepared(PytorchImageClassification, 50, input=str(tmp_path)).examples()) == 3


@pytest.mark.parametrize("case", [PytorchLanguageModeling, PytorchSentiment])
def test_text_of_the_user_is_run_in_place_of_sentences_that_are_made(case, tmp_path):
    lines = ["One", "Größe matters!", "the [MASK] garden walked to the old tree ."]
    (tmp_path / "own.txt").write_text("\n\n".join(lines), encoding="utf-8")
    benchmark = prepared(case, 10, input=str(tmp_path / "own.txt"))
    assert benchmark.examples() == lines
    assert ours(benchmark) == beams(benchmark)


def test_long_texts_are_cut_off_for_sentiment_and_refused_for_language_modeling(tmp_path):
    (tmp_path / "long.txt").write_text("short one .\n" + "garden " * 600)
    benchmark = prepared(PytorchSentiment, 2, input=str(tmp_path))
    assert ours(benchmark) == beams(benchmark)
    assert benchmark.flops(benchmark.examples()[1:]) == benchmark.flops(["garden " * 126])
    with pytest.raises(ConfigurationError, match=r"A line of .* has 602 tokens; the model takes at most 512.*'garden "):
        prepared(PytorchLanguageModeling, 2, input=str(tmp_path))


def test_the_users_model_is_run_with_its_own_tokenizer(tmp_path):
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=30_522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
    )
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    pieces = (tokenizer_folder() / "vocab.txt").read_text().splitlines()
    # Another vocabulary: the same pieces, of which [MASK] and a word have changed places.
    mask, word = pieces.index("[MASK]"), pieces.index("garden")
    pieces[mask], pieces[word] = pieces[word], pieces[mask]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    (tmp_path / "tokenizer_config.json").write_text((tokenizer_folder() / "tokenizer_config.json").read_text())
    benchmark = prepared(PytorchLanguageModeling, weights=str(tmp_path))
    (tokenize,) = benchmark.handler().get_preprocess_fns()
    assert word in tokenize("the garden .")["input_ids"]
    assert ours(benchmark) == beams(benchmark)
    assert benchmark.flops(["the garden ."]) != prepared(PytorchLanguageModeling, 1).flops(["the garden ."])


def test_a_folder_without_a_tokenizer_is_told(tmp_path):
    config = transformers.DistilBertConfig(dim=32, n_layers=1, n_heads=2, hidden_dim=48)
    transformers.DistilBertForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match=r"has no tokenizer: neither tokenizer\.json nor vocab\.txt is there"):
        PytorchSentiment(Settings(1, "tiny", weights=str(tmp_path))).prepare()


def test_gemma_has_its_place_and_says_that_it_cannot_run():
    assert find_benchmarks()["vllm-gemma-batch"] is VllmGemmaBatch
    benchmark = VllmGemmaBatch(Settings(1, "gemma-2b-it"))
    for method in (benchmark.prepare, benchmark.examples, benchmark.handler):
        with pytest.raises(
            ConfigurationError, match="vllm-gemma-batch cannot run yet: it follows with the handler for"
        ):
            method()


def test_looking_for_benchmarks_imports_no_framework():
    cases = [*CASES, VllmGemmaBatch]
    code = "".join(f"import {case.__module__}\n" for case in cases)
    code += (
        "import sys\nprint(set(sys.modules) & {'torch', 'transformers', 'PIL', 'sklearn', 'apache_beam', 'pyarrow'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


def test_each_of_them_has_a_small_model_and_says_what_it_is():
    found = find_benchmarks()
    for case in CASES:
        assert found[case.name] is case
        assert case.models[-1] == "tiny"
        assert case.description().count("\n\n") == 3
    assert PytorchImageClassification.models[:3] == ("resnet50", "resnet101", "resnet152")
    assert PytorchLanguageModeling.models[:2] == ("bert-base-uncased", "bert-large-uncased")
    assert PytorchSentiment.models[0] == "distilbert-base-uncased"


def test_weights_are_shared_by_both_handlers_and_by_all_counts(cache):
    for case in CASES:
        prepared(case, 1)
        prepared(case, 2)
    files = [name for name in os.listdir(cache / "benchmarks") if name.startswith("tiny-")]
    assert len(files) == len(CASES)
