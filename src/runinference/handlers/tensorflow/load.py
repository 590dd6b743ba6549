"""TensorFlow models out of their files: SavedModel folders, Keras files, and weights for a model made by a function."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runinference.errors import MissingDependencyError, ModelLoadError, closest
from runinference.models.files import local_model
from runinference.packages import require
from runinference.prediction import qualified_name

_KERAS_FILES = (".keras", ".h5", ".hdf5")
_HUB = ("https://tfhub.dev/", "http://tfhub.dev/", "https://www.kaggle.com/models/")


def import_tensorflow() -> Any:
    """TensorFlow, without most of what it writes to standard error when it starts.

    Raises:
        MissingDependencyError: It is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return require("tensorflow", "tensorflow", "run TensorFlow models")


def load_saved(uri: str, load_model_args: Mapping[str, Any]) -> Any:
    """The model of a SavedModel folder or of a Keras file (.keras, .h5).

    Args:
        uri: Path or URL.
        load_model_args: Keyword arguments for `tf.saved_model.load`, or for `keras.models.load_model`.

    Raises:
        ModelLoadError: There is no such model, it is damaged, or an argument cannot work.
    """
    tf = import_tensorflow()
    if uri.startswith(_HUB):
        raise ModelLoadError(
            f"{uri} is a page of a model hub, not a model. Download the model, and pass the folder of its SavedModel"
        )
    path = local_model(uri)
    if os.path.isdir(path):
        _check_folder(uri, path)
        load, arguments = tf.saved_model.load, dict(load_model_args)
    elif path.lower().endswith(_KERAS_FILES):
        load, arguments = tf.keras.models.load_model, {"compile": False, **load_model_args}
    else:
        raise ModelLoadError(
            f"{uri} is not a TensorFlow model: it must be the folder of a SavedModel or a file that ends in "
            f"{', '.join(_KERAS_FILES)}. Weights alone need ModelType.SAVED_WEIGHTS and create_model_fn"
        )
    known = list(inspect.signature(load).parameters)[1:]
    for name in arguments:
        if name not in known:
            raise ModelLoadError(
                f"{uri} cannot be loaded with the argument {name!r} of load_model_args.{closest(name, known)} "
                f"{load.__name__}() of {load.__module__.partition('.')[0]} takes: {', '.join(known)}"
            )
    return _read(uri, lambda: load(path, **arguments))


def load_weights(uri: str, create_model: Callable[[], Any]) -> Any:
    """The model that `create_model` makes, with the weights of a file or checkpoint.

    Raises:
        ModelLoadError: A weight of the model is missing or has another shape there, or the model has none yet.
    """
    import_tensorflow()
    model = create_model()
    read_weights(model, uri)
    return model


def read_weights(model: Any, uri: str) -> None:
    """Puts the weights of a `.weights.h5` file, another Keras file, or a checkpoint into a model.

    Raises:
        ModelLoadError: A weight of the model is missing or has another shape there, or the model has none yet.
    """
    tf = import_tensorflow()
    if not getattr(model, "variables", None):
        raise ModelLoadError(
            f"The weights of {uri} have no place to go: the {qualified_name(type(model))} that create_model_fn made "
            "has no variables. Give a Keras model its input shape: keras.Input, or model.build((None, …))"
        )
    if not uri.lower().endswith(_KERAS_FILES):
        prefix = _checkpoint_prefix(tf, uri)
        _read(uri, lambda: _restore(tf, model, prefix))
    elif not hasattr(model, "load_weights"):
        raise ModelLoadError(f"{uri} holds weights of Keras, but the model is a {qualified_name(type(model))}")
    else:
        path = local_model(uri)
        _read(uri, lambda: model.load_weights(path))


def _restore(tf: Any, model: Any, prefix: str) -> None:
    first: Exception | None = None
    # Either the model itself was the root of the checkpoint, or its attribute `model`.
    for root in ({"root": model}, {"model": model}):
        status = tf.train.Checkpoint(**root).read(prefix)
        try:
            status.assert_existing_objects_matched()
        except AssertionError as error:
            first = first or error
        else:
            return
        finally:
            status.expect_partial()
    assert first is not None
    raise first


def _checkpoint_prefix(tf: Any, uri: str) -> str:
    if "://" not in uri and not os.path.isdir(uri):
        return local_model(f"{uri}.index").removesuffix(".index")
    # The files of a checkpoint must lie side by side, so of one behind a URL its folder is fetched.
    folder, _, name = uri.rpartition("/")
    if os.path.isdir(uri):
        prefix = tf.train.latest_checkpoint(uri)
        if prefix is None:
            raise ModelLoadError(f"The folder {uri} holds no checkpoint; {_content(uri)}")
        return str(prefix)
    return str(Path(local_model(folder)) / name)


def _check_folder(uri: str, path: str) -> None:
    names = ("saved_model.pb", "saved_model.pbtxt")
    if any(os.path.exists(os.path.join(path, name)) for name in names):
        return
    inner = sorted({str(found.parent.relative_to(path)) for name in names for found in Path(path).glob(f"*/{name}")})
    hint = f" Did you mean {uri.rstrip('/')}/{inner[-1]}?" if inner else ""
    raise ModelLoadError(f"The folder {uri} is not a SavedModel: it has no saved_model.pb;{hint} {_content(path)}")


def _content(folder: str) -> str:
    names = sorted(os.listdir(folder))
    return f"it holds {', '.join(names[:10])}{', …' if len(names) > 10 else ''}" if names else "it is empty"


def _read(uri: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (ModelLoadError, MissingDependencyError, MemoryError):
        raise
    except Exception as error:
        if "safe_mode" in str(error) or "unsafe" in str(error):
            raise ModelLoadError(
                f"{uri} holds code, such as a Lambda layer, which would run with your rights when the model is loaded "
                "or run. If you trust whoever made the file, pass load_model_args={'safe_mode': False} "
                f"({qualified_name(type(error))}: {error})"
            ) from error
        raise ModelLoadError(
            f"{uri} cannot be loaded ({qualified_name(type(error))}: {error}). Is it damaged, or of another model?"
        ) from error
