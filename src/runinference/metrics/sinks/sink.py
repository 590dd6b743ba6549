"""What a destination of measurements is."""

from __future__ import annotations

from typing import Protocol

from runinference.errors import RunInferenceError
from runinference.metrics.measurement import Measurement


class Unavailable(RunInferenceError):  # noqa: N818
    """The destination cannot be reached now; the same may work later."""


class Rejected(RunInferenceError):  # noqa: N818
    """The destination does not take this, and will not take it later."""


class Sink(Protocol):
    """A destination of measurements.

    Attributes:
        name: What people call it: without passwords.
    """

    name: str

    def write(self, measurement: Measurement) -> None:
        """Writes a measurement; writing it a second time changes nothing.

        Raises:
            Unavailable: It cannot be reached now.
            Rejected: It does not take this measurement.
        """

    def close(self) -> None:
        """Lets go of connections."""
