"""Whatever is added, polled and flushed: every row comes out once, in batches within their limits."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runinference.batching import Rows, make_batcher, make_limit
from runinference.options import BatchPolicy

pytestmark = pytest.mark.core


class AnyBatcher(RuleBasedStateMachine):
    """Adds rows, lets time pass, polls and flushes; `policies` says of which batcher."""

    policies = st.nothing()

    @initialize(policy=policies)
    def start(self, policy):
        self.policy = policy
        self.limit = make_limit(policy)
        self.batcher = make_batcher(policy, self.limit)
        self.sized = policy.length_fn is not None or policy.element_size_fn is not None
        self.now = 0.0
        self.added = 0
        self.arrived = {}
        self.out = []

    @rule(sizes=st.lists(st.integers(1, 60), max_size=30), passed=st.floats(0, 3))
    def add(self, sizes, passed):
        self.now += passed
        index = range(self.added, self.added + len(sizes))
        self.arrived |= dict.fromkeys(index, self.now)
        self.batcher.add(Rows(list(index), index, sizes=sizes if self.sized else None), self.now)
        self.added += len(sizes)
        self.poll_all()

    @rule(passed=st.floats(0, 10))
    def wait(self, passed):
        self.now += passed
        self.poll_all()

    @rule()
    def flush(self):
        while (batch := self.batcher.flush()) is not None:
            self.check(batch)
        assert sorted(self.out) == list(range(self.added))

    @precondition(lambda self: not self.limit.tuner.settled)
    @rule(size=st.integers(1, 40))
    def run_out_of_memory(self, size):
        self.limit.tuner.out_of_memory(size)
        self.poll_all()

    @invariant()
    def nobody_waits_longer_than_allowed(self):
        delay = self.policy.max_delay_s
        waiting = [self.arrived[i] for i in range(self.added) if i not in set(self.out)]
        if delay is not None and waiting:
            assert self.batcher.next_deadline() is not None
            assert self.now < self.batcher.next_deadline()

    @invariant()
    def there_is_always_room_for_a_row(self):
        assert self.batcher.room >= 1

    def poll_all(self):
        while (batch := self.batcher.poll(self.now)) is not None:
            self.check(batch)

    def check(self, batch):
        rows, policy = batch.rows, self.policy
        assert len(rows) == len(rows.data) >= 1
        assert list(rows.data) == list(rows.index)
        assert not set(rows.index) & set(self.out)
        assert batch.since == min(self.arrived[i] for i in rows.index) or policy.length_fn is not None
        assert 0 < batch.fill <= 1
        assert policy.max_size is None or len(rows) <= policy.max_size
        if policy.max_weight is not None and len(rows) > 1:
            weight = len(rows) * max(rows.sizes) if policy.length_fn else sum(rows.sizes)
            assert weight <= policy.max_weight
        self.out += rows.index


delays = st.none() | st.floats(0.1, 5)
sizes = st.one_of(
    st.just({}),
    st.integers(1, 12).map(lambda n: {"max_size": n}),
    st.integers(1, 12).map(lambda n: {"min_size": n, "max_size": n}),
    st.integers(1, 12).map(lambda n: {"min_size": n, "max_size": 2 * n}),
)


class Fifo(AnyBatcher):
    policies = st.builds(
        lambda size, weight, delay: BatchPolicy(
            **size, max_delay_s=delay, max_weight=weight, element_size_fn=None if weight is None else int
        ),
        sizes,
        st.none() | st.integers(5, 100),
        delays,
    )

    @initialize(policy=policies)
    def start(self, policy):
        super().start(policy)

    def check(self, batch):
        assert list(batch.rows.index) == list(range(len(self.out), len(self.out) + len(batch.rows)))
        super().check(batch)


class ByLength(AnyBatcher):
    policies = st.builds(
        lambda size, weight, delay, boundaries: BatchPolicy(
            **size, max_delay_s=delay, max_weight=weight, length_fn=int, bucket_boundaries=boundaries
        ),
        sizes,
        st.none() | st.integers(5, 300),
        delays,
        st.none() | st.lists(st.integers(1, 60), min_size=1, max_size=4, unique=True).map(lambda b: tuple(sorted(b))),
    )

    @initialize(policy=policies)
    def start(self, policy):
        super().start(policy)


few = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestFifo = pytest.mark.core(Fifo.TestCase)
TestFifo.settings = few
TestByLength = pytest.mark.core(ByLength.TestCase)
TestByLength.settings = few
