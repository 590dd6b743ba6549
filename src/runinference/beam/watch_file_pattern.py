"""New versions of a model, as a side input."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms import trigger, window
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from runinference.errors import ConfigurationError
from runinference.keyed import ModelMetadata


class WatchFilePattern(beam.PTransform):
    """Gives the newest of the files that match a pattern, and each time that there is a newer one.

    For `RunInference(…, model_metadata_pcoll=pipeline | WatchFilePattern(…))`, in streaming pipelines. The elements of
    the main input wait until there is a first file. `RunInference(…, watch_model_pattern=…)` needs neither.

    A file is newer when it was changed later; one whose content was replaced is given again.

    Args:
        file_pattern: Path or URL, with `*`, `?` and `[…]` where they are wanted.
        interval: How often to look, in seconds.
        stop_timestamp: When to stop looking, in seconds since 1970.

    Raises:
        ConfigurationError: There is no pattern, or the interval is not above 0.
    """

    def __init__(self, file_pattern: str, interval: float = 360, stop_timestamp: Any = MAX_TIMESTAMP) -> None:
        super().__init__()
        if not isinstance(file_pattern, (str, os.PathLike)) or not os.fspath(file_pattern):
            raise ConfigurationError(f"file_pattern must be a path or URL, got {file_pattern!r}")
        if not interval > 0:
            raise ConfigurationError(f"interval must be seconds above 0, got {interval!r}")
        self.file_pattern = os.fspath(file_pattern)
        self.interval = interval
        self.stop_timestamp = stop_timestamp

    def expand(self, pcoll: Any) -> pvalue.PCollection:
        """Looks again and again, and keeps the newest."""
        return (
            pcoll
            | "Tick"
            >> PeriodicImpulse(
                start_timestamp=Timestamp.now(), stop_timestamp=self.stop_timestamp, fire_interval=self.interval
            )
            | "Look" >> beam.ParDo(_FindNewest(self.file_pattern))
            # All under one key, so that what is found is compared with what was found before.
            | "AttachKey" >> beam.Map(lambda found: (None, found))
            | "KeepNewest" >> beam.ParDo(_KeepNewest())
            | "ApplyGlobalWindow"
            >> beam.WindowInto(
                window.GlobalWindows(),
                trigger=trigger.Repeatedly(trigger.AfterProcessingTime(1)),
                accumulation_mode=trigger.AccumulationMode.DISCARDING,
            )
        )


class _FindNewest(beam.DoFn):
    """Gives the newest of the files that are there, as `(time of the last change, path)`."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def process(self, element: Any) -> Iterable[tuple[float, str]]:  # noqa: ARG002
        (match,) = FileSystems.match([self._pattern])
        files = [(file.last_updated_in_seconds or 0.0, file.path) for file in match.metadata_list]
        if files:
            yield max(files)


class _KeepNewest(beam.DoFn):
    """Lets through what is newer than all before."""

    NEWEST = ReadModifyWriteStateSpec("newest", beam.coders.PickleCoder())

    def process(
        self, element: tuple[None, tuple[float, str]], newest: Any = beam.DoFn.StateParam(NEWEST)
    ) -> Iterable[ModelMetadata]:
        found = element[1]
        before = newest.read()
        if before is None or found > before:
            newest.write(found)
            path = found[1]
            yield ModelMetadata(path, os.path.splitext(os.path.basename(path))[0])
