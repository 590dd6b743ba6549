"""Models of transformers on tensors: the contract of handlers, variable lengths, what they refuse."""

import os
import pickle

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
import transformers

from runinference import (
    ConfigurationError,
    HuggingFaceModelHandlerKeyedTensor,
    HuggingFaceModelHandlerTensor,
    MaskedTokens,
    Metrics,
    ModelFaultError,
    ModelLoadError,
    infer,
    make_keyed_tensor_model_fn,
)
from runinference.testing.handler_contract import HandlerContract

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
BERT = transformers.BertConfig(vocab_size=120, pad_token_id=0, max_position_embeddings=64, **SIZES)
GPT2 = transformers.GPT2Config(vocab_size=120, n_embd=32, n_layer=2, n_head=2, n_positions=64, eos_token_id=0)
RESNET = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=3)


def save(path, model, seed):
    torch.manual_seed(seed)
    model = model()
    model.eval().save_pretrained(path)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("transformers")


@pytest.fixture(scope="module")
def classifier(folder):
    return save(folder / "classifier", lambda: transformers.BertForSequenceClassification(BERT), 0)


@pytest.fixture(scope="module")
def language(folder):
    return save(folder / "language", lambda: transformers.BertForMaskedLM(BERT), 0)


def tokens(count, longest=20):
    random = np.random.default_rng(0)
    return [torch.as_tensor(random.integers(5, 120, 3 + number % longest)) for number in range(count)]


def alone(model, ids):
    with torch.no_grad():
        return model(input_ids=ids[None])


class TestKeyedContract(HandlerContract):
    """Rows of token ids by name, of several lengths; predictions are the logits of two classes."""

    @pytest.fixture(autouse=True)
    def model(self, folder, classifier):
        self.folder, self.trained = folder, classifier

    def handler(self, **options):
        return HuggingFaceModelHandlerKeyedTensor(
            str(self.folder / "classifier"), transformers.AutoModelForSequenceClassification, "pt", **options
        )

    def examples(self, count):
        return [{"input_ids": ids} for ids in tokens(count)]

    def expected(self, examples):
        return [{"logits": alone(self.trained, example["input_ids"]).logits[0]} for example in examples]

    def assert_same(self, found, expected):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.keys() == other.keys()
            torch.testing.assert_close(one["logits"], other["logits"], atol=1e-5, rtol=1e-5)

    def bad_example(self):
        return {"input_ids": "not tokens"}

    def honoured_args(self):
        other = torch.zeros(1, 1, dtype=torch.long)
        rows = self.examples(3)
        with torch.no_grad():
            expected = [
                {"logits": self.trained(input_ids=row["input_ids"][None], position_ids=other).logits[0]} for row in rows
            ]
        return {"position_ids": other}, expected

    def bytes_of(self, example):
        return 8 * len(example["input_ids"])

    def model_bytes(self):
        return 4 * sum(parameter.numel() for parameter in self.trained.parameters())

    def other_model(self):
        other = save(self.folder / "other", lambda: transformers.BertForSequenceClassification(BERT), 7)
        rows = self.examples(3)
        return str(self.folder / "other"), [{"logits": alone(other, row["input_ids"]).logits[0]} for row in rows]

    def package(self):
        return "transformers", "huggingface"


class TestTensorContract(TestKeyedContract):
    """Rows that are token ids themselves."""

    def handler(self, **options):
        return HuggingFaceModelHandlerTensor(
            str(self.folder / "classifier"), "AutoModelForSequenceClassification", **options
        )

    def examples(self, count):
        return tokens(count)

    def expected(self, examples):
        return [{"logits": alone(self.trained, ids).logits[0]} for ids in examples]

    def bad_example(self):
        return "not tokens"

    def honoured_args(self):
        other = torch.zeros(1, 1, dtype=torch.long)
        with torch.no_grad():
            rows = [self.trained(input_ids=ids[None], position_ids=other).logits[0] for ids in self.examples(3)]
        return {"position_ids": other}, [{"logits": row} for row in rows]

    def bytes_of(self, example):
        return 8 * len(example)

    def other_model(self):
        other = save(self.folder / "other", lambda: transformers.BertForSequenceClassification(BERT), 7)
        return str(self.folder / "other"), [{"logits": alone(other, ids).logits[0]} for ids in self.examples(3)]


def keyed(folder, name="language", model_class=transformers.AutoModelForMaskedLM, **options):
    return HuggingFaceModelHandlerKeyedTensor(str(folder / name), model_class, **options)


def test_outputs_per_token_are_cut_back_to_each_row(folder, language):
    rows = [{"input_ids": ids} for ids in tokens(50)]
    for result in infer(rows, keyed(folder)):
        expected = alone(language, result.example["input_ids"]).logits[0]
        torch.testing.assert_close(result.inference["logits"], expected, atol=1e-5, rtol=1e-5)


def test_hidden_states_and_attentions_are_cut_back_too(folder, language):
    arguments = {"output_hidden_states": True, "output_attentions": True}
    torch_attention = {"load_model_args": {"attn_implementation": "eager"}}
    rows = [{"input_ids": ids} for ids in tokens(12)]
    for result in infer(rows, keyed(folder, **torch_attention), inference_args=arguments):
        length = len(result.example["input_ids"])
        assert [tuple(state.shape) for state in result.inference["hidden_states"]] == [(length, 32)] * 3
        assert [tuple(maps.shape) for maps in result.inference["attentions"]] == [(2, length, length)] * 2


def test_a_hidden_size_that_equals_the_longest_row_is_not_cut(folder, classifier):
    rows = [{"input_ids": torch.arange(5, 5 + length)} for length in (32, 4, 9)]
    handler = keyed(folder, "classifier", transformers.AutoModel)
    found = [result.inference for result in infer(rows, handler)]
    assert [tuple(row["pooler_output"].shape) for row in found] == [(32,)] * 3
    assert [tuple(row["last_hidden_state"].shape) for row in found] == [(32, 32), (4, 32), (9, 32)]


def test_rows_of_like_length_are_batched_together(folder, language):
    metrics = Metrics()
    rows = [{"input_ids": ids} for ids in tokens(400)]
    assert len(list(infer(rows, keyed(folder, max_batch_weight=256), metrics=metrics))) == 400
    assert metrics.snapshot()["padding_efficiency"] > 0.9


def test_a_row_that_is_too_long_is_set_aside_or_cut_off(folder, language):
    rows = [{"input_ids": torch.arange(5, 5 + length)} for length in (10, 70, 20)]
    failures = []
    assert len(list(infer(rows, keyed(folder), on_failure=failures.append))) == 2
    assert [failure.index for failure in failures] == [1]
    assert "'input_ids' has 70 elements; the model takes at most 64" in failures[0].message
    results = list(infer(rows, keyed(folder, too_long="truncate")))
    assert [len(result.inference["logits"]) for result in results] == [10, 64, 20]


def test_a_token_that_the_vocabulary_does_not_have_fails_alone(folder, language):
    rows = [{"input_ids": torch.tensor(ids)} for ids in ([5, 6], [5, 500], [7, -1], [8, 9])]
    failures = []
    assert len(list(infer(rows, keyed(folder), on_failure=failures.append))) == 2
    assert [failure.message for failure in failures] == [
        "The token id 500 is not among the model's 120",
        "The token id -1 is not among the model's 120",
    ]


def test_masks_alone_give_the_same_words_as_all_logits(folder, language):
    rows = []
    for number, ids in enumerate(tokens(60)):
        ids = ids.clone()
        ids[:: 2 + number % 5] = 4
        rows.append({"input_ids": ids if number != 9 else ids.masked_fill(ids == 4, 5)})
    for result in infer(rows, keyed(folder, output_fn=MaskedTokens(4, top_k=3))):
        ids = result.example["input_ids"]
        best = alone(language, ids).logits[0][ids == 4].softmax(-1).topk(3)
        assert torch.equal(result.inference["token_ids"], best.indices)
        torch.testing.assert_close(result.inference["scores"], best.values)


def test_a_model_that_could_keep_a_cache_does_not(folder):
    save(folder / "gpt2", lambda: transformers.GPT2LMHeadModel(GPT2), 0)
    rows = [{"input_ids": ids} for ids in tokens(8)]
    for result in infer(rows, keyed(folder, "gpt2", transformers.AutoModelForCausalLM)):
        assert list(result.inference) == ["logits"]
    with pytest.raises(ModelFaultError, match=r"output \['past_key_values'\] is one DynamicCache for the whole batch"):
        list(infer(rows, keyed(folder, "gpt2", transformers.AutoModelForCausalLM), inference_args={"use_cache": True}))


def test_generate_continues_texts_of_several_lengths_as_it_would_each_alone(folder):
    model = save(folder / "gpt2", lambda: transformers.GPT2LMHeadModel(GPT2), 0)
    generate = make_keyed_tensor_model_fn("generate")
    handler = keyed(
        folder,
        "gpt2",
        transformers.AutoModelForCausalLM,
        inference_fn=generate,
        padding={"input_ids": 0},
        padding_side="left",
    )
    arguments = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    rows = [{"input_ids": ids} for ids in tokens(9)]
    for result in infer(rows, handler, inference_args=arguments):
        ids = result.example["input_ids"]
        mask = torch.ones(1, len(ids), dtype=torch.long)
        expected = model.generate(input_ids=ids[None], attention_mask=mask, **arguments)[0, len(ids) :]
        assert torch.equal(result.inference[-4:], expected)


def test_images_go_through_a_resnet(folder):
    model = save(folder / "resnet", lambda: transformers.ResNetForImageClassification(RESNET), 0)
    images = [torch.rand(3, 32, 32) for _ in range(20)]
    for options in ({}, {"channels_last": True}):
        handler = HuggingFaceModelHandlerTensor(str(folder / "resnet"), "AutoModelForImageClassification", **options)
        found = torch.stack([result.inference["logits"] for result in infer(images, handler)])
        with torch.no_grad():
            torch.testing.assert_close(found, model(torch.stack(images)).logits, atol=1e-5, rtol=1e-4)


def test_arguments_that_the_model_would_ignore_are_refused(folder, language):
    with pytest.raises(ModelFaultError, match=r"takes no argument 'output_hiden_states'.*'output_hidden_states'"):
        list(infer([{"input_ids": tokens(1)[0]}], keyed(folder), inference_args={"output_hiden_states": True}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HuggingFaceModelHandlerTensor("", "AutoModel"), "needs model_uri: a folder, a URL or the name"),
        (lambda: HuggingFaceModelHandlerTensor("x", None), r"model_class must be a class with from_pretrained\(\)"),
        (lambda: HuggingFaceModelHandlerKeyedTensor("x", "AutoModel", "tf"), "framework must be 'pt', got 'tf'"),
        (lambda: HuggingFaceModelHandlerTensor("x", "AutoModel", device="TPU"), "device must be 'CPU', 'GPU'"),
        (lambda: HuggingFaceModelHandlerTensor("x", "AutoModel", precison="bf16"), "Did you mean 'precision'"),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize(
    ("uri", "model_class", "message"),
    [
        ("/no/such/folder", "AutoModel", "The model /no/such/folder does not exist"),
        (
            "nobody/nothing",
            "AutoModel",
            "nobody/nothing is no folder here, and it cannot be fetched from huggingface.co",
        ),
        ("classifier", "AutoModelForMaskedLanguage", "no model class .* Did you mean 'AutoModelForMaskedLM'"),
    ],
)
def test_a_model_that_is_not_there_is_told(folder, classifier, uri, model_class, message):
    place = str(folder / uri) if uri == "classifier" else uri
    with pytest.raises(ModelLoadError, match=message):
        HuggingFaceModelHandlerTensor(place, model_class).load_model()


def test_a_damaged_weights_file_is_told(folder, classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelLoadError, match=r"damaged cannot be loaded for AutoModel: .*deserializing header"):
        HuggingFaceModelHandlerTensor(str(tmp_path / "damaged"), "AutoModel").load_model()


def test_a_head_that_was_never_trained_is_refused(folder, language):
    with pytest.raises(ModelLoadError, match=r"no trained weights for AutoModelForSequenceClassification: classifier"):
        HuggingFaceModelHandlerTensor(str(folder / "language"), "AutoModelForSequenceClassification").load_model()


def test_loading_draws_nothing(folder, classifier, capfd):
    HuggingFaceModelHandlerTensor(str(folder / "classifier"), "AutoModelForSequenceClassification").load_model()
    assert capfd.readouterr() == ("", "")


def test_a_handler_with_the_name_of_a_class_pickles_small():
    assert len(pickle.dumps(HuggingFaceModelHandlerTensor("x", "AutoModel"))) < 1000
