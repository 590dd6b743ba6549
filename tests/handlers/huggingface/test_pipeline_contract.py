"""The handler for pipelines keeps the contract of handlers."""

import pytest
import transformers

from runinference import HuggingFacePipelineModelHandler
from runinference.testing.handler_contract import HandlerContract

from .models import texts


class TestTextClassification(HandlerContract):
    """Texts to a label and its score."""

    @pytest.fixture(autouse=True)
    def folder(self, model_folder):
        self.path, self.other = model_folder("classifier"), model_folder("other_classifier")

    def handler(self, **options):
        return HuggingFacePipelineModelHandler("text-classification", self.path, device="cpu", **options)

    def examples(self, count):
        return texts(count, seed=3)

    def expected(self, examples):
        return self.alone(self.path, examples)

    def alone(self, path, examples, **arguments):
        pipeline = transformers.pipeline("text-classification", path, device="cpu")
        return pipeline(list(examples), batch_size=1, **arguments)

    def honoured_args(self):
        return {"top_k": 2}, self.alone(self.path, self.examples(3), top_k=2)

    def other_model(self):
        return self.other, self.alone(self.other, self.examples(3))

    def package(self):
        return "transformers", "huggingface"

    def bytes_of(self, example):
        return len(example)

    def model_bytes(self):
        pipeline = transformers.pipeline("text-classification", self.path, device="cpu")
        return 4 * sum(parameter.numel() for parameter in pipeline.model.parameters())


class TestOwnFunction(TestTextClassification):
    """With an `inference_fn`, which is given a list, the pipeline and the arguments."""

    def handler(self, **options):
        return super().handler(inference_fn=by_hand, **options)

    def honoured_args(self):
        return {"top_k": 2}, self.alone(self.path, self.examples(3), top_k=2)

    def refused_args(self):
        pytest.skip("the function takes what it likes")


def by_hand(batch, pipeline, inference_args):
    assert type(batch) is list
    return pipeline(batch, batch_size=len(batch), **inference_args)
