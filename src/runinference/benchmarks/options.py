"""What the flags of a benchmark say, those of Apache Beam's benchmarks and of its pipelines included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runinference.benchmarks.destinations import to_bigquery, to_influxdb
from runinference.benchmarks.flags import FLAGS, UNUSED, read_value
from runinference.benchmarks.options_file import expand
from runinference.benchmarks.pipeline_options import PipelineFlags
from runinference.errors import ConfigurationError, MissingDependencyError, closest

__all__ = ["Flags", "expand", "parse_flags"]

_SECRETS = {"azure_connection_string", "s3_access_key_id", "s3_secret_access_key", "s3_session_token"}


@dataclass(frozen=True)
class Flags:
    """What flags say.

    Attributes:
        publish: Addresses to publish to.
        settings: Fields of `Settings`.
        pipeline_options: What is for Beam pipelines.
        timeout_s: Longest time for one pass; `None` for any time.
        notes: What a reader should know: which flags have no effect, and why.
    """

    publish: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    pipeline_options: Sequence[str] = ()
    timeout_s: float | None = None
    notes: Sequence[str] = ()


def parse_flags(extra_args: Sequence[str], others: Iterable[str] = ()) -> Flags:
    """Understands the flags of Beam's benchmarks, and leaves to Beam what is Beam's.

    Of a flag that is there twice the later one holds. Hyphens are as good as underscores. Apache Beam is imported if
    there is a flag that is not in the table `FLAGS`.

    Args:
        extra_args: `--flag=value`, `--flag value` or `--flag`.
        others: Further options of the command, to be named if one is meant.

    Raises:
        ConfigurationError: Neither knows a flag, its value cannot work, or another one is missing beside it.
        MissingDependencyError: A flag can only be Beam's, and Apache Beam is not installed.
    """
    ours, beams = _sorted(extra_args, others)
    given = {name: read_value(FLAGS[name], value) for name, value in ours.items()}
    notes: list[str] = []
    publish = [*to_bigquery(given, notes), *to_influxdb(given, notes)]
    if beams and "project" in given:
        beams.append(f"--project={given['project']}")
    elif "project" in given and not given.get("publish_to_big_query"):
        notes.append("--project has no effect: nothing is published to BigQuery or run on Dataflow")
    notes += [f"--{name} has no effect on a benchmark" for name in UNUSED if given.get(name)]
    settings = _settings(given, notes)
    timeout_s = given.get("timeout_ms", 0) / 1e3 or None
    return Flags(tuple(publish), settings, tuple(beams), timeout_s, tuple(notes))


def _sorted(arguments: Sequence[str], others: Iterable[str]) -> tuple[dict[str, str | None], list[str]]:
    """Those of the table with their values, and those of Beam."""
    ours: dict[str, str | None] = {}
    beams: list[str] = []
    known = _Known(others)
    at = 0
    while at < len(arguments):
        name, equals, value = _split(arguments[at])
        at += 1
        following = arguments[at] if at < len(arguments) else None
        if not equals and following is not None and known.belongs(following, name):
            value, equals = following, "="
            at += 1
        if name in FLAGS:
            ours[name] = value if equals else None
        else:
            known.check(name, has_value=bool(equals))
            beams.append(f"--{name}={value}" if equals else f"--{name}")
    if beams:
        known.beams(beams[0]).check(beams)
    return ours, beams


def _split(argument: str) -> tuple[str, str, str]:
    if not argument.startswith("--") or not argument.strip("-"):
        raise ConfigurationError(
            f"{argument!r} is neither a benchmark nor the value of a flag. `runinference bench list` shows all "
            f"benchmarks; flags are --flag=value"
        )
    name, equals, value = argument[2:].partition("=")
    return name.replace("-", "_"), equals, value


class _Known:
    """Whose flags there are; Beam is imported when it is asked."""

    def __init__(self, others: Iterable[str]) -> None:
        self._others = others
        self._beams: PipelineFlags | None = None

    def belongs(self, following: str, name: str) -> bool:
        """Whether the argument behind a flag is its value."""
        if following.startswith("--"):
            return False
        if name in FLAGS:
            return FLAGS[name].kind != "true|false" or following.lower() in {"true", "false"}
        self.check(name)
        return self.beams(f"--{name}").takes_value(name)

    def check(self, name: str, *, has_value: bool | None = None) -> None:
        """Raises an error if Beam does not know it, or if a value is missing or too much."""
        if name in _SECRETS:
            raise ConfigurationError(
                f"--{name} holds a secret, and options are kept with the results. Set it in the environment instead"
            )
        ours = [f"--{each}" for each in FLAGS] + [f"--{each.removeprefix('--')}" for each in self._others]
        try:
            beams = self.beams(f"--{name}")
        except MissingDependencyError:
            near = closest(f"--{name}", ours)
            if not near:
                raise
            raise ConfigurationError(f"There is no flag --{name}.{near} (Apache Beam is not installed)") from None
        if name not in beams.names:
            near = closest(f"--{name}", [*ours, *(f"--{each}" for each in beams.names)])
            raise ConfigurationError(f"There is no flag --{name}, not for Beam pipelines either.{near}")
        if has_value is not None and has_value != beams.takes_value(name):
            raise ConfigurationError(f"--{name} {'takes no value' if has_value else 'needs a value'}")

    def beams(self, flag: str) -> PipelineFlags:
        if self._beams is None:
            self._beams = PipelineFlags(flag)
        return self._beams


def _settings(given: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    options: dict[str, Any] = dict(given.get("handler_options", {}))
    said_by: dict[str, str] = {}
    for name, value in given.items():
        setting = FLAGS[name].setting
        if setting is None or setting == "handler_options":
            continue
        if name == "model_path" and "model_state_dict_path" in given:
            notes.append("--model_path has no effect beside --model_state_dict_path")
            continue
        if setting in found and found[setting] != value:
            raise ConfigurationError(
                f"--{said_by[setting]} and --{name} are two names for one setting, but they say {found[setting]!r} and "
                f"{value!r}"
            )
        said_by[setting] = name
        if setting.startswith("handler_options."):
            options[setting.partition(".")[2]] = value
        else:
            found[setting] = value
    return found | ({"handler_options": options} if options else {})
