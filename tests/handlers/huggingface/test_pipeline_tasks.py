"""Each task gives a row the same prediction in a batch as transformers give it alone, in one call of the model."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import transformers
from PIL import Image

from runinference import HuggingFacePipelineModelHandler, infer
from runinference.testing.handler_contract import HandlerContract

from .models import LABELS, texts


def pictures(count):
    random = np.random.default_rng(0)
    sizes = random.integers(20, 60, size=(count, 2))
    return [Image.fromarray(random.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sizes]


def sounds(count):
    random = np.random.default_rng(0)
    return [random.normal(size=random.integers(400, 2000)).astype(np.float32) for _ in range(count)]


def masked(count, masks):
    return [" [MASK] ".join([text] * (masks + 1)) for text in texts(count, longest=6)]


PAIRS = [{"text": one, "text_pair": other} for one, other in zip(texts(9, 1, 8), texts(9, 2, 8), strict=True)]
CHATS = [[{"role": "user", "content": text}] for text in texts(9)]
GREEDY = {"do_sample": False, "max_new_tokens": 6}
TEMPLATE = "{% for message in messages %}{{ message['content'] }} . {% endfor %}"

CASES = {
    "classes": ("text-classification", "classifier", texts(17), {}),
    "all classes": ("text-classification", "classifier", texts(17), {"top_k": None}),
    "alias": ("sentiment-analysis", "classifier", texts(5), {}),
    "pairs": ("text-classification", "classifier", PAIRS, {}),
    "classes without padding token": ("text-classification", "gpt_classifier", texts(17), {}),
    "classes by a model without mask": ("text-classification", "fnet", texts(9), {}),
    "tokens": ("token-classification", "entities", texts(17), {}),
    "entities": ("ner", "entities", texts(17), {"aggregation_strategy": "simple"}),
    "words": ("ner", "entities", [text.split() for text in texts(9)], {"is_split_into_words": True}),
    "one mask": ("fill-mask", "masked", masked(9, 1), {}),
    "two masks": ("fill-mask", "masked", masked(9, 2), {"top_k": 2}),
    "targets": ("fill-mask", "masked", masked(9, 1), {"targets": ["good", "bad"]}),
    "zero-shot": ("zero-shot-classification", "nli", texts(9), {"candidate_labels": LABELS}),
    "zero-shot, several": (
        "zero-shot-classification",
        "nli",
        texts(9),
        {"candidate_labels": LABELS[:2], "multi_label": True, "hypothesis_template": "a film of {}"},
    ),
    "features": ("feature-extraction", "encoder", texts(17), {}),
    "features as tensors": ("feature-extraction", "encoder", texts(9), {"return_tensors": True}),
    "features, left to right": ("feature-extraction", "gpt", texts(9), {}),
    "text": ("text-generation", "gpt", texts(9), GREEDY),
    "new text": ("text-generation", "gpt", texts(9), {**GREEDY, "return_full_text": False}),
    "several texts": ("text-generation", "gpt", texts(5), {**GREEDY, "num_beams": 2, "num_return_sequences": 2}),
    "text as ids": ("text-generation", "gpt", texts(5), {**GREEDY, "return_tensors": True}),
    "text up to a length": ("text-generation", "gpt", texts(9), {"do_sample": False, "max_length": 30}),
    "text from a length on": ("text-generation", "gpt", texts(5), {**GREEDY, "max_new_tokens": 20, "min_length": 15}),
    "chats": ("text-generation", "gpt", CHATS, GREEDY),
    "images": ("image-classification", "vit", pictures(9), {}),
    "best of images": ("image-classification", "vit", pictures(9), {"top_k": 1}),
    "image features": ("image-feature-extraction", "vit_encoder", pictures(5), {"pool": True}),
    "image labels": ("zero-shot-image-classification", "clip", pictures(5), {"candidate_labels": LABELS}),
    "sounds": ("audio-classification", "sound", sounds(5), {}),
}
ROW_BY_ROW = {"classes by a model without mask", "text as ids"}


@pytest.fixture
def case(request, model_folder):
    task, model, rows, arguments = CASES[request.param]
    load_args = {}
    if request.param == "chats":
        load_args["tokenizer"] = transformers.AutoTokenizer.from_pretrained(model_folder(model), chat_template=TEMPLATE)
    return task, model_folder(model), rows, arguments, load_args


def alone(case):
    """What the pipeline of transformers returns for each row by itself."""
    task, folder, rows, arguments, load_args = case
    pipeline = transformers.pipeline(task, folder, device="cpu", **load_args)
    found = [pipeline([row] if isinstance(row, list) else row, **arguments) for row in rows]
    if isinstance(rows[0], list):
        return [each[0] for each in found]
    # For a lone text this pipeline wraps its answer once more.
    wrapped = pipeline.task in ("text-classification", "sentiment-analysis") and isinstance(rows[0], str)
    return [each[0] for each in found] if wrapped and "top_k" not in arguments else found


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_a_row_has_the_same_prediction_in_a_batch_as_alone(case):
    task, folder, rows, arguments, load_args = case
    handler = HuggingFacePipelineModelHandler(task, folder, device="cpu", load_pipeline_args=load_args)
    results = list(infer(rows, handler, inference_args=arguments))
    assert all(result.example is row for result, row in zip(results, rows, strict=True))
    HandlerContract().assert_same([result.inference for result in results], alone(case))


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"chats", "text up to a length", "text from a length on"}))
def test_the_model_is_called_for_a_batch_and_not_for_a_row(name, model_folder):
    task, model, rows, arguments = CASES[name]
    handler = HuggingFacePipelineModelHandler(task, model_folder(model), device="cpu")
    pipeline = handler.load_model()
    calls = []
    pipeline.model.register_forward_hook(lambda *_: calls.append(1))
    if task == "text-generation":
        arguments = {**arguments, "min_new_tokens": 6}
    assert len(list(handler.run_inference(rows, pipeline, arguments))) == len(rows)
    # Each new word is a call, and so is each label to choose from.
    each = {"text-generation": 6, "zero-shot-classification": len(arguments.get("candidate_labels", ()))}.get(task, 1)
    assert len(calls) == each * (len(rows) if name in ROW_BY_ROW else 1)


def test_one_row_is_one_prediction_for_every_task(model_folder):
    for task, model, rows, arguments in CASES.values():
        if rows is CHATS:
            continue
        handler = HuggingFacePipelineModelHandler(task, model_folder(model), device="cpu")
        assert len(list(handler.run_inference(rows[:1], handler.load_model(), arguments))) == 1


def test_texts_of_like_length_are_run_together(model_folder):
    handler = HuggingFacePipelineModelHandler("text-classification", model_folder("classifier"), device="cpu")
    handler = handler.with_options(min_batch_size=8, max_batch_size=8)
    pipeline = handler.load_model()
    shapes = []
    pipeline.model.register_forward_hook(
        lambda _, __, inputs, ___: shapes.append(inputs["input_ids"].shape), with_kwargs=True
    )
    handler.load_model = lambda: pipeline
    rows = ["good", " ".join(["good"] * 25)] * 32
    assert len(list(infer(rows, handler))) == 64
    assert {tuple(shape) for shape in shapes} == {(8, 3), (8, 27)}


@pytest.mark.parametrize("kind", ["bytes", "path", "Path", "array"])
def test_an_image_may_be_given_in_any_form(kind, model_folder, tmp_path):
    images = pictures(5)
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    paths = sorted(tmp_path.glob("*.png"))
    rows = {
        "bytes": [path.read_bytes() for path in paths],
        "path": [str(path) for path in paths],
        "Path": paths,
        "array": [np.asarray(image) for image in images],
    }[kind]
    handler = HuggingFacePipelineModelHandler("image-classification", model_folder("vit"), device="cpu")
    found = [result.inference for result in infer(rows, handler)]
    expected = [result.inference for result in infer(images, handler)]
    HandlerContract().assert_same(found, expected)


def test_a_single_message_is_a_chat_of_its_own(model_folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder("gpt"), chat_template=TEMPLATE)
    handler = HuggingFacePipelineModelHandler(
        "text-generation", model_folder("gpt"), device="cpu", load_pipeline_args={"tokenizer": tokenizer}
    )
    results = list(infer([chat[0] for chat in CHATS], handler, inference_args=GREEDY))
    whole = list(infer(CHATS, handler, inference_args=GREEDY))
    assert [result.inference for result in results] == [result.inference for result in whole]
    assert tokenizer.pad_token is None  # That of the caller is left as it is.


def test_several_threads_may_use_one_pipeline(model_folder):
    handler = HuggingFacePipelineModelHandler("text-classification", model_folder("classifier"), device="cpu")
    pipeline, rows = handler.load_model(), texts(24)

    def run(longest):
        results = handler.run_inference(rows, pipeline, {"max_length": longest})
        return [result.inference for result in results]

    lengths = [3, 6, 9, 12] * 4
    expected = [run(longest) for longest in lengths]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(run, lengths)) == expected
    finally:
        sys.setswitchinterval(before)


def test_a_tensor_does_not_carry_its_batch(model_folder):
    handler = HuggingFacePipelineModelHandler("image-feature-extraction", model_folder("vit_encoder"), device="cpu")
    results = list(handler.run_inference(pictures(4), handler.load_model(), {"return_tensors": True}))
    assert all(r.inference.untyped_storage().nbytes() == r.inference.nbytes for r in results)
