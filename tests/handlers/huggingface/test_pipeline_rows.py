"""Rows that are too long or are nothing for the task, and the arguments of a call."""

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from runinference import HuggingFacePipelineModelHandler, KeyedModelHandler, ModelFaultError, infer
from runinference.handlers.huggingface.pipeline_rows import row_length
from runinference.testing.handler_contract import HandlerContract

from .models import LABELS, POSITIONS, VOCABULARY, texts

LONG = " ".join(["good"] * 100)


def pipeline_handler(task, folder, **arguments):
    return HuggingFacePipelineModelHandler(task, folder, device="cpu", **arguments)


def run(handler, rows, **arguments):
    """The predictions, and the messages of the rows that failed by their position."""
    failures = []
    found = [r.inference for r in infer(rows, handler, on_failure=failures.append, inference_args=arguments or None)]
    return found, {failure.index: f"{failure.error_type}: {failure.message}" for failure in failures}


TEXT_CASES = {
    "text-classification": ("classifier", {}),
    "token-classification": ("entities", {}),
    "zero-shot-classification": ("nli", {"candidate_labels": LABELS}),
    "feature-extraction": ("encoder", {}),
    "fill-mask": ("masked", {}),
}


def long_text(task):
    return f"[MASK] {LONG}" if task == "fill-mask" else LONG


def short_texts(task):
    return [f"{text} [MASK]" for text in texts(4, longest=8)] if task == "fill-mask" else texts(4, longest=8)


@pytest.mark.parametrize("task", TEXT_CASES)
def test_a_text_that_is_too_long_is_cut_off(task, model_folder):
    model, arguments = TEXT_CASES[task]
    handler = pipeline_handler(task, model_folder(model))
    found, failed = run(handler, [*short_texts(task), long_text(task)], **arguments)
    assert failed == {}
    reference = transformers.pipeline(task, model_folder(model), device="cpu")
    # A sequence of 32 tokens begins with [CLS] and ends with [SEP]; zero-shot adds its hypothesis and another [SEP].
    words = POSITIONS - (2 if task != "zero-shot-classification" else 7)
    cut = " ".join(long_text(task).split()[:words])
    expected = reference([cut], **arguments)
    expected = expected[0] if task != "fill-mask" else expected
    if task == "zero-shot-classification":
        expected["sequence"] = LONG
    HandlerContract().assert_same([found[-1]], [expected])


@pytest.mark.parametrize("task", TEXT_CASES)
def test_a_text_that_is_too_long_can_be_set_aside(task, model_folder):
    model, arguments = TEXT_CASES[task]
    handler = pipeline_handler(task, model_folder(model), too_long="set_aside")
    rows = short_texts(task)
    found, failed = run(handler, [*rows[:2], long_text(task), *rows[2:]], **arguments)
    assert len(found) == 4
    assert list(failed) == [2]
    assert f"tokens; the model takes at most {POSITIONS}. too_long='truncate' cuts it off" in failed[2]
    assert "The text has 10" in failed[2]


def test_positions_that_begin_behind_a_padding_index_are_counted(model_folder):
    handler = pipeline_handler("text-classification", model_folder("roberta"))
    assert run(handler, [LONG, "good"])[1] == {}
    handler = pipeline_handler("text-classification", model_folder("roberta"), too_long="set_aside")
    exact = " ".join(["good"] * (POSITIONS - 2))
    assert list(run(handler, [exact, f"{exact} good"])[1]) == [1]


def test_a_tokenizer_that_knows_a_smaller_limit_is_heeded(model_folder, tmp_path):
    for loaded in (transformers.AutoModelForSequenceClassification, transformers.AutoTokenizer):
        loaded.from_pretrained(model_folder("classifier")).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tmp_path, model_max_length=8).save_pretrained(tmp_path)
    handler = pipeline_handler("text-classification", str(tmp_path), too_long="set_aside")
    assert "takes at most 8" in run(handler, ["good", LONG])[1][1]


def test_the_end_of_a_long_text_is_continued(model_folder):
    handler = pipeline_handler("text-generation", model_folder("gpt"))
    arguments = {"do_sample": False, "max_new_tokens": 10, "return_full_text": False}
    end = " ".join(texts(6, seed=5, longest=20)[-1].split()[-4:])
    rows = ["good", f"{LONG} {end}"]
    found, failed = run(handler, rows, **arguments)
    assert failed == {}
    reference = transformers.pipeline("text-generation", model_folder("gpt"), device="cpu")
    kept = " ".join(rows[1].split()[-54:])
    assert found[1] == reference(kept, **arguments)


def test_a_text_without_room_for_what_is_to_be_written_can_be_set_aside(model_folder):
    handler = pipeline_handler("text-generation", model_folder("gpt"), too_long="set_aside")
    rows = [" ".join(["good"] * 54), " ".join(["good"] * 55)]
    found, failed = run(handler, rows, do_sample=False, max_new_tokens=10)
    assert len(found) == 1
    assert "The text has 55 tokens and 10 are to be written; the model takes at most 64" in failed[1]


def test_more_new_words_than_the_model_takes_fail_the_whole(model_folder):
    handler = pipeline_handler("text-generation", model_folder("gpt"))
    with pytest.raises(ModelFaultError, match=r"takes 64 tokens, and 256 new ones.*'max_new_tokens': 20"):
        run(handler, texts(3))


def test_a_total_length_that_leaves_no_room_for_a_text_sets_it_aside(model_folder):
    handler = pipeline_handler("text-generation", model_folder("gpt"))
    found, failed = run(handler, ["good", LONG], do_sample=False, max_length=20)
    assert len(found) == 1
    assert "has 20 tokens or more, and max_length=20 counts these: pass max_new_tokens" in failed[1]
    with pytest.raises(ModelFaultError, match="takes 64 tokens, and 99 new ones"):
        run(handler, ["good"], max_length=100)


def test_long_texts_may_be_split_into_parts(model_folder):
    handler = pipeline_handler("token-classification", model_folder("entities"))
    rows = [" ".join(texts(20, seed=9)), "good", " ".join(texts(9, seed=8))]
    arguments = {"aggregation_strategy": "simple", "stride": 4, "ignore_labels": []}
    found, failed = run(handler, rows, **arguments)
    assert failed == {}
    assert [max(entity["end"] for entity in each) for each in found] == [len(row) for row in rows]
    handler = pipeline_handler("token-classification", model_folder("entities"), too_long="set_aside")
    with pytest.raises(ModelFaultError, match=r"stride splits texts.*needs too_long='truncate'"):
        run(handler, rows, **arguments)


def test_a_word_that_the_model_does_not_know_is_set_aside(model_folder, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder("classifier"))
    tokenizer.add_tokens(["newword"])
    transformers.AutoModelForSequenceClassification.from_pretrained(model_folder("classifier")).save_pretrained(
        tmp_path
    )
    tokenizer.save_pretrained(tmp_path)
    found, failed = run(pipeline_handler("text-classification", str(tmp_path)), ["good", "a newword", "bad"])
    assert len(found) == 2
    count = len(VOCABULARY)
    assert failed[1] == f"runinference.errors.RowError: The token id {count} is not among the model's {count}"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (None, "TypeError: A row must be a text, got NoneType"),
        (3, "TypeError: A row must be a text, got int"),
        (float("nan"), "TypeError: A row must be a text, got float"),
        ("", "runinference.errors.RowError: The text is empty"),
        (" \n", "runinference.errors.RowError: The text is empty"),
        (["good"], "TypeError: A row must be a text, got list"),
        (("good", "bad"), "TypeError: A row must be a text, got tuple"),
        ({"review": "good"}, "TypeError: A row must be a text, or a dict of text and text_pair, got one of review"),
        ({"text": "good", "text_pair": 3}, "TypeError: A row must be a text, got int"),
    ],
)
def test_what_is_no_text_is_set_aside_alone(row, message, model_folder):
    handler = pipeline_handler("text-classification", model_folder("classifier"))
    found, failed = run(handler, [*texts(3), row, *texts(3)])
    assert len(found) == 6
    assert list(failed) == [3]
    assert failed[3].endswith(message)


@pytest.mark.parametrize("row", [None, 3, b"no image", b"", "no-such-file.png", np.zeros((4, 4, 7), np.uint8)])
def test_what_is_no_image_is_set_aside_alone(row, model_folder):
    handler = pipeline_handler("image-classification", model_folder("vit"))
    image = Image.new("RGB", (40, 30), "red")
    found, failed = run(handler, [image, row, image])
    assert len(found) == 2
    assert list(failed) == [1]


@pytest.mark.parametrize("row", [3, {"role": "user"}, [], [{"role": "user"}], ["good"]])
def test_what_is_no_chat_is_set_aside_alone(row, model_folder):
    handler = pipeline_handler("text-generation", model_folder("gpt"))
    _, failed = run(handler, ["good", row, "bad"], max_new_tokens=2)
    assert list(failed) == [1]
    assert "a chat: a list of dicts with role and content" in failed[1]


REFUSED = [
    ("text-classification", "classifier", {"top_n": 2}, "'top_n'.*Did you mean 'top_k'"),
    ("text-classification", "classifier", {"function_to_apply": "cosine"}, "refuses function_to_apply='cosine'"),
    ("fill-mask", "masked", {"topk": 2}, "'topk'.*Did you mean 'top_k'"),
    ("feature-extraction", "encoder", {"pooling": "mean"}, "'pooling'"),
    ("text-generation", "gpt", {"max_new_token": 2}, "'max_new_token'.*Did you mean 'max_new_tokens'"),
    ("zero-shot-classification", "nli", {}, "needs inference_args={'candidate_labels'"),
    ("zero-shot-classification", "nli", {"candidate_labels": LABELS, "multi": True}, "'multi'"),
    ("image-classification", "vit", {"top": 2}, "'top'.*Did you mean 'top_k'"),
    ("image-feature-extraction", "vit_encoder", {"pooled": True}, "'pooled'.*Did you mean 'pool'"),
    ("zero-shot-image-classification", "clip", {"labels": LABELS}, "'labels'"),
    ("audio-classification", "sound", {"topk": 2}, "'topk'.*Did you mean 'top_k'"),
]


@pytest.mark.parametrize(("task", "model", "arguments", "message"), REFUSED)
def test_an_argument_that_a_pipeline_does_not_take_fails_the_whole(task, model, arguments, message, model_folder):
    with pytest.raises(ModelFaultError, match=message):
        run(pipeline_handler(task, model_folder(model)), ["good"] * 3, **arguments)


def test_arguments_of_the_caller_are_left_as_they_are(model_folder):
    handler = pipeline_handler("feature-extraction", model_folder("encoder"))
    arguments = {"tokenize_kwargs": {"add_special_tokens": False}, "truncation": True}
    found, failed = run(handler, ["good bad", LONG], **arguments)
    assert failed == {}
    assert [np.shape(each) for each in found] == [(1, 2, 32), (1, POSITIONS, 32)]
    assert arguments == {"tokenize_kwargs": {"add_special_tokens": False}, "truncation": True}


def test_the_size_of_batches_within_the_pipeline_may_be_given(model_folder):
    handler = pipeline_handler("text-classification", model_folder("classifier"))
    pipeline, calls = handler.load_model(), []
    pipeline.model.register_forward_hook(lambda *_: calls.append(1))
    assert len(list(handler.run_inference(texts(8), pipeline, {"batch_size": 2}))) == 8
    assert len(calls) == 4


def test_labels_may_be_given_with_the_pipeline(model_folder):
    handler = pipeline_handler(
        "zero-shot-image-classification", model_folder("clip"), load_pipeline_args={"candidate_labels": LABELS}
    )
    found, _ = run(handler, [Image.new("RGB", (40, 30), "red")] * 2)
    assert [{each["label"] for each in row} for row in found] == [set(LABELS)] * 2


def test_keyed_rows_may_be_of_many_lengths(model_folder):
    handler = KeyedModelHandler(pipeline_handler("text-classification", model_folder("classifier")))
    rows = texts(40)
    results = list(infer(enumerate(rows), handler))
    assert [(key, result.example) for key, result in results] == list(enumerate(rows))


def test_the_length_of_a_row_is_that_of_its_texts():
    assert row_length("good") == 4
    assert row_length({"text": "good", "text_pair": "bad"}) == 7
    assert row_length([{"role": "user", "content": "good"}]) == 8
    assert row_length(["good", "bad"]) == 7
    assert row_length(np.zeros(30)) == row_length({"raw": np.zeros(30), "sampling_rate": 16000}) == 30
    assert row_length(None) == row_length(3) == row_length([]) == row_length(torch.tensor(1.0)) == 1
    assert row_length(Image.new("RGB", (4, 4))) == row_length({}) == 1


def test_the_bytes_of_a_batch_are_those_of_texts_and_pixels(model_folder):
    handler = pipeline_handler("image-classification", model_folder("vit"))
    assert handler.get_num_bytes([Image.new("RGB", (40, 30)), Image.new("L", (40, 30))]) == 40 * 30 * 4
    assert handler.get_num_bytes([Image.new("F", (10, 10)), {"image": Image.new("RGB", (2, 2))}]) == 412
    assert handler.get_num_bytes([b"12345", "né"]) == 8
