"""How large a batch should be: learnt from the batches themselves."""

from __future__ import annotations

_GAIN_WORTH_DOUBLING = 0.05
_SAMPLES = 4
_SLOW_BATCH_S = 2.0
_QUICK_BATCH_S = 0.002
_QUICK_GROWTH = 16
_QUICK_UP_TO = 2048
_LARGE_BATCH_BYTES = 64 << 20
_MEMORY_MARGIN = 0.1
_BATCHES_UNTIL_MEMORY_IS_TRIED_AGAIN = 200
_BATCHES_UNTIL_LARGER_IS_TRIED_AGAIN = 50


class SizeTuner:
    """Doubles the size until throughput stops growing, and backs off where memory ends.

    The size counts rows or, for variable-length input, padded area; the tuner calls either a unit. Small batches of a
    millisecond or two are mostly the cost of the call, so it leaves them behind in large steps. Then it grows while a
    doubling gains 5 % or more in units per second, by the best of four batches: the first of a size pays for new
    buffers, caches and compiled shapes, and other work of the machine only makes a batch slower. As it may spoil four,
    larger sizes are tried again after 50 batches, after 100 more, and so on. After an out-of-memory error it searches
    between the largest size that fitted and the smallest that did not, and tries larger ones again much later, when
    memory may be free again.

    Attributes:
        size: Units for the next batch.
        reason: Why it is this size, in words.
        settled: Whether the size has stopped growing.

    Args:
        start: First size.
        smallest: Never go below this, unless memory does not suffice.
        largest: Never go above this.
        fixed: Do not tune, but still back off where memory ends.
    """

    def __init__(self, start: int, smallest: int = 1, largest: int = 16384, fixed: bool = False) -> None:
        self.size = max(smallest, min(start, largest))
        self.settled = fixed
        self.reason = "set by the handler's options" if fixed else "still growing"
        self._largest = largest
        self._best_size = self.size
        self._best_rate = 0.0
        self._rate = 0.0
        self._batches = 0
        self._fitted = 0
        self._failed: int | None = None
        self._since_failure = 0
        self._since_settled = 0
        self._patience = _BATCHES_UNTIL_LARGER_IS_TRIED_AGAIN
        self._may_be_noise = False

    @property
    def limited_by_memory(self) -> bool:
        """Whether a larger size ran out of memory."""
        return self._failed is not None

    def allow(self, largest: int) -> None:
        """Lets the size grow to `largest`, if that is more than before."""
        self._largest = max(self._largest, largest)

    def record(self, units: int, seconds: float, nbytes: int = 0) -> None:
        """Takes note that a batch of `units`, holding `nbytes` of examples, took `seconds`."""
        self._fitted = max(self._fitted, units)
        if self._failed is not None:
            self._since_failure += 1
            if self.settled and self._since_failure >= _BATCHES_UNTIL_MEMORY_IS_TRIED_AGAIN:
                self._try_memory_again()
        if self._may_be_noise and self.settled:
            self._since_settled += 1
            if self._since_settled >= self._patience:
                self._try_larger_again()
        if self.settled or units < 0.9 * self.size or seconds <= 0:
            return
        self._batches += 1
        self._rate = max(self._rate, units / seconds)
        growth = self._quick_growth(seconds, nbytes)
        if growth > 1:
            self._best_size, self._best_rate = self.size, self._rate
            self._move_to(growth * self.size)
        elif self._batches >= _SAMPLES or seconds * (self._batches - 1) > _SLOW_BATCH_S:
            self._judge(seconds, nbytes)

    def out_of_memory(self, units: int) -> None:
        """Takes note that a batch of `units` did not fit into memory."""
        if self._failed is None or units < self._failed:
            self._failed = units
        self._since_failure = 0
        self._best_rate = 0.0
        self._move_to(max(1, units // 2, self._fitted if self._fitted < units else 0))
        self.settled = False
        self.reason = f"{units:,} ran out of memory"

    def _judge(self, seconds: float, nbytes: int) -> None:
        if self._rate < (1 + _GAIN_WORTH_DOUBLING) * self._best_rate:
            self._settle(self._best_size, f"more than {self._best_size:,} gained less than 5 %")
            self._may_be_noise = True
            return
        self._best_size, self._best_rate = self.size, self._rate
        if seconds > _SLOW_BATCH_S:
            self._settle(self.size, f"a batch takes {seconds:.1f} s")
        elif nbytes > _LARGE_BATCH_BYTES:
            self._settle(self.size, f"a batch holds {nbytes / 1e6:,.0f} MB")
        else:
            self._grow()

    def _grow(self) -> None:
        if self._failed is not None:
            if self._failed - self.size <= max(1, _MEMORY_MARGIN * self.size):
                self._settle(self.size, f"{self._failed:,} ran out of memory")
                return
            self._move_to(min(2 * self.size, (self.size + self._failed) // 2))
        elif self.size >= self._largest:
            self._settle(self.size, "the largest size allowed")
        else:
            self._move_to(min(2 * self.size, self._largest))

    def _quick_growth(self, seconds: float, nbytes: int) -> int:
        """How many times larger the next batch may be after one that was too quick to be judged; else 1 or 0."""
        if seconds >= _QUICK_BATCH_S or self._failed is not None:
            return 1
        largest = min(self._largest, _QUICK_UP_TO)
        return min(_QUICK_GROWTH, largest // self.size, _LARGE_BATCH_BYTES // max(1, nbytes))

    def _try_larger_again(self) -> None:
        self._patience *= 2
        self._may_be_noise = False
        self._judge_anew()

    def _try_memory_again(self) -> None:
        self._failed = None
        self._judge_anew()

    def _judge_anew(self) -> None:
        self.settled = False
        self._since_settled = self._since_failure = 0
        self._best_rate = self._rate = 0.0
        self._batches = 0

    def _move_to(self, size: int) -> None:
        self.size = size
        self._rate, self._batches = 0.0, 0

    def _settle(self, size: int, reason: str) -> None:
        self.size, self.settled, self.reason = size, True, reason
