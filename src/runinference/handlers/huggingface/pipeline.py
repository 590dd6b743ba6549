"""The handler for pipelines of transformers: a task, a model for it, and everything around the model."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from runinference.errors import ConfigurationError
from runinference.handlers.huggingface.pipeline_rows import row_bytes, row_length
from runinference.handlers.huggingface.tasks import IMAGE_TASKS, TEXT_TASKS, PipelineTask, task_name
from runinference.handlers.pytorch.copies import TorchCopies
from runinference.handlers.pytorch.options import Precision
from runinference.handlers.results import make_results, results_of_own_function
from runinference.options import HandlerOptions, check_options
from runinference.packages import require
from runinference.prediction import PredictionResult

if TYPE_CHECKING:
    from runinference.handlers.huggingface.pipeline_run import Runner

TooLong = Literal["truncate", "set_aside"]

_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


class HuggingFacePipelineModelHandler(TorchCopies):
    """Runs a pipeline of transformers, which goes from a text, image or sound to labels, texts or boxes.

    ```python
    handler = HuggingFacePipelineModelHandler("text-classification", "distilbert-base-uncased-finetuned-sst-2-english")
    ```

    Each example is what the pipeline takes one of: a text, a chat, an image (a file's bytes, its path, a Pillow image
    or an array), a dict of these. Texts of like length are run together, and a prediction is the same as for the row
    alone. The prediction is what `pipeline([example])` returns as the only entry of its list. `inference_args` are
    keyword arguments of that call, such as `{"top_k": None}` or `{"max_new_tokens": 20}`.

    Args:
        task: What the pipeline does; it may be left out where the hub tells the task of the model.
        model: A folder, a URL that fsspec knows, or the name of a model on the hub; without it, transformers choose
            one for the task.
        device: `CPU`, `GPU`, a name of PyTorch's such as `cuda:1`, a number of a GPU, or a `torch.device`; it must be
            there when the model is loaded. By default a GPU where there is one.
        devices: Run copies of the pipeline on several devices: a list such as `["cuda:0", "cuda:1"]`, or `all` for
            every GPU that is there when the engine is made. Copy i of `model_copies` runs on device i, and beyond the
            last device from the first one on again; without `model_copies` there is one for each. In place of `device`.
        inference_fn: How the pipeline is run: `inference_fn(batch, pipeline, inference_args)`, to return one
            prediction for each example of the list.
        load_pipeline_args: Further arguments of `transformers.pipeline`.
        precision: `fp32`, `bf16` or `fp16`; by default as the model was saved.
        too_long: What happens to a text that is too long for the model: `truncate` (default), or `set_aside` as a
            failure. Of a text that is to be continued, the end is kept.
        **options: See [HandlerOptions][runinference.options.HandlerOptions].

    Raises:
        ConfigurationError: An argument cannot work.
    """

    _not_shared = ("_load_args",)

    def __init__(
        self,
        task: PipelineTask | str = "",
        model: str | os.PathLike[str] = "",
        *,
        device: Any = None,
        devices: Sequence[Any] | Literal["all"] | None = None,
        inference_fn: Callable[..., Any] | None = None,
        load_pipeline_args: Mapping[str, Any] | None = None,
        precision: Precision | None = None,
        too_long: TooLong | None = None,
        **options: Unpack[HandlerOptions],
    ) -> None:
        name = type(self).__name__
        self._task = task_name(task or "")
        self._model = _checked_model(name, model)
        if not self._task and not self._model:
            raise ConfigurationError(f"{name} needs task, model or both, such as 'text-classification' and a folder")
        if inference_fn is not None and not callable(inference_fn):
            raise ConfigurationError(f"{name}: inference_fn must be a function, got {inference_fn!r}")
        self._inference_fn = inference_fn
        self._too_long = _checked_too_long(name, too_long, self._task, inference_fn)
        self._options = check_options(
            name, _with_length(options, self._task), more=("devices", "precision", "too_long")
        )
        self._load_args = _checked_load_args(name, load_pipeline_args or {}, precision)
        own = _take_device(name, self._load_args, device if devices is None else devices)
        if self._load_args.get("device_map") is None:
            self._place(_of_number(own if device is None else device), _of_numbers(devices), default="auto")

    def load_model(self) -> Any:
        """Loads the pipeline and puts its model on the device.

        Raises:
            ModelLoadError: The model is missing, damaged or made for another task, or the device is not there.
            MissingDependencyError: A package is not installed.
        """
        for package in ("torch", "transformers"):
            require(package, "huggingface", f"run {type(self).__name__}")
        from runinference.handlers.huggingface.pipeline_load import load_pipeline
        from runinference.handlers.huggingface.pipeline_prepare import make_ready

        device = self._device if self._load_args.get("device_map") is None else None
        pipeline = load_pipeline(self._task, self._model, device, self._load_args)
        return make_ready(pipeline, self._too_long, own_tokenizer="tokenizer" not in self._load_args)

    def run_inference(
        self, batch: Sequence[Any], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Predicts for a batch.

        Args:
            batch: One example for each row.
            model: The loaded pipeline.
            inference_args: Keyword arguments for the call of the pipeline.

        Returns:
            One result for each row.

        Raises:
            ModelFaultError: The pipeline does not take one of the `inference_args`.
        """
        self._use_threads()
        if self._inference_fn is None:
            predictions = self._runner(model).run(model, batch, inference_args or {})
            return make_results(batch, predictions, self.get_model_id())
        outputs = self._inference_fn(list(batch), model, dict(inference_args or {}))
        return results_of_own_function(batch, outputs, self.get_model_id())

    def _runner(self, model: Any) -> Runner:
        from runinference.handlers.huggingface.pipeline_run import Runner

        runner = _RUNNERS.get(model)
        if runner is None:
            runner = _RUNNERS.setdefault(model, Runner(model, self._too_long))
        return runner

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        """The bytes of texts, of files and of the pixels of images."""
        return sum(map(row_bytes, batch))

    def get_model_bytes(self, model: Any) -> int:
        """The bytes of the parameters and buffers, wherever they are."""
        from runinference.handlers.pytorch.prepare import model_bytes

        return model_bytes(model.model)

    def get_model_id(self) -> str:
        """Where the model is loaded from; the task, where only that is given."""
        return self._model or self._task

    def get_metrics_namespace(self) -> str:
        """`BeamML_HuggingFacePipelineModelHandler`, as dashboards know it."""
        return "BeamML_HuggingFacePipelineModelHandler"

    def update_model_path(self, model_path: str | None = None) -> None:
        """Makes the next `load_model` load the model, and what comes with it, from `model_path`."""
        self._model = self._model if model_path is None else str(model_path)


# What belongs to a loaded pipeline lives as long as that.
_RUNNERS: weakref.WeakKeyDictionary[Any, Runner] = weakref.WeakKeyDictionary()


def _checked_model(owner: str, model: Any) -> str:
    if not isinstance(model, (str, os.PathLike, type(None))):
        raise ConfigurationError(
            f"{owner}: model must be a folder, a URL or the name of a model on the hub, got {type(model).__name__}"
        )
    return os.fspath(model) if model else ""


def _checked_too_long(owner: str, too_long: Any, task: str, inference_fn: Any) -> TooLong:
    if too_long not in (None, "truncate", "set_aside"):
        raise ConfigurationError(f"{owner}: too_long must be one of truncate, set_aside, got {too_long!r}")
    if too_long is not None and inference_fn is not None:
        raise ConfigurationError(f"{owner}: too_long has no effect with an inference_fn of your own")
    if too_long is not None and task and task not in TEXT_TASKS:
        raise ConfigurationError(f"{owner}: too_long has no effect for {task}, whose rows are not texts alone")
    return cast(TooLong, too_long or "truncate")


def _checked_load_args(owner: str, given: Mapping[str, Any], precision: Any) -> dict[str, Any]:
    """The arguments of `transformers.pipeline`."""
    arguments = dict(given)
    for name in ("task", "model"):
        if name in arguments:
            raise ConfigurationError(f"{owner}: {name} is an argument of its own, not one of load_pipeline_args")
    # Pipelines written for earlier versions say that they run on PyTorch.
    if arguments.pop("framework", "pt") != "pt":
        raise ConfigurationError(f"{owner}: framework must be 'pt', got {given['framework']!r}; there is no other")
    if precision is not None:
        if precision not in _DTYPES:
            raise ConfigurationError(f"{owner}: precision must be one of {', '.join(_DTYPES)}, got {precision!r}")
        if "dtype" in arguments or "torch_dtype" in arguments:
            raise ConfigurationError(f"{owner}: give either precision or the dtype in load_pipeline_args, not both")
        arguments["dtype"] = _DTYPES[precision]
    return arguments


def _take_device(owner: str, arguments: dict[str, Any], given: Any) -> Any:
    """Takes the device out of the arguments of `transformers.pipeline`, which are not to say it besides `given`."""
    places = [name for name in ("device", "device_map") if arguments.get(name) is not None]
    if places and (given is not None or len(places) > 1):
        raise ConfigurationError(f"{owner}: the device is given twice; leave out {places[0]} in load_pipeline_args")
    return arguments.pop("device", None)


def _of_number(device: Any) -> Any:
    """A device that transformers know by a number; -1 stands for the CPU."""
    if not isinstance(device, int) or isinstance(device, bool):
        return device
    return "cpu" if device < 0 else "gpu" if device == 0 else f"cuda:{device}"


def _of_numbers(devices: Any) -> Any:
    return list(map(_of_number, devices)) if isinstance(devices, (list, tuple)) else devices


def _with_length(options: HandlerOptions, task: str) -> HandlerOptions:
    if task in IMAGE_TASKS or options.get("element_size_fn") is not None or "batch_length_fn" in options:
        return options
    return cast(HandlerOptions, {**options, "batch_length_fn": row_length})
