"""The name of the PCollection whose elements are counted: in a pipeline, and in what a job tells."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from runinference.errors import ConfigurationError, DataError, closest

# A PCollection is called after the transform that makes it; the service joins the two with a dot or a hyphen.
_NAME = re.compile(r"(?P<label>.*?)[.-](?P<output>out\d*)", re.DOTALL)
_LISTED = 30
_ACCELERATOR = "beam:resources:accelerator:v1"
_GPU = re.compile(r"(?:^|[=;])type:(?P<name>[^;]+)")


def find_pcollection(name: str, known: Collection[str]) -> str:
    """The one of the known names that is meant.

    Args:
        name: Such as `PostProcess.out0`; without an ending, the first output of that transform.
        known: Names that the service tells.

    Raises:
        DataError: It is none of them; all are listed, the nearest first.
    """
    if name in known:
        return name
    for each in known:
        if _parts(each) == _parts(name):
            return each
    if not known:
        raise DataError(f"The elements of {name!r} are not known: the job has counted none of any PCollection")
    raise DataError(f"The job has no PCollection {name!r}.{closest(name, known)} It has {_list(known)}")


def pcollection_of(pipeline: Any, name: str | None) -> str | None:
    """The name by which the service will know a PCollection of a pipeline that has not run yet.

    Args:
        pipeline: A pipeline of Beam.
        name: A PCollection such as `PostProcess.out0`, or the label of a transform, which may be made of others. By
            default the output of the last `RunInference`.

    Returns:
        Its name; `None` where none is named and the pipeline has no `RunInference`.

    Raises:
        ConfigurationError: The pipeline has no such transform.
    """
    nodes = list(_nodes(pipeline))
    if name is None:
        inferences = [node for node in nodes if type(node.transform).__name__ == "RunInference"]
        return _output(inferences[-1]) if inferences else None
    label, output = _parts(name)
    for node in nodes:
        if node.full_label == label:
            # What is made of others has no output of its own.
            return _output(node) if node.parts and output == "out0" else f"{label}.{output}"
    labels = [node.full_label for node in nodes if node.full_label]
    raise ConfigurationError(
        f"pcollection={name!r}: the pipeline has no transform {label!r}.{closest(label, labels)} It has {_list(labels)}"
    )


def accelerator_of(pipeline: Any, options: Any) -> str | None:
    """The GPU that workers are to have, such as `nvidia-tesla-t4`; `None` where none is asked for.

    Args:
        pipeline: The pipeline, whose transforms may ask for one.
        options: Its options.
    """
    given = options.get_all_options()
    asked = [*(given.get("dataflow_service_options") or ()), *(given.get("experiments") or ())]
    texts = [text for text in asked if text.startswith("worker_accelerator=")]
    texts += [text for text in given.get("resource_hints") or () if text.startswith("accelerator=")]
    texts += [node.resource_hints[_ACCELERATOR].decode() for node in _nodes(pipeline) if _ACCELERATOR in _hints(node)]
    found = [match["name"] for text in texts if (match := _GPU.search(text))]
    return found[0] if found else None


class _Name(NamedTuple):
    label: str
    output: str


def _parts(name: str) -> _Name:
    match = _NAME.fullmatch(name)
    return _Name(name, "out0") if match is None else _Name(match["label"], match["output"])


def _output(node: Any) -> str:
    """The name of the first output of a transform, after the part of it that makes it."""
    while node.parts:
        first = next(iter(node.outputs.values()), None)
        producer = None if first is None else first.producer
        if producer is None or producer is node:
            break
        node = producer
    return f"{node.full_label}.out0"


def _nodes(pipeline: Any) -> Iterator[Any]:
    """All transforms of a pipeline, each before its parts."""
    waiting = list(pipeline.transforms_stack[:1])
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting[:0] = node.parts


def _hints(node: Any) -> Any:
    return node.resource_hints or {}


def _list(names: Collection[str]) -> str:
    shown = sorted(names)[:_LISTED]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(repr(name) for name in shown) + more
