"""What holds for every destination of measurements."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from runinference.metrics.measurement import Measurement, RunInfo

ODD_NAMES = {
    "with a space": 1.0,
    "comma,equals=": 2.0,
    "quotes\"and'ticks": 3.0,
    "back\\slash": 4.0,
    "grüße-数 🙂": 5.0,
    "# no comment": 8.0,
    "key-inference_batch_latency_micro_secs_MEAN": 6.5,
}


class SinkContract:
    """Subclass it, with the fixtures `sink`, an open sink, and `stored`, which reads what its destination holds.

    `stored()` gives a list of `(test_id, metric, value)` in any order. Where a destination keeps timestamps in whole
    seconds, `precision_s` says so, and `timestamps()` gives the set of them.
    """

    precision_s = 1e-3

    def measurement(self, values, timestamp=1_700_000_000.25, **run):
        return Measurement(RunInfo(**{"name": "a run", **run}), timestamp, values)

    def test_values_are_stored_under_their_names(self, sink, stored):
        measurement = self.measurement({"num_inferences": 50_000.0, "mean": 0.125, "tiny": 1e-300, "large": 1.5e300})
        sink.write(measurement)
        assert sorted(stored()) == sorted((measurement.run.test_id, *pair) for pair in measurement.values.items())

    def test_the_time_is_stored(self, sink, timestamps):
        sink.write(self.measurement({"a": 1.0}, timestamp=1_700_000_000.25))
        (found,) = timestamps()
        assert math.isclose(found, 1_700_000_000.25, abs_tol=self.precision_s, rel_tol=0)

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_come_back_as_they_were(self, sink, stored, name):
        sink.write(self.measurement({name: ODD_NAMES[name]}))
        assert [(metric, value) for _, metric, value in stored()] == [(name, ODD_NAMES[name])]

    def test_a_line_break_in_a_name_ends_nothing(self, sink, stored):
        """Not every destination can hold one."""
        sink.write(self.measurement({"two\nlines\r\n\tand a tab": 1.0, "a": 2.0}))
        assert sorted(value for *_, value in stored()) == [1.0, 2.0]

    @pytest.mark.parametrize("name", ["a, \"b\"='c'; DROP TABLE runs", "two\nlines", "C:\\models\\", "模型 🙂"])
    def test_odd_names_of_runs_do_no_harm(self, sink, stored, name):
        sink.write(self.measurement({"a": 1.0}, name=name, host="host name", device="gpu:0"))
        assert [(metric, value) for _, metric, value in stored()] == [("a", 1.0)]

    def test_writing_it_again_changes_nothing(self, sink, stored):
        measurement = self.measurement({"a": 1.0, "b": 2.0})
        sink.write(measurement)
        sink.write(measurement)
        assert sorted((metric, value) for _, metric, value in stored()) == [("a", 1.0), ("b", 2.0)]

    def test_runs_are_kept_apart(self, sink, stored):
        first, second = self.measurement({"a": 1.0}), self.measurement({"a": 2.0})
        sink.write(first)
        sink.write(second)
        assert sorted(stored()) == sorted([(first.run.test_id, "a", 1.0), (second.run.test_id, "a", 2.0)])

    def test_many_metrics_are_stored_at_once(self, sink, stored):
        values = {f"metric {number}": float(number) for number in range(2000)}
        sink.write(self.measurement(values))
        assert {metric: value for _, metric, value in stored()} == values

    def test_several_threads_may_write(self, sink, stored):
        measurements = [self.measurement({"a": float(number)}) for number in range(20)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(sink.write, measurements))
        assert sorted(stored()) == sorted((each.run.test_id, "a", each.values["a"]) for each in measurements)

    def test_a_measurement_without_values_does_no_harm(self, sink, stored):
        sink.write(self.measurement({}))
        assert stored() == []

    def test_it_can_be_closed_twice(self, sink):
        sink.close()
        sink.close()
