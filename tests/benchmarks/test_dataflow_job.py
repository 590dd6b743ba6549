"""What is read of a job of Dataflow: Google's clients, and servers that speak as much of their APIs."""

import pytest

pytest.importorskip("google.cloud.dataflow_v1beta3")
pytest.importorskip("google.cloud.monitoring_v3")

import grpc
from dataflow_server import (
    END_S,
    JOB_ID,
    PROJECT,
    REGION,
    START_S,
    STARTED,
    STOPPING,
    USAGE,
    DataflowServer,
    job_metrics,
    metric,
)
from google.auth.credentials import AnonymousCredentials
from monitoring_server import MonitoringServer

from runinference import ConfigurationError
from runinference.benchmarks.dataflow import GoogleClients, JobReader, Waiting, read_figures
from runinference.errors import DataError

OUTPUT = "RunInference/PostProcess"
ELEMENT_COUNT = "dataflow.googleapis.com/job/element_count"
BYTE_COUNT = "dataflow.googleapis.com/job/estimated_byte_count"


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    server = DataflowServer()
    server.metrics = [job_metrics(USAGE, [(f"{OUTPUT}-out0", 30_000, 50.0), ("Read-out0", 10, 9.0)])]
    yield server
    server.close()


@pytest.fixture
def monitoring():
    server = MonitoringServer()
    yield server
    server.close()


@pytest.fixture
def clients(server, monitoring, clock):
    with GoogleClients(server.url, AnonymousCredentials(), monitoring.client(), clock.sleep) as clients:
        yield clients


@pytest.fixture
def reader(clients):
    return JobReader(PROJECT, REGION, JOB_ID, clients)


@pytest.fixture
def read(reader, clock):
    """Reads the figures of the job, in time that passes at once."""

    def read(pcollection=f"{OUTPUT}.out0", **arguments):
        waiting = Waiting(clock=clock, sleep=clock.sleep)
        return read_figures(reader, pcollection=pcollection, waiting=waiting, **arguments)

    return read


def counts(pcollection, *values, kind=ELEMENT_COUNT):
    """A time series of how many elements a PCollection has had, every minute after the start."""
    points = [(START_S + 60 * minute, START_S + 60 * minute, value) for minute, value in enumerate(values, 1)]
    return PROJECT, kind, {"job_id": JOB_ID, "pcollection": pcollection}, {}, points


def delivered(kind, *values, project=PROJECT):
    """A time series of what a subscription delivered in each minute after the start."""
    points = [(START_S + 60 * minute, START_S + 60 * (minute + 1), value) for minute, value in enumerate(values)]
    return project, f"pubsub.googleapis.com/subscription/{kind}", {}, {"subscription_id": "rows"}, points


class TestJob:
    def test_that_is_done(self, reader):
        job = reader.job()
        assert (job.id, job.name, job.state, job.streaming) == (JOB_ID, "my-job", "DONE", False)
        assert job.since_s == END_S + 100

    def test_that_does_not_exist(self, clients):
        reader = JobReader(PROJECT, REGION, "other", clients)
        with pytest.raises(
            DataError, match=r"Job other of project my-project in us-central1 cannot be read: 404 .*other"
        ):
            reader.job()

    def test_that_may_not_be_read_tells_the_roles(self, server, reader, clock):
        server.failures = [403]
        with pytest.raises(DataError, match=r"403 .*permission\. The account needs the roles dataflow\.viewer"):
            reader.job()
        assert clock.now_s == 0  # It was not tried again.

    def test_that_may_not_be_read_without_credentials_tells_where_they_go(self, server, reader):
        server.failures = [401]
        with pytest.raises(DataError, match=r"refreshed\. Set GOOGLE_APPLICATION_CREDENTIALS"):
            reader.job()

    def test_is_asked_for_again_while_the_service_is_busy(self, server, reader, clock):
        server.failures = [503, 500, 429]
        assert reader.job().state == "DONE"
        assert clock.now_s == 1 + 2 + 4

    def test_is_given_up_when_the_service_stays_broken(self, server, reader):
        server.failures = [500] * 5
        with pytest.raises(DataError, match=r"cannot be read: 500 .*not now"):
            reader.job()
        assert len(server.requests) == 5

    def test_is_given_up_when_the_service_is_not_there(self, server, clock):
        with (
            GoogleClients("http://localhost:9", AnonymousCredentials(), sleep=clock.sleep) as clients,
            pytest.raises(DataError, match=r"Job .* cannot be read"),
        ):
            JobReader(PROJECT, REGION, JOB_ID, clients).job()

    def test_without_any_credentials_says_so(self, monkeypatch, tmp_path):
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        with pytest.raises(DataError, match=r"the Dataflow API cannot be read: .*Set GOOGLE_APPLICATION_CREDENTIALS"):
            GoogleClients()

    def test_messages_come_from_all_pages(self, server, reader):
        assert [message.text for message in reader.messages()] == [text for _, _, text in server.messages]
        assert server.count("GET", "/messages") == 3

    def test_metrics_are_of_the_whole_job_and_final_rather_than_tentative(self, server, reader):
        others = [
            metric("TotalVcpuTime", 1, {}),
            metric("TotalPdUsage", 150_001, {}, tentative=False),
            metric("TotalPdUsage", 1, {}),
            metric("ExecutionTime_ProcessElement", 5, {"step": "s1"}),
            metric("num_inferences", 5, {"namespace": "n", "step": "s1"}, origin="user"),
            metric("SomeText", "word", {}),
            metric("SomeTruth", True, {}),
        ]
        server.metrics = [job_metrics({"TotalVcpuTime": 7}, [("a-out0", 3, 4)], others=others)]
        metrics = reader.metrics()
        assert metrics.usage == {"TotalVcpuTime": 1.0, "TotalPdUsage": 150_001.0}
        assert (metrics.elements, metrics.mean_bytes) == ({"a-out0": 3.0}, {"a-out0": 4.0})


class TestFigures:
    def test_of_a_batch_job(self, read):
        figures = read()
        assert figures.problems == []
        values = figures.values()
        assert {name: values[name] for name in USAGE} == USAGE
        assert values["JobRuntimeSeconds"] == END_S - START_S == 600
        # 30,000 elements of 50 bytes in 600 s, not the mean of a count that grows.
        assert (values["AvgThroughputElements"], values["AvgThroughputBytes"]) == (50, 2_500)
        expected = 12_000 / 3600 * 0.056 + 46_080_000 / 1024 / 3600 * 0.003557 + 150_000 / 3600 * 0.000054 + 2 * 0.011
        assert values["EstimatedCost"] == pytest.approx(expected)
        assert values["estimated_cost_per_million"] == pytest.approx(expected / 0.03)
        assert figures.texts() == {}

    def test_of_a_job_with_gpus(self, server, read):
        server.metrics = [job_metrics(USAGE | {"TotalGpuTime": 3600})]
        without = read().cost
        assert without.total is None
        cost = read(gpu="nvidia-tesla-t4").cost
        assert cost.total == pytest.approx(0.42 + sum(line.cost for line in without.lines if line.cost is not None))

    def test_a_gpu_that_is_not_known_leaves_the_cost_out_with_the_reason(self, server, read):
        server.metrics = [job_metrics(USAGE | {"TotalGpuTime": 3600})]
        figures = read()
        assert "EstimatedCost" not in figures.values()
        assert (
            "EstimatedCost has nothing for GPU: used, but it is not known of which type" in figures.texts()["remarks"]
        )

    @pytest.mark.parametrize(
        ("environment", "remark"),
        [
            ({"flexResourceSchedulingGoal": "FLEXRS_COST_OPTIMIZED"}, "ran with FlexRS, which costs less"),
            ({"serviceOptions": ["enable_prime"]}, "Dataflow Prime"),
            ({"useStreamingEngineResourceBasedBilling": True}, "compute units"),
        ],
    )
    def test_of_a_job_that_is_charged_otherwise_say_so(self, server, read, environment, remark):
        server.environment = environment
        assert remark in read().texts()["remarks"]

    def test_wait_until_the_service_has_added_up(self, server, read, clock):
        early = job_metrics({})
        partial = job_metrics(USAGE | {"TotalVcpuTime": 100})
        server.metrics = [early, early, partial, partial | {"metrics": []}, job_metrics(USAGE)]
        assert read(None).values()["TotalVcpuTime"] == 12_000
        assert clock.now_s == 15 * 5  # Asked until two answers were the same.

    def test_wait_for_what_is_summed_up_to_the_end(self, server, read):
        before = job_metrics(USAGE | {"TotalVcpuTime": 100}, time_s=END_S - 30)
        server.metrics = [before, before, before, job_metrics(USAGE)]
        assert read(None).values()["TotalVcpuTime"] == 12_000

    def test_wait_no_longer_than_said(self, server, reader, clock):
        server.metrics = [job_metrics({"TotalVcpuTime": 1})]
        figures = read_figures(reader, waiting=Waiting(100, 30, clock, clock.sleep))
        assert clock.now_s == 90
        assert "the service was still adding it up" in figures.problems[0]
        assert figures.cost.total is None

    def test_a_job_that_says_nothing_has_no_run_time(self, server, read):
        server.messages = []
        figures = read()
        assert "JobRuntimeSeconds" not in figures.values()
        assert figures.problems == [
            "The run time of the job is not known: of its 0 messages, none has 'All workers have finished the startup "
            "processes and began to receive work requests' or 'Stopping worker pool'"
        ]
        assert figures.values()["EstimatedCost"] > 0

    def test_workers_that_never_started_have_no_run_time(self, server, read):
        server.messages = [(START_S, "JOB_MESSAGE_BASIC", STOPPING)]
        (problem,) = read().problems
        assert "of its 1 messages, none has 'All workers" in problem

    def test_workers_that_stopped_before_they_started_have_no_run_time(self, server, read):
        server.messages = [(START_S, "JOB_MESSAGE_BASIC", STOPPING), (START_S + 5, "JOB_MESSAGE_BASIC", STARTED)]
        (problem,) = read().problems
        assert "the workers were stopped before they had started" in problem

    def test_of_several_pools_the_first_start_and_the_last_stop_count(self, server, read):
        server.messages = [
            (START_S + 7, "JOB_MESSAGE_DETAILED", STARTED),
            (START_S, "JOB_MESSAGE_DETAILED", STARTED),
            (END_S - 50, "JOB_MESSAGE_BASIC", STOPPING),
            (END_S, "JOB_MESSAGE_BASIC", STOPPING),
        ]
        assert read().runtime_s == 600

    def test_figures_that_may_not_be_read_are_an_error(self, server, read):
        server.failures = [None, None, None, None, 403]
        with pytest.raises(DataError, match="its metrics cannot be read: 403"):
            read()


class TestThroughput:
    @pytest.mark.parametrize("name", [f"{OUTPUT}-out0", f"{OUTPUT}.out0", OUTPUT])
    def test_a_pcollection_is_found_as_either_service_calls_it(self, read, name):
        assert read(name).throughput.elements == 30_000

    def test_a_pcollection_that_is_not_there_lists_those_that_are(self, read):
        figures = read("RunInference/PostProces.out0")
        assert figures.problems == [
            "The job has no PCollection 'RunInference/PostProces.out0'. Did you mean 'RunInference/PostProcess-out0'? "
            "It has 'Read-out0', 'RunInference/PostProcess-out0'"
        ]
        values = figures.values()
        assert "AvgThroughputElements" not in values
        assert values["EstimatedCost"] > 0

    def test_without_a_pcollection_there_is_none(self, read):
        figures = read(None)
        assert figures.throughput is None
        assert figures.problems == ["The throughput is not known: no PCollection was named"]

    def test_comes_from_monitoring_where_the_job_does_not_tell_it(self, server, monitoring, read):
        server.metrics = [job_metrics(USAGE)]
        monitoring.series = [
            counts("Read.out0", 1, 2, 3, 4, 5, 6, 7, 8, 9),
            counts(f"{OUTPUT}.out0", 1_000, 2_000, 6_000, 9_000, 12_000, 15_000, 20_000, 24_000, 27_000),
            counts(f"{OUTPUT}.out0", *[300_000] * 10, kind=BYTE_COUNT),
        ]
        speed = read().throughput
        # 27,000 after nine minutes; the tenth is not sampled. Of bytes there is a value at the end.
        assert speed.elements_per_s == pytest.approx(27_000 / 540)
        assert speed.bytes_per_s == pytest.approx(300_000 / 600)
        # The time series came on several pages, and only those of the job while it was at work were asked for.
        assert [request.page_token for request in monitoring.requests] == ["", "1", ""]
        assert monitoring.requests[0].interval.start_time.timestamp() == START_S

    def test_waits_for_monitoring(self, server, monitoring, read, clock):
        server.metrics = [job_metrics(USAGE)]
        monitoring.late = 4
        monitoring.series = [counts(f"{OUTPUT}.out0", *[600] * 10, kind=kind) for kind in (ELEMENT_COUNT, BYTE_COUNT)]
        assert read().throughput.elements_per_s == 1
        assert clock.now_s == 15 + 4 * 15

    def test_a_name_that_monitoring_does_not_have_lists_those_it_has(self, server, monitoring, read):
        server.metrics = [job_metrics(USAGE)]
        monitoring.series = [counts("Write.out0", *[600] * 10)]
        (problem,) = read().problems
        assert "has no PCollection 'RunInference/PostProcess.out0'. It has 'Write.out0'" in problem

    def test_that_nobody_tells_is_a_problem_and_not_zero(self, server, read, clock):
        server.metrics = [job_metrics(USAGE)]
        figures = read()
        assert figures.throughput is None
        assert figures.problems == [
            "The elements of 'RunInference/PostProcess.out0' are not known: the job has counted none of any PCollection"
        ]
        assert clock.now_s == 300

    @pytest.mark.parametrize(
        ("status", "problem"),
        [
            (grpc.StatusCode.PERMISSION_DENIED, "403 not now. The account needs the roles"),
            (grpc.StatusCode.INVALID_ARGUMENT, "400 not now"),
        ],
    )
    def test_that_may_not_be_read_is_a_problem(self, server, monitoring, read, status, problem):
        server.metrics = [job_metrics(USAGE)]
        monitoring.failures = [status]
        (found,) = read().problems
        assert found.startswith(f"Cloud Monitoring of project my-project cannot be read: {problem}")

    def test_is_asked_for_again_while_monitoring_is_busy(self, server, monitoring, read):
        server.metrics = [job_metrics(USAGE)]
        monitoring.series = [counts(f"{OUTPUT}.out0", *[600] * 10, kind=kind) for kind in (ELEMENT_COUNT, BYTE_COUNT)]
        monitoring.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL]
        assert read().throughput.elements_per_s == 1


class TestStreaming:
    @pytest.fixture(autouse=True)
    def stopped_by_hand(self, server):
        server.streaming = True
        server.states = ["CANCELLED"]
        server.messages = [
            (START_S, "JOB_MESSAGE_DETAILED", STARTED),
            (END_S, "JOB_MESSAGE_BASIC", "Cancel request is committed for workflow job."),
        ]

    def test_runs_until_its_last_message_and_has_prices_of_its_own(self, server, read):
        server.metrics = [job_metrics(USAGE | {"TotalStreamingDataProcessed": 5.0})]
        figures = read()
        assert figures.runtime_s == 600
        expected = 12_000 / 3600 * 0.069 + 46_080_000 / 1024 / 3600 * 0.003557 + 150_000 / 3600 * 0.000054 + 5 * 0.018
        assert figures.cost.total == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("subscription", "project"), [("rows", PROJECT), ("projects/other/subscriptions/rows", "other")]
    )
    def test_has_the_throughput_of_its_subscription(self, monitoring, read, subscription, project):
        monitoring.series = [
            delivered("sent_message_count", *[120] * 10, project=project),
            delivered("byte_cost", *[6_000.0] * 10, project=project),
        ]
        figures = read(subscription=subscription)
        assert figures.problems == []
        assert figures.throughput == (1_200, 2, 100)

    def test_a_subscription_that_delivered_nothing_is_a_problem_and_not_zero(self, read):
        (problem,) = read(subscription="rows").problems
        assert problem == (
            "Cloud Monitoring has no pubsub.googleapis.com/subscription/sent_message_count of 'rows' in project "
            "my-project while the job ran"
        )

    @pytest.mark.parametrize("subscription", ["", "a/b", "projects//subscriptions/rows", "projects/p/topics/t"])
    def test_what_is_no_subscription_is_an_error(self, read, subscription):
        with pytest.raises(ConfigurationError, match="expected projects/PROJECT/subscriptions/NAME"):
            read(subscription=subscription)
