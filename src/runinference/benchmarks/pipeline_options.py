"""The options that Apache Beam itself knows."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, NoReturn

from runinference.errors import ConfigurationError
from runinference.packages import require


class PipelineFlags:
    """Beam's own options; Beam is imported.

    Args:
        flag: Which one they are asked for, to be named where Beam is missing.

    Raises:
        MissingDependencyError: Apache Beam is not installed.
    """

    def __init__(self, flag: str) -> None:
        options = require("apache_beam.options.pipeline_options", "beam", f"know what {flag} means")
        # The only public way to a parser that has the options of every runner and file system.
        parsers: list[Any] = []
        options.PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
        self._parser: ArgumentParser = parsers[0]
        self._actions = {
            name.removeprefix("--"): action
            for name, action in self._parser._option_string_actions.items()
            if name.startswith("--") and name != "--help"
        }

    @property
    def names(self) -> Sequence[str]:
        """Every option, without the hyphens in front."""
        return list(self._actions)

    def takes_value(self, name: str) -> bool:
        """Whether a value follows."""
        return bool(self._actions[name].nargs != 0)

    def check(self, flags: Sequence[str]) -> None:
        """Looks whether Beam takes the values.

        Raises:
            ConfigurationError: It does not.
        """
        self._parser.error = _refuse  # type: ignore[method-assign]
        self._parser.parse_known_args(list(flags))


def _refuse(message: str) -> NoReturn:
    raise ConfigurationError(f"Apache Beam does not take the options: {message}")
