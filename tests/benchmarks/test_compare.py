"""Two sets of runs: which are held against each other, and what is said of the difference."""

import json
import math

import pytest
from synthetic_runs import MACHINE, made_run, write_json, write_store

from runinference import ConfigurationError
from runinference.benchmarks.compare import TOO_FEW, compare_pairs, measure_of, to_dict
from runinference.benchmarks.intervals import Ratio, ratio_of
from runinference.benchmarks.pairs import pair_up, title_of
from runinference.benchmarks.selection import read_source
from runinference.metrics.measures import Measure

pytestmark = pytest.mark.core

OLD, NEW = "a1" * 20, "b2" * 20


@pytest.fixture
def compared(tmp_path):
    """Compares two lists of runs: one row for each pair and metric."""

    def compared(a, b, *metrics, threshold=0.05, across_machines=False, own=None):
        sources = [read_source(write_json(tmp_path / f"{name}.json", runs)) for name, runs in (("a", a), ("b", b))]
        return compare_pairs(pair_up(*sources, across_machines=across_machines), metrics, threshold, own)

    return compared


# The interval.


def test_the_interval_is_welchs_on_logarithms():
    stats = pytest.importorskip("scipy.stats")
    a, b = [10.0, 10.4, 9.8, 11.0, 10.1], [12.0, 12.1, 11.6]
    ratio = ratio_of(a, b)
    test = stats.ttest_ind([math.log(x) for x in b], [math.log(x) for x in a], equal_var=False)
    interval = test.confidence_interval(0.95)
    assert ratio.low == pytest.approx(math.exp(interval.low), rel=1e-9)
    assert ratio.high == pytest.approx(math.exp(interval.high), rel=1e-9)
    assert ratio.value == pytest.approx(stats.gmean(b) / stats.gmean(a), rel=1e-9)


def test_the_interval_does_not_depend_on_the_unit():
    seconds = ratio_of([1.0, 1.1, 1.2], [2.0, 2.1, 2.3])
    micros = ratio_of([1.0e6, 1.1e6, 1.2e6], [2.0e6, 2.1e6, 2.3e6])
    assert (seconds.low, seconds.high) == pytest.approx((micros.low, micros.high))


def test_one_sample_gives_no_interval():
    assert ratio_of([10.0], [12.0, 12.0]) == Ratio(pytest.approx(1.2), None, None)
    assert ratio_of([10.0, 10.0], [12.0]) == Ratio(pytest.approx(1.2), None, None)


def test_samples_that_never_change_give_an_interval_without_width():
    assert ratio_of([8.0, 8.0], [8.0, 8.0, 8.0]) == Ratio(1.0, 1.0, 1.0)
    ratio = ratio_of([8.0, 8.0], [10.0, 10.0])
    assert ratio.low == ratio.value == ratio.high == pytest.approx(1.25)


def test_samples_that_differ_by_almost_nothing_do_not_break_it():
    ratio = ratio_of([1.0, 1.0 + 1e-15], [1.0, 1.0])
    assert ratio.low <= 1 <= ratio.high


def test_two_samples_that_scatter_widely_are_no_error():
    ratio = ratio_of([1e-300, 1e300], [1e-300, 1e300])
    assert (ratio.low, ratio.high) == (0.0, math.inf)


# What is meant.


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    runs = [
        made_run([10.0], day=0, commit=OLD),
        made_run([11.0], day=1, commit=OLD, test_id="c0ffee" + 26 * "0"),
        made_run([12.0], day=2, commit=NEW),
        made_run([50.0], day=0, commit=OLD, engine="beam"),
    ]
    return write_store(tmp_path_factory.mktemp("store") / "benchmarks.sqlite", runs)


def chosen(text):
    """The first sample of each run that is chosen, by engine."""
    return {run.info.engine: run.samples["JobRuntimeSeconds"][0] for run in read_source(text).choose(title_of).values()}


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("", {"embedded": 12.0, "beam": 50.0}),
        ("@latest", {"embedded": 12.0, "beam": 50.0}),
        ("@latest~1", {"embedded": 11.0}),
        ("@latest~2", {"embedded": 10.0}),
        ("@latest~3", {}),
        (f"@{OLD}", {"embedded": 11.0, "beam": 50.0}),
        ("@a1a1a1", {"embedded": 11.0, "beam": 50.0}),
        ("@A1A1", {"embedded": 11.0, "beam": 50.0}),
        ("@b2b2b2b", {"embedded": 12.0}),
        ("@c0ffee", {"embedded": 11.0}),
    ],
)
def test_the_newest_run_of_each_thing_is_chosen_among_those_that_are_meant(store, which, expected):
    assert chosen(store + which) == expected


def test_results_in_json_are_as_good_as_a_database(tmp_path):
    path = write_json(tmp_path / "results.json", [made_run([1.0]), made_run([2.0], day=1)])
    assert chosen(path) == {"embedded": 2.0}
    assert chosen(f"{path}@latest~1") == {"embedded": 1.0}


def test_a_file_may_have_an_at_sign_in_its_name(tmp_path):
    path = write_json(tmp_path / "me@home.json", [made_run([1.0]), made_run([2.0], day=1)])
    assert chosen(path) == {"embedded": 2.0}
    assert chosen(f"{path}@latest~1") == {"embedded": 1.0}


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("@last", r"@last names no runs\. Did you mean 'latest'\? Possible are @latest, @latest~1"),
        ("@latest~", "@latest~ names no runs"),
        ("@abc", "@abc names no runs"),
        ("@", "@ names no runs"),
        ("@dead", "no commit and no test id begins with dead. The newest commits there: b2b2b2b2b2, a1a1a1a1a1"),
    ],
)
def test_what_names_no_run_is_refused(store, which, message):
    with pytest.raises(ConfigurationError, match=message):
        read_source(store + which)


def test_a_beginning_of_two_commits_is_refused_with_both(tmp_path):
    commits = ["abcd1" + 35 * "0", "abcd2" + 35 * "0"]
    path = write_store(tmp_path / "s.sqlite", [made_run(day=day, commit=commit) for day, commit in enumerate(commits)])
    with pytest.raises(ConfigurationError, match=f"begins with abcd: commit {commits[1]}, commit {commits[0]}"):
        read_source(f"{path}@abcd")
    assert len(read_source(f"{path}@abcd1").complete) == 1


def test_a_file_that_is_not_there_or_holds_no_benchmarks_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.sqlite cannot be read: No such file"):
        read_source(str(tmp_path / "none.sqlite"))
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(ConfigurationError, match=r"other\.json holds no runs"):
        read_source(str(tmp_path / "other.json"))
    job = write_store(tmp_path / "jobs.sqlite", [made_run(options={"key": "id"})])
    with pytest.raises(ConfigurationError, match="holds no runs of benchmarks"):
        read_source(job)


# What is held against what.


def pairs_of(tmp_path, a, b, **options):
    return pair_up(
        read_source(write_json(tmp_path / "a.json", a)), read_source(write_json(tmp_path / "b.json", b)), **options
    )


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"name": "regression"}, "is not in A"),
        ({"engine": "beam"}, "is not in A"),
        ({"model": "large"}, "is not in A"),
        ({"examples": 2000}, "is in A with examples 1,000 in place of 2,000"),
        ({"device": "cuda"}, "is in A with device cpu in place of cuda"),
        ({"work": {"weights": "w.pt"}}, "is in A with weights none in place of w.pt"),
        ({"host": "laptop"}, "is in A with another machine"),
        ({"cores": 4}, "is in A with another machine"),
    ],
)
def test_only_runs_of_the_same_thing_are_compared_and_the_others_are_listed(tmp_path, other, reason):
    alike = made_run(name="alike")
    pairs = pairs_of(tmp_path, [alike, made_run()], [made_run(name="alike", day=1), made_run(**other, day=1)])
    assert [(a.info.name, b.info.name) for a, b in pairs.pairs] == [("alike", "alike")]
    assert [each.side for each in pairs.unpaired] == ["A", "B"]
    assert pairs.unpaired[1].reason == reason


def test_a_kernel_that_leaves_a_little_more_memory_makes_no_other_machine(tmp_path):
    memory = MACHINE["memory_bytes"]
    pairs = pairs_of(tmp_path, [made_run()], [made_run(day=1, memory_bytes=memory - 5_000_000)])
    assert len(pairs.pairs) == 1


def test_different_machines_are_refused_with_the_names_of_both(tmp_path):
    a, b = [made_run()], [made_run(day=1, host="laptop", processor="Slow 1", cores=2, memory_bytes=None)]
    with pytest.raises(
        ConfigurationError,
        match=r"A of server, Quick 3000, 8 cores, 34\.4 GB; B of laptop, Slow 1, 2 cores\. .*--across-machines",
    ):
        pairs_of(tmp_path, a, b)
    assert len(pairs_of(tmp_path, a, b, across_machines=True).pairs) == 1


def test_the_newest_run_on_the_same_machine_is_compared_with(compared):
    a = [made_run([10.0, 10.0], day=0), made_run([99.0, 99.0], day=1, host="laptop")]
    (row,) = compared(a, [made_run([10.0, 10.0], day=2)])
    assert row.verdict == "no difference seen"


@pytest.mark.parametrize(("state", "said"), [("failed", "failed"), ("running", "has not ended, or was killed")])
def test_a_run_that_did_not_reach_its_end_takes_no_part_and_is_named(tmp_path, state, said):
    pairs = pairs_of(tmp_path, [made_run([1.0])], [made_run([2.0], day=1), made_run([3.0], day=2, state=state)])
    ((_, b),) = pairs.pairs
    assert b.samples["JobRuntimeSeconds"] == [2.0]
    assert [(each.side, each.reason) for each in pairs.incomplete] == [("B", said)]


def test_a_failure_of_long_ago_is_not_told(tmp_path):
    pairs = pairs_of(tmp_path, [made_run(state="failed"), made_run(day=1)], [made_run(day=2)])
    assert pairs.incomplete == []


def test_a_store_held_against_itself_is_refused(store):
    with pytest.raises(ConfigurationError, match=r"are the same runs\. The last two of a store: STORE@latest~1"):
        pair_up(read_source(store), read_source(f"{store}@latest"))


def test_a_run_that_is_on_both_sides_is_listed(store):
    pairs = pair_up(read_source(f"{store}@a1a1"), read_source(store))
    assert [(each.side, each.run.info.engine, each.reason) for each in pairs.unpaired] == [
        ("A and B", "beam", "is the same run")
    ]


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("@latest~7", "", "@latest~7 goes back further than the runs that are there"),
        ("@c0ffee", "@dec0de", "@dec0de has no run that reached its end"),
        (
            "@beef",
            "@c0ffee",
            "no runs of the same work: A: classification small, 5 examples, cpu, embedded is in B with",
        ),
    ],
)
def test_where_nothing_can_be_compared_the_reason_is_said(tmp_path, a, b, message):
    runs = [
        made_run(day=0, commit=OLD, test_id="c0ffee" + 26 * "0"),
        made_run(day=1, commit=OLD, test_id="dec0de" + 26 * "0", state="failed"),
        made_run(day=2, commit=OLD, test_id="beef" + 28 * "0", examples=5),
    ]
    path = write_store(tmp_path / "s.sqlite", runs)
    with pytest.raises(ConfigurationError, match=message):
        pair_up(read_source(path + a), read_source(path + b))


# What is said of it.


@pytest.mark.parametrize(
    ("a", "b", "verdict", "worse"),
    [
        ([10.0, 10.1, 9.9], [12.0, 12.1, 11.9], "slower", True),
        ([12.0, 12.1, 11.9], [10.0, 10.1, 9.9], "faster", False),
        ([10.0, 10.1, 9.9], [10.2, 10.3, 10.25], "slower", False),  # For sure, but by less than the threshold.
        ([10.0, 14.0, 7.0], [12.0, 16.0, 9.0], "no difference seen", False),  # By more, but not for sure.
        ([10.0], [20.0], TOO_FEW, False),
        ([10.0, 10.1], [20.0], TOO_FEW, False),
        ([10.0, 10.0], [10.0, 10.0], "no difference seen", False),
        ([10.0, 10.0], [10.004, 10.004], "no difference seen", False),  # It would be shown as 0.0 %.
    ],
)
def test_worse_is_what_is_beyond_the_threshold_and_for_sure(compared, a, b, verdict, worse):
    (row,) = compared([made_run(a)], [made_run(b, day=1)])
    assert (row.verdict, row.worse) == (verdict, worse)


@pytest.mark.parametrize(("threshold", "worse"), [(0.0499, True), (0.05, False), (0.0, True)])
def test_what_is_exactly_at_the_threshold_is_not_beyond_it(compared, threshold, worse):
    (row,) = compared([made_run([10.0, 10.0])], [made_run([10.5, 10.5], day=1)], threshold=threshold)
    assert row.worse is worse


@pytest.mark.parametrize(
    ("metric", "a", "b", "verdict", "worse"),
    [
        ("AvgThroughputElements", 100.0, 90.0, "slower", True),
        ("AvgThroughputElements", 90.0, 100.0, "faster", False),
        ("peak_memory_bytes", 1e9, 2e9, "worse", True),
        ("peak_share", 0.5, 0.6, "better", False),
        ("cpu_utilization", 0.5, 0.9, "higher", False),
        ("inference_batch_latency_micro_secs_P95", 100.0, 200.0, "slower", True),
        ("throughput_rows_per_sec", 200.0, 100.0, "slower", True),
        ("padding_efficiency", 0.9, 0.5, "worse", True),
        ("batch_size_MEAN", 64.0, 32.0, "lower", False),
        ("tokens_lost", 1.0, 2.0, "worse", True),
        ("token_throughput", 1.0, 2.0, "better", False),
    ],
)
def test_each_metric_has_a_side_that_is_worse(compared, metric, a, b, verdict, worse):
    before, after = [made_run(samples={metric: [a, a]})], [made_run(day=1, samples={metric: [b, b]})]
    (row,) = compared(before, after, metric)
    assert (row.verdict, row.worse) == (verdict, worse)


def test_a_benchmark_says_for_its_own_measures_which_side_is_better(compared):
    own = {"score": Measure("score", "points", "score", "How good.", "higher")}
    before, after = [made_run(samples={"score": [1.0, 1.0]})], [made_run(day=1, samples={"score": [2.0, 2.0]})]
    (row,) = compared(before, after, "score", own=own)
    assert row.verdict == "better"


def test_a_value_of_0_has_no_ratio(compared):
    def made(values, day):
        return [made_run(day=day, samples={"failed_elements": values})]

    (row,) = compared(made([0.0, 0.0], 0), made([0.0, 3.0], 1), "failed_elements")
    assert (row.verdict, row.ratio, row.worse) == ("no ratio: a value is 0", None, False)
    (row,) = compared(made([0.0, 0.0], 0), made([0.0, 0.0], 1), "failed_elements")
    assert row.verdict == "same"


def test_a_metric_that_one_side_lacks_is_said_and_one_that_both_lack_is_left_out(compared):
    a = [made_run(samples={"peak_share": [0.5]}), made_run(engine="beam")]
    rows = compared(a, [made_run(day=1), made_run(day=1, engine="beam")], "peak_share")
    assert [row.verdict for row in rows] == ["not measured in B"]


def test_several_metrics_each_have_their_rows_and_naming_one_twice_changes_nothing(compared):
    a, b = [made_run(samples={"peak_share": [0.5]})], [made_run(day=1, samples={"peak_share": [0.5]})]
    rows = compared(a, b, "peak_share", "JobRuntimeSeconds", "peak_share")
    assert [row.measure.name for row in rows] == ["peak_share", "JobRuntimeSeconds"]


def test_the_nearest_metric_is_named_for_one_that_there_is_not(compared):
    runs = {"samples": {"throughput_after_load": [1.0], "batch_size_MEAN": [1.0]}}
    with pytest.raises(
        ConfigurationError,
        match=r"no metric 'throughput_after'\. Did you mean 'throughput_after_load'\? They have JobRuntimeSeconds, "
        "throughput_after_load, and 1 metrics of their engines",
    ):
        compared([made_run(**runs)], [made_run(day=1, **runs)], "throughput_after")


def test_a_statistic_of_a_metric_has_its_unit_and_name():
    assert measure_of("inference_batch_latency_micro_secs_P95", {}).unit == "µs"
    assert measure_of("inference_batch_latency_micro_secs_P95", {}).label.endswith(" p95")
    count = measure_of("inference_batch_latency_micro_secs_COUNT", {})
    assert (count.unit, count.better) == ("", None)


def test_all_of_it_can_be_written_as_json(tmp_path):
    a = [made_run([10.0, 10.1]), made_run(name="gone")]
    b = [made_run([12.0, 12.1], day=1), made_run(day=2, state="failed")]
    pairs = pairs_of(tmp_path, a, b)
    document = json.loads(json.dumps(to_dict(pairs, compare_pairs(pairs), 0.05)))
    (row,) = document["rows"]
    assert document["worse"] is row["worse"] is True
    assert row["a"]["samples"] == [10.0, 10.1]
    assert row["b"]["median"] == pytest.approx(12.05)
    assert row["interval_percent"][0] < row["difference_percent"] < row["interval_percent"][1]
    assert document["unpaired"][0]["run"] == "gone small, 1,000 examples, cpu"
    assert document["incomplete"][0]["reason"] == "failed"
