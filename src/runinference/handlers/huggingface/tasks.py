"""The tasks that pipelines of transformers are made for."""

from __future__ import annotations

import enum


class PipelineTask(enum.StrEnum):
    """The name of a task, as `HuggingFacePipelineModelHandler` takes it; the text itself does as well.

    Which of them can be run depends on the installed version of transformers: version 5 has given up some that earlier
    ones had, such as `QuestionAnswering` and `Summarization`, and says so when the pipeline is loaded.
    """

    AnyToAny = "any-to-any"
    AudioClassification = "audio-classification"
    AutomaticSpeechRecognition = "automatic-speech-recognition"
    Conversational = "conversational"
    Decision = "decision"
    DepthEstimation = "depth-estimation"
    DocumentQuestionAnswering = "document-question-answering"
    FeatureExtraction = "feature-extraction"
    FillMask = "fill-mask"
    ImageClassification = "image-classification"
    ImageFeatureExtraction = "image-feature-extraction"
    ImageSegmentation = "image-segmentation"
    ImageTextToText = "image-text-to-text"
    ImageToImage = "image-to-image"
    ImageToText = "image-to-text"
    KeypointMatching = "keypoint-matching"
    MaskGeneration = "mask-generation"
    NER = "ner"
    ObjectDetection = "object-detection"
    QuestionAnswering = "question-answering"
    SentimentAnalysis = "sentiment-analysis"
    Summarization = "summarization"
    TableQuestionAnswering = "table-question-answering"
    Text2TextGeneration = "text2text-generation"
    TextClassification = "text-classification"
    TextGeneration = "text-generation"
    TextToAudio = "text-to-audio"
    TextToSpeech = "text-to-speech"
    TokenClassification = "token-classification"
    Translation = "translation"
    Translation_XX_to_YY = "translation_XX_to_YY"
    VQA = "vqa"
    VideoClassification = "video-classification"
    VisualQuestionAnswering = "visual-question-answering"
    ZeroShotAudioClassification = "zero-shot-audio-classification"
    ZeroShotClassification = "zero-shot-classification"
    ZeroShotImageClassification = "zero-shot-image-classification"
    ZeroShotObjectDetection = "zero-shot-object-detection"


_OTHER_NAMES = {
    "ner": "token-classification",
    "sentiment-analysis": "text-classification",
    "text-to-speech": "text-to-audio",
}

TEXT_TASKS = frozenset(
    {
        "feature-extraction",
        "fill-mask",
        "text-classification",
        "text-generation",
        "token-classification",
        "zero-shot-classification",
    }
)
"""Tasks whose rows are texts that may be too long for the model."""

IMAGE_TASKS = frozenset(
    {
        "depth-estimation",
        "image-classification",
        "image-feature-extraction",
        "image-segmentation",
        "mask-generation",
        "object-detection",
        "zero-shot-image-classification",
    }
)
"""Tasks whose rows are images."""

BATCHED_TASKS = frozenset(
    {
        *TEXT_TASKS,
        "audio-classification",
        "image-classification",
        "image-feature-extraction",
        "zero-shot-image-classification",
    }
)
"""Tasks that give a row the same prediction in a batch as alone; pipelines for others run row by row."""


def task_name(task: PipelineTask | str) -> str:
    """The name of a task as transformers have it; of several names the one that says more."""
    text = task.value if isinstance(task, PipelineTask) else str(task)
    return _OTHER_NAMES.get(text, text)


def instead_of(task: str) -> str:
    """What to do where transformers have given up a task."""
    if task in ("visual-question-answering", "vqa", "image-to-text"):
        return "image-text-to-text does this now, with a model that understands images and text"
    if task == "image-to-image":
        return "The package diffusers does this now"
    return "text-generation does this now, with a model that follows instructions; earlier versions still have it"
