"""How a TensorFlow model is called, by what kind of model it is."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from runinference.errors import ModelLoadError, closest
from runinference.handlers.tensorflow.call import UNNAMED, GraphCall, SignatureCall, TracedCall
from runinference.handlers.tensorflow.load import import_tensorflow
from runinference.prediction import qualified_name

_DEFAULT_SIGNATURE = "serving_default"
_PLACE = "_runinference_calls"
_lock = threading.Lock()


def call_of(model: Any, signature: str | None, source: str) -> GraphCall:
    """How `model` is called.

    What was traced is kept in the model's own `__dict__`, so that it lives exactly as long as the model does.

    Args:
        model: A Keras model, what `tf.saved_model.load` returned, or another callable of tensors.
        signature: The name of a signature of a SavedModel; `None` for its own choice.
        source: Where the model is from, for error messages.

    Raises:
        ModelLoadError: The model cannot be called, or has no such signature.
    """
    with _lock:
        calls = vars(model).setdefault(_PLACE, {})
        if signature not in calls:
            calls[signature] = _make_call(model, signature, source)
        call: GraphCall = calls[signature]
        return call


def _make_call(model: Any, signature: str | None, source: str) -> GraphCall:
    tf = import_tensorflow()
    if isinstance(model, tf.keras.layers.Layer):
        if signature is not None:
            raise ModelLoadError(f"{source} is a Keras model, which has no signature {signature!r}; leave it out")
        return _keras_call(tf, model)
    signatures = getattr(model, "signatures", None)
    if signature is None and _is_callable(model):
        return _restored_call(tf, model) if hasattr(model.__call__, "concrete_functions") else _module_call(model)
    if not signatures:
        raise ModelLoadError(
            f"{source} can be loaded but not run: it is a {qualified_name(type(model))} without a signature. "
            "Save it with one: tf.saved_model.save(model, folder, signatures=…), or model.export(folder) with Keras"
        )
    names = sorted(signatures)
    if signature is None:
        signature = _DEFAULT_SIGNATURE if _DEFAULT_SIGNATURE in names or len(names) > 1 else names[0]
    if signature not in names:
        raise ModelLoadError(
            f"{source} has no signature {signature!r}.{closest(signature, names)} Its signatures: {', '.join(names)}"
        )
    return SignatureCall(signature, signatures[signature])


def _is_callable(model: Any) -> bool:
    if not callable(model) or not hasattr(model.__call__, "concrete_functions"):
        return callable(model)
    # A function that was never called before it was saved comes back without anything to run, and of one that needs
    # several arguments only the signature tells which rows are which.
    parameters = model.__call__.function_type.parameters.values()
    needed = [parameter for parameter in parameters if not parameter.optional]
    return bool(model.__call__.concrete_functions) and len(needed) <= 1


def _keras_call(tf: Any, model: Any) -> TracedCall:
    inputs = getattr(model, "inputs", None)
    parameters = _parameters(model.call)
    if parameters is None and inputs:
        # A model made of layers hands any other argument on to them, and they ignore it.
        parameters = sorted({"training", "mask", *getattr(model, "_call_context_args", ())})
    defaults = {"training": False} if "training" in inspect.signature(model.call).parameters else {}
    # A sequential model has inputs, but not the structure that they are given in.
    structure = getattr(model, "input", inputs[0]) if inputs else None
    specs, pack = _structure(tf, structure)
    return TracedCall(model, specs, pack, parameters, defaults, model.variables)


def _restored_call(tf: Any, model: Any) -> TracedCall:
    function = model.__call__
    taken = [concrete.structured_input_signature[0] for concrete in function.concrete_functions]
    # The same function is there several times, for training and not, and perhaps for several numbers of rows.
    kinds = {repr(_structure(tf, args[0])[0]): args[0] for args in taken if args}
    open_kinds = [kind for kind in kinds.values() if _any_rows(tf, kind)]
    known = open_kinds if len(open_kinds) == 1 else list(kinds.values())
    specs, pack = _structure(tf, known[0] if len(known) == 1 else None)
    variables = {id(v): v for concrete in function.concrete_functions for v in concrete.variables}
    parameters = list(function.function_type.parameters)[1:]
    return TracedCall(model, specs, pack, parameters, {}, list(variables.values()))


def _module_call(model: Any) -> TracedCall:
    function = getattr(model.__call__, "python_function", model.__call__)
    return TracedCall(model, None, _same, _parameters(function), {}, list(getattr(model, "variables", ())))


def _structure(tf: Any, structure: Any) -> tuple[dict[str, Any] | None, Callable[[dict[str, Any]], Any]]:
    """The specs of one tensor, or of a mapping or sequence of them, by name, and what puts tensors in their place."""
    if _is_spec(structure):
        name = str(structure.name or UNNAMED)
        return {name: _as_spec(tf, structure)}, lambda tensors: tensors[name]
    if isinstance(structure, Mapping) and structure and all(map(_is_spec, structure.values())):
        return {str(name): _as_spec(tf, spec) for name, spec in structure.items()}, _same
    if isinstance(structure, (list, tuple)) and structure and all(map(_is_spec, structure)):
        names = [str(spec.name) for spec in structure]
        specs = {name: _as_spec(tf, spec) for name, spec in zip(names, structure, strict=True)}
        return specs, lambda tensors: [tensors[name] for name in names]
    return None, _same


def _same(tensors: dict[str, Any]) -> Any:
    return tensors.get(UNNAMED, tensors)


def _is_spec(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "name")


def _as_spec(tf: Any, spec: Any) -> Any:
    return tf.TensorSpec(spec.shape, spec.dtype)


def _any_rows(tf: Any, structure: Any) -> bool:
    specs = _structure(tf, structure)[0]
    return specs is not None and all(spec.shape.rank and spec.shape[0] is None for spec in specs.values())


def _parameters(function: Callable[..., Any]) -> list[str] | None:
    """The names of the arguments besides the first; `None` where any is taken."""
    parameters = list(inspect.signature(function).parameters.values())
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters[1:] if parameter.kind is not parameter.VAR_POSITIONAL]
