"""The one table of the flags that benchmarks of Apache Beam have, and of what they mean here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from runinference.errors import ConfigurationError

Kind = Literal["text", "true|false", "number", "JSON", "CPU|GPU"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        name: Without the hyphens in front.
        kind: What its value is; a flag that is `true|false` may also stand alone.
        help: What it does here.
        setting: The field of `Settings` that it sets, or `handler_options.NAME`.
    """

    name: str
    kind: Kind
    help: str
    setting: str | None = None


_ROWS = [
    Flag("publish_to_big_query", "true|false", "Publish to BigQuery: to the project, data set and table that follow."),
    Flag("project", "text", "The project of Google Cloud, for BigQuery and Dataflow. Default: `GOOGLE_CLOUD_PROJECT`."),
    Flag("metrics_dataset", "text", "The data set of BigQuery, which must be there."),
    Flag("metrics_table", "text", "The table of BigQuery, which is created."),
    Flag("influx_db_name", "text", "Publish to this database of InfluxDB 1.x."),
    Flag("influx_hostname", "text", "Its server. Default: `http://localhost:8086`."),
    Flag("influx_measurement", "text", "The measurement there. Default: `runinference`."),
    Flag("timeout_ms", "number", "Longest time for one pass; 0 for any time."),
    Flag("pretrained_model_name", "text", "The model, such as `resnet101`.", "model"),
    Flag("bert_tokenizer", "text", "The model, such as `bert-base-uncased`.", "model"),
    Flag("model_state_dict_path", "text", "Weights, as `--weights`.", "weights"),
    Flag("model_path", "text", "Weights, as `--weights`, where no state dict is named.", "weights"),
    Flag("input", "text", "Your own data.", "input"),
    Flag("input_file", "text", "The same.", "input"),
    Flag("device", "CPU|GPU", "Where models run.", "device"),
    Flag("min_batch_size", "number", "Smallest batch of our handler.", "handler_options.min_batch_size"),
    Flag("max_batch_size", "number", "Largest batch of our handler.", "handler_options.max_batch_size"),
    Flag("large_model", "true|false", "One copy of the model for all processes.", "handler_options.large_model"),
    Flag("handler_options", "JSON", 'Any options of our handler, such as `{"precision": "bf16"}`.', "handler_options"),
    Flag("input_options", "JSON", "Nothing: it is for made data of Beam's load tests."),
    Flag("output_table", "text", "Nothing: a benchmark keeps no predictions."),
    Flag("output_file", "text", "Nothing: a benchmark keeps no predictions."),
]

FLAGS: Mapping[str, Flag] = MappingProxyType({flag.name: flag for flag in _ROWS})
"""Every flag by its name."""

UNUSED = ("input_options", "output_table", "output_file")
"""Those that are taken, so that a file of options works, and do nothing."""


def read_value(flag: Flag, text: str | None) -> Any:
    """The value that a text stands for.

    Args:
        flag: The flag that it is of.
        text: What the user wrote; `None` for a flag that stands alone.

    Raises:
        ConfigurationError: The flag does not take it.
    """
    return _READ[flag.kind](flag, text)


def _text(flag: Flag, value: str | None) -> str:
    if not value:
        raise ConfigurationError(f"--{flag.name} needs a value")
    return value


def _boolean(flag: Flag, value: str | None) -> bool:
    if value is not None and value.lower() not in {"true", "false"}:
        raise ConfigurationError(f"--{flag.name} is true or false, not {value!r}")
    return value is None or value.lower() == "true"


def _number(flag: Flag, value: str | None) -> int:
    text = _text(flag, value)
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError(f"--{flag.name} is a whole number that is not negative, not {text!r}")
    return int(text)


def _json(flag: Flag, value: str | None) -> Mapping[str, Any]:
    text = _text(flag, value)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"--{flag.name} is no JSON: {error}: {text!r}. In a shell and in a file of options, put it in single quotes"
        ) from None
    if not isinstance(found, dict):
        raise ConfigurationError(f'--{flag.name} is a JSON object, such as {{"name": 1}}, not {text!r}')
    return found


def _device(flag: Flag, value: str | None) -> str:
    devices = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}
    text = _text(flag, value)
    if text.lower() not in devices:
        raise ConfigurationError(f"--{flag.name} is CPU or GPU, not {text!r}")
    return devices[text.lower()]


_READ: Mapping[str, Callable[[Flag, str | None], Any]] = {
    "text": _text,
    "true|false": _boolean,
    "number": _number,
    "JSON": _json,
    "CPU|GPU": _device,
}
