"""Where the time of a batch goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Timings:
    """Where the time of a batch went, in seconds: waiting for rows, the three steps, and the consumer.

    Reading is that part of the wait which the input took; the rest of it went into pre-processing by other threads.
    """

    wait: float = 0.0
    reading: float = 0.0
    preprocess: float = 0.0
    inference: float = 0.0
    postprocess: float = 0.0
    consumer: float = 0.0

    def total(self) -> float:
        """The time of the batch when one step follows another."""
        return self.wait + self.preprocess + self.inference + self.postprocess + self.consumer

    def longest(self) -> float:
        """The time of the batch when all steps overlap perfectly."""
        return max(self.wait, self.preprocess, self.inference, self.postprocess, self.consumer)

    def add(self, other: Timings) -> None:
        """Adds the times of another batch."""
        self.wait += other.wait
        self.reading += other.reading
        self.preprocess += other.preprocess
        self.inference += other.inference
        self.postprocess += other.postprocess
        self.consumer += other.consumer
