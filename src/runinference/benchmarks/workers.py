"""Where the workers of a pipeline are, and what they can read."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import Final

from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError
from runinference.jobs.paths import is_url, normal_path
from runinference.packages import require

# Runners that start their workers on this machine, by how Beam calls them, in lower case.
_HERE: Final = {"direct", "switchingdirect", "bundlebaseddirect", "fnapi", "prism", "interactive"}
_ELSEWHERE: Final = {"DOCKER", "EXTERNAL"}


def runner_elsewhere(settings: Settings) -> str | None:
    """The runner whose workers are on other machines, such as `DataflowRunner`; `None` if all is done on this one."""
    if not settings.pipeline_options:
        return None
    beam = require("apache_beam.options.pipeline_options", "beam", "run a benchmark on Beam")
    options = beam.PipelineOptions(list(settings.pipeline_options))
    environment = (options.view_as(beam.PortableOptions).environment_type or "").upper()
    # One may name a class of one's own, with its module in front.
    runner = (options.view_as(beam.StandardOptions).runner or "DirectRunner").rpartition(".")[2]
    here = environment == "LOOPBACK" or (
        runner.lower().removesuffix("runner") in _HERE and environment not in _ELSEWHERE
    )
    return None if here else runner


def check_reach(settings: Settings, weights: str, images: Sequence[str] | None = None) -> None:
    """Looks whether the workers can read what the elements and the handlers name.

    Args:
        settings: What is asked for.
        weights: What the handlers load the model from.
        images: The elements, where they are files.

    Raises:
        ConfigurationError: They are on other machines, and something lies on this one.
    """
    runner = runner_elsewhere(settings)
    if runner is None:
        return
    copies = []
    if not is_url(weights) and not _same_everywhere(settings.weights, weights):
        copies.append(("weights", weights))
    if images and not is_url(images[0]) and not _same_everywhere(settings.input):
        copies.append(("input", os.path.commonpath(images)))
    if copies:
        commands = "\n".join(f"  gcloud storage cp -r {shlex.quote(path)} gs://YOUR-BUCKET/" for _, path in copies)
        names = [(name, shlex.quote(f"gs://YOUR-BUCKET/{os.path.basename(path)}")) for name, path in copies]
        flags = " ".join(f"--{name} {url}" for name, url in names)
        raise ConfigurationError(
            f"The workers of {runner} cannot read files of this machine. Copy them to where workers can\n{commands}\n"
            f"and name that: {flags}. Of files that workers have under the same path as this machine, name the path "
            f"as file:///…"
        )


def _same_everywhere(given: str | None, used: str | None = None) -> bool:
    """Whether the user says by `file://` that the workers have a file too; `used` is what was made of it."""
    if given is None or not given.startswith("file://"):
        return False
    return used is None or used == normal_path(given)
