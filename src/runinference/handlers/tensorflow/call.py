"""One call of a TensorFlow model for a batch of any size, through a graph that is traced once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runinference.errors import ModelFaultError, closest
from runinference.handlers.tensorflow.load import import_tensorflow
from runinference.prediction import qualified_name

UNNAMED = ""
"""The name of the input of a model that does not tell its inputs and is given one array."""


class GraphCall:
    """Runs a model on tensors.

    Args:
        variables: The variables of the model.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self.variables = list(variables)

    def inputs(self, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """The inputs that rows must fill, each a `TensorSpec` by its name; `None` where only the rows tell.

        Args:
            arguments: Arguments of the call, which may fill some inputs.

        Raises:
            ModelFaultError: The model cannot take one of them.
        """
        raise NotImplementedError

    def __call__(self, tensors: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
        """What the model returns for a batch: a tensor, or tensors in a mapping, list or tuple.

        Args:
            tensors: For each input a tensor of shape (rows, …).
            arguments: Keyword arguments that are the same for all rows.
        """
        raise NotImplementedError


class SignatureCall(GraphCall):
    """A signature of a SavedModel, which is a graph already."""

    def __init__(self, name: str, function: Any) -> None:
        super().__init__(function.variables)
        self._name = name
        self._function = function
        self._specs = dict(sorted(function.structured_input_signature[1].items()))

    def inputs(self, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `GraphCall.inputs`."""
        _check_arguments(f"The signature {self._name!r}", arguments, self._specs)
        rows = {name: spec for name, spec in self._specs.items() if name not in arguments}
        for name, spec in rows.items():
            if spec.shape.rank == 0:
                raise ModelFaultError(
                    f"The input {name!r} of the signature {self._name!r} is one value for all rows; "
                    f"give it in inference_args"
                )
        return rows

    def __call__(self, tensors: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
        """The only output, or a dict of them by name."""
        tf = import_tensorflow()
        others = {name: tf.convert_to_tensor(value, self._specs[name].dtype) for name, value in arguments.items()}
        outputs = self._function(**tensors, **others)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs


class TracedCall(GraphCall):
    """A model that is called as a Python object; each kind of input is traced once, whatever the number of rows.

    Args:
        model: What is called.
        specs: A `TensorSpec` for each input; `None` where the model does not tell.
        pack: Makes the argument of the model out of the tensors by name.
        parameters: Names of the arguments that the model takes besides; `None` for any.
        defaults: Arguments that are given unless the caller gives others.
        variables: The variables of the model.
    """

    def __init__(
        self,
        model: Any,
        specs: dict[str, Any] | None,
        pack: Callable[[dict[str, Any]], Any],
        parameters: Sequence[str] | None,
        defaults: Mapping[str, Any],
        variables: Sequence[Any],
    ) -> None:
        super().__init__(variables)
        self._model = model
        self._specs = specs
        self._pack = pack
        self._parameters = parameters
        self._defaults = dict(defaults)
        self._functions: dict[Any, Any] = {}

    def inputs(self, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `GraphCall.inputs`."""
        if self._parameters is not None:
            _check_arguments(f"The model ({qualified_name(type(self._model))})", arguments, self._parameters)
        return self._specs

    def __call__(self, tensors: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
        """What the model returns."""
        tf = import_tensorflow()
        constants, extra = _parted(tf, {**self._defaults, **arguments})
        specs = [self._spec(tf, name, tensor) for name, tensor in tensors.items()]
        specs += [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in extra.values()]
        key = (
            tuple(tensors),
            tuple(extra),
            tuple((name, type(value), value) for name, value in sorted(constants.items())),
            tuple(
                (spec.shape.rank, *(spec.shape if spec.shape.rank is not None else ()), spec.dtype) for spec in specs
            ),
        )
        function = self._functions.get(key)
        if function is None:
            function = self._function(tf, list(tensors), list(extra), constants, specs)
        outputs = function(*tensors.values(), *extra.values())
        self._functions[key] = function  # Only now: what cannot be traced is not kept.
        return outputs

    def _spec(self, tf: Any, name: str, tensor: Any) -> Any:
        if self._specs is not None:
            return tf.TensorSpec(self._specs[name].shape, tensor.dtype)
        return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)

    def _function(self, tf: Any, names: list[str], extra: list[str], constants: dict[str, Any], specs: Any) -> Any:
        def run(*values: Any) -> Any:
            rows = dict(zip(names, values[: len(names)], strict=True))
            others = dict(zip(extra, values[len(names) :], strict=True))
            return self._model(self._pack(rows), **constants, **others)

        return tf.function(run, input_signature=specs)


def _check_arguments(owner: str, arguments: Mapping[str, Any], known: Any) -> None:
    for name in arguments:
        if name not in known:
            takes = f"It takes: {', '.join(known)}" if known else "It takes none"
            raise ModelFaultError(f"{owner} has no argument {name!r}.{closest(name, known)} {takes}")


def _parted(tf: Any, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments that are part of a trace, such as flags, and those that are tensors."""
    constants: dict[str, Any] = {}
    tensors: dict[str, Any] = {}
    for name, value in arguments.items():
        try:
            hash(value)
        except TypeError:
            tensors[name] = tf.convert_to_tensor(value)
        else:
            constants[name] = value
    return constants, tensors
