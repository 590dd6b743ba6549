"""Several copies of a model of transformers at the same time: texts, tensors and pipelines."""

import pytest
import torch
import transformers

from runinference import (
    ConfigurationError,
    HuggingFaceEmbeddingModelHandler,
    HuggingFaceModelHandlerKeyedTensor,
    HuggingFaceModelHandlerTensor,
    HuggingFacePipelineModelHandler,
    HuggingFaceTextModelHandler,
    infer,
)
from runinference.testing.handler_contract import HandlerContract

from .models import LABELS, texts

CLASSIFIER = "AutoModelForSequenceClassification"
TASK = "text-classification"
GREEDY = {"max_new_tokens": 4, "do_sample": False}


def alone(handler, rows, arguments=None):
    """What one model predicts for each row by itself."""
    model = handler.load_model()
    return [next(iter(handler.run_inference([row], model, arguments))).inference for row in rows]


def assert_rounds(found, expected):
    for rounds, predictions in zip(found, expected, strict=True):
        for each in rounds:
            HandlerContract().assert_same(each, predictions)


def test_two_copies_tokenize_and_run_texts_at_the_same_time(model_folder, side_by_side):
    handler = HuggingFaceTextModelHandler(model_folder("classifier"), CLASSIFIER)
    batches = [texts(8, seed=1), [*texts(3, seed=2), "good " * 100]]  # The last one is cut off.
    assert_rounds(side_by_side(handler, batches), [alone(handler, rows) for rows in batches])


def test_two_copies_make_vectors_of_texts_at_the_same_time(model_folder, side_by_side):
    handler = HuggingFaceEmbeddingModelHandler(model_folder("encoder"), normalize=True)
    batches = [texts(8, seed=1), texts(5, seed=2)]
    assert_rounds(side_by_side(handler, batches), [alone(handler, rows) for rows in batches])


def test_two_copies_run_tensors_of_several_lengths_at_the_same_time(model_folder, side_by_side):
    folder = model_folder("classifier")
    ids = [[torch.arange(5, 5 + length) for length in lengths] for lengths in ([3, 7, 4], [9, 2])]
    handler = HuggingFaceModelHandlerTensor(folder, CLASSIFIER)
    assert_rounds(side_by_side(handler, ids), [alone(handler, rows) for rows in ids])
    named = [[{"input_ids": row} for row in rows] for rows in ids]
    handler = HuggingFaceModelHandlerKeyedTensor(folder, CLASSIFIER)
    assert_rounds(side_by_side(handler, named), [alone(handler, rows) for rows in named])


PIPELINES = {
    "text-classification": ("classifier", [{"top_k": None}, {"max_length": 5, "top_k": 1}]),
    "token-classification": ("entities", [{}, {"aggregation_strategy": "simple"}]),
    "zero-shot-classification": ("nli", [{"candidate_labels": LABELS}, {"candidate_labels": LABELS[:2]}]),
    "text-generation": ("gpt", [GREEDY, {**GREEDY, "max_new_tokens": 7}]),
}


@pytest.mark.parametrize("task", PIPELINES)
def test_two_copies_of_a_pipeline_run_with_arguments_of_their_own(task, model_folder, side_by_side):
    model, arguments = PIPELINES[task]
    handler = HuggingFacePipelineModelHandler(task, model_folder(model), device="cpu")
    batches = [texts(6, seed=1), texts(4, seed=2)]
    expected = [alone(handler, rows, given) for rows, given in zip(batches, arguments, strict=True)]
    assert_rounds(side_by_side(handler, batches, arguments, times=8), expected)


def test_what_a_pipeline_is_given_to_load_with_is_copied_for_each(model_folder):
    folder = model_folder("vit")
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    handler = HuggingFacePipelineModelHandler(
        "image-classification", folder, devices=["cpu", "cpu"], load_pipeline_args={"image_processor": processor}
    )
    pipelines = [handler.for_copy(number, 2).load_model() for number in range(2)]
    assert len({id(processor), *(id(pipeline.image_processor) for pipeline in pipelines)}) == 3


def test_two_copies_with_a_tokenizer_of_the_caller_run_at_the_same_time(model_folder, side_by_side):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder("classifier"))
    given = {"load_pipeline_args": {"tokenizer": tokenizer}}
    handler = HuggingFacePipelineModelHandler(TASK, model_folder("classifier"), device="cpu", **given)
    batches, arguments = [texts(6, seed=1), texts(6, seed=2)], [{"max_length": 4}, {"max_length": 9}]
    expected = [alone(handler, rows, each) for rows, each in zip(batches, arguments, strict=True)]
    assert_rounds(side_by_side(handler, batches, arguments), expected)


@pytest.mark.parametrize(
    ("kind", "model", "arguments"),
    [
        (HuggingFaceTextModelHandler, "classifier", [CLASSIFIER]),
        (HuggingFaceEmbeddingModelHandler, "encoder", []),
    ],
)
def test_an_engine_with_two_copies_predicts_what_one_does(kind, model, arguments, model_folder):
    rows = texts(60)
    handler = kind(model_folder(model), *arguments, devices=["cpu", "cpu"])
    found = [result.inference for result in infer(rows, handler)]
    HandlerContract().assert_same(found, alone(handler, rows))


def test_an_engine_with_two_pipelines_predicts_what_one_does(model_folder):
    rows = texts(60)
    handler = HuggingFacePipelineModelHandler(TASK, model_folder("classifier"), devices=["cpu", -1])
    assert handler.model_copies() == 2
    found = [result.inference for result in infer(rows, handler)]
    HandlerContract().assert_same(found, alone(handler, rows))


def test_the_pipeline_of_each_copy_is_on_its_device(model_folder):
    handler = HuggingFacePipelineModelHandler(TASK, model_folder("classifier"), devices=["cpu:0", "cpu:1"])
    found = [str(handler.for_copy(number, 4).load_model().device) for number in range(4)]
    assert found == ["cpu:0", "cpu:1"] * 2


def test_numbers_of_gpus_may_be_given_too():
    handler = HuggingFacePipelineModelHandler(TASK, "m", devices=[0, 1, torch.device("cuda:2")])
    assert [handler.for_copy(number, 3)._device for number in range(3)] == ["gpu", "cuda:1", "cuda:2"]


@pytest.mark.parametrize("given", [{"device": -1}, {"device_map": "auto"}])
def test_devices_and_a_device_among_the_arguments_for_loading_are_refused(given):
    with pytest.raises(ConfigurationError, match=f"device is given twice; leave out {next(iter(given))}"):
        HuggingFacePipelineModelHandler(TASK, "m", devices=["cpu", "cpu"], load_pipeline_args=given)


def test_copies_of_a_pipeline_share_the_cores(model_folder, monkeypatch, side_by_side):
    monkeypatch.setattr("runinference.handlers.copies.available_cores", lambda: 8)
    torch.set_num_threads(8)  # Put back after each test.

    def count(batch, pipeline, inference_args):
        return [torch.get_num_threads()] * len(batch)

    handler = HuggingFacePipelineModelHandler(TASK, model_folder("classifier"), device="cpu", inference_fn=count)
    assert side_by_side(handler, [["text"], ["text"]], times=2) == [[[4], [4]], [[4], [4]]]
    assert torch.get_num_threads() == 8
