"""A ResNet over a folder of photos: `runinference run examples/photos/handler.py:handler PHOTOS OUTPUT`."""

from transformers import ResNetConfig, ResNetForImageClassification

from runinference import ImagePreprocessor, PytorchModelHandlerTensor

config = ResNetConfig.from_pretrained("demo/resnet")


def best(outputs, _inputs):
    """The likeliest class of each image, found where the model runs."""
    scores = outputs["logits"].softmax(dim=1).max(dim=1)
    return {"label": scores.indices, "score": scores.values}


def with_name(result):
    """The prediction with the name of the class in place of its number."""
    number = result.inference["label"].item()
    return result._replace(inference={**result.inference, "label": config.id2label[number]})


handler = (
    PytorchModelHandlerTensor(
        "demo/resnet/model.safetensors",
        ResNetForImageClassification,
        {"config": config},
        device="auto",
        output_fn=best,
    )
    .with_preprocess_fn(ImagePreprocessor())
    .with_postprocess_fn(with_name)
)
