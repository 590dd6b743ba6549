"""A benchmark of a pipeline, on Beam's local runner and on its Dataflow runner with a server for the service."""

import pytest

pytest.importorskip("apache_beam")
pytest.importorskip("google.cloud.dataflow_v1beta3")
pytest.importorskip("google.cloud.storage")

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.runner import PipelineResult, PipelineRunner
from dataflow_server import END_S, JOB_ID, PROJECT, REGION, START_S, STARTED, USAGE, DataflowServer, job_metrics, metric

from runinference import ConfigurationError
from runinference.beam import RunInference
from runinference.benchmarks.cost import local_cost
from runinference.benchmarks.dataflow import DataflowBenchmark
from runinference.benchmarks.dataflow.pcollections import pcollection_of
from runinference.benchmarks.process import BenchmarkError
from runinference.errors import DataError
from runinference.handler import ModelHandler
from runinference.metrics.publisher import Publisher

LOCAL = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
OUTPUT = "Infer/BeamML_RunInference"


class Double(ModelHandler):
    def load_model(self):
        return 2

    def run_inference(self, batch, model, inference_args=None):
        return [element * model for element in batch]

    def get_metrics_namespace(self):
        return "doubling"


class Counting(beam.DoFn):
    """Counts what it sees in each way that Beam has."""

    def process(self, element):
        Metrics.counter("own", "seen").inc()
        Metrics.distribution("own", "size").update(int(element))
        Metrics.gauge("own", "last").set(7)
        Metrics.distribution("own", "runtime").update(1_000 + int(element))
        yield element


class Fails(beam.DoFn):
    def process(self, element):
        raise ValueError("this row is bad")


class Doubling(DataflowBenchmark):
    elements = 30

    def build(self, pipeline):
        numbers = pipeline | "Numbers" >> beam.Create(list(range(self.elements)))
        numbers | "Step: Count All" >> beam.ParDo(Counting()) | "Infer" >> RunInference(Double())


class Broken(DataflowBenchmark):
    def build(self, pipeline):
        pipeline | beam.Create([1]) | beam.ParDo(Fails())


class EndlessRunner(PipelineRunner):
    """Runs nothing, until it is cancelled."""

    def run_pipeline(self, pipeline, options):
        return EndlessResult("RUNNING")


class EndlessResult(PipelineResult):
    def cancel(self):
        self._state = "CANCELLED"

    def wait_until_finish(self, duration=None):
        return self.state

    def metrics(self):
        assert self.state == "CANCELLED"
        return NoMetrics()


class NoMetrics:
    def query(self):
        return {"counters": [], "distributions": [], "gauges": []}


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
    server.metrics = [job_metrics(USAGE, [(f"{OUTPUT}-out0", 30, 50.0)])]
    yield server
    server.close()


@pytest.fixture
def dataflow(server, tmp_path):
    """Options that make the server run the pipeline."""
    return [
        "--runner=DataflowRunner",
        f"--project={PROJECT}",
        f"--region={REGION}",
        f"--temp_location={tmp_path}",
        f"--staging_location={tmp_path}",
        f"--dataflow_endpoint={server.url}",
        "--no_auth",
        "--sdk_container_image=example/image:1",
        "--machine_type=n1-standard-2",
    ]


@pytest.fixture
def make(clock):
    """Makes a benchmark in time that passes at once."""
    return lambda cls=Doubling, **arguments: cls(clock=clock, sleep=clock.sleep, **arguments)


class TestOnThisMachine:
    def test_time_and_machine_type_give_the_cost(self):
        measured = Doubling(machine_type="n1-standard-4").run(LOCAL)
        run_s = measured.values["JobRuntimeSeconds"]
        assert measured.values["EstimatedCost"] == pytest.approx(local_cost(run_s, "n1-standard-4").total)
        assert measured.values["AvgThroughputElements"] == pytest.approx(30 / run_s)
        assert measured.values["estimated_cost_per_million"] == pytest.approx(
            measured.values["EstimatedCost"] * 1e6 / 30
        )
        assert measured.texts == {"machine_type": "n1-standard-4"}
        info = measured.run
        assert (info.name, info.engine, info.state, info.device, info.job_id) == (
            "Doubling",
            "beam",
            "done",
            "cpu",
            None,
        )
        assert info.options["prices"] == "list prices of us-central1, 2026-11-21"

    def test_metrics_of_all_namespaces_have_the_names_of_beams_benchmarks(self):
        values = Doubling().run(LOCAL).values
        own = {name: value for name, value in values.items() if name.startswith("own_")}
        assert own == {
            "own_count_all_seen": 30,
            "own_count_all_last": 7,
            "own_count_all_count_size": 30,
            "own_count_all_max_size": 29,
            "own_count_all_min_size": 0,
            "own_count_all_sum_size": 435,
            "own_count_all_mean_size": 14.5,
            "own_runtime": 29,
        }
        (counted,) = [value for name, value in values.items() if name.endswith("_num_inferences")]
        assert counted == 30
        assert [name for name in values if name.startswith("doubling_infer")] != []

    @pytest.mark.parametrize("namespaces", ["own", ["own", "none"]])
    def test_one_may_choose_namespaces(self, namespaces):
        values = Doubling(namespaces=namespaces).run(LOCAL).values
        assert "own_count_all_seen" in values
        assert [name for name in values if "inferenc" in name] == []

    def test_a_gpu_that_is_named_is_charged(self):
        measured = Doubling(machine_type="n1-standard-4", gpu="Tesla T4").run(LOCAL)
        run_s = measured.values["JobRuntimeSeconds"]
        assert measured.values["EstimatedCost"] == pytest.approx(local_cost(run_s, "n1-standard-4", "T4").total)
        assert measured.run.device == "T4"

    def test_a_pipeline_that_fails_is_an_error_and_is_published_as_failed(self):
        published = []
        with pytest.raises(BenchmarkError, match=r"The pipeline failed: .*this row is bad"):
            Broken().run(LOCAL, published.append)
        assert [(each.run.state, dict(each.values)) for each in published] == [("running", {}), ("failed", {})]
        assert len({each.run.test_id for each in published}) == 1

    def test_a_streaming_pipeline_is_cancelled_when_its_time_is_up(self, make, clock):
        measured = make(streaming=True, timeout_s=30).run([f"--runner={__name__}.EndlessRunner"])
        assert clock.now_s == pytest.approx(30, abs=0.2)
        assert measured.values.keys() == {"JobRuntimeSeconds", "EstimatedCost"}

    def test_a_pipeline_that_takes_too_long_is_cancelled_and_an_error(self, make):
        with pytest.raises(BenchmarkError, match="The pipeline did not end within 30 s, and was cancelled"):
            make(timeout_s=30).run([f"--runner={__name__}.EndlessRunner"])

    def test_a_time_that_is_long_enough_changes_nothing(self):
        assert Doubling(timeout_s=600).run(LOCAL).values["own_count_all_seen"] == 30

    def test_the_measurement_goes_to_where_metrics_are_published(self, tmp_path):
        from runinference.metrics.history import read_runs

        publisher = Publisher([f"sqlite:{tmp_path}/m.db"], tmp_path / "waiting")
        Doubling(name="mine").run(LOCAL, publisher.publish)
        publisher.close()
        (run,) = read_runs(tmp_path / "m.db")
        assert (run.info.name, run.complete, run.samples["own_count_all_seen"]) == ("mine", True, [30.0])

    def test_options_of_ones_own_reach_the_pipeline(self):
        class Amount(PipelineOptions):
            @classmethod
            def _add_argparse_args(cls, parser):
                parser.add_argument("--amount", type=int, default=1)

        class Own(Doubling):
            def build(self, pipeline):
                self.elements = pipeline.options.view_as(Amount).amount
                super().build(pipeline)

            def work(self):
                return {"amount": self.elements}

        measured = Own().run([*LOCAL, "--amount=4"])
        assert measured.values["own_count_all_seen"] == 4
        assert measured.run.options["work"] == {"runner": "FnApiRunner", "amount": 4}


class TestOnDataflow:
    def test_the_job_tells_the_figures(self, dataflow, make):
        published = []
        measured = make().run(dataflow, published.append)
        values = measured.values
        assert {name: values[name] for name in USAGE} == USAGE
        assert values["JobRuntimeSeconds"] == END_S - START_S
        assert (values["AvgThroughputElements"], values["AvgThroughputBytes"]) == (30 / 600, 1500 / 600)
        assert values["EstimatedCost"] == pytest.approx(0.2554, rel=1e-3)
        assert values["estimated_cost_per_million"] == pytest.approx(values["EstimatedCost"] * 1e6 / 30)
        assert measured.texts == {}
        assert [(each.run.state, len(each.values)) for each in published] == [("running", 0), ("done", len(values))]

    def test_what_ran_is_a_worker_of_dataflow_and_not_this_machine(self, dataflow, make):
        info = make().run(dataflow).run
        assert (info.job_id, info.host, info.processor, info.cores) == (
            JOB_ID,
            "Dataflow us-central1",
            "n1-standard-2",
            2,
        )
        assert info.memory_bytes == 7.5 * 2**30
        work = {"runner": "DataflowRunner", "region": REGION, "machine_type": "n1-standard-2"}
        assert info.options["work"] == work

    def test_the_metrics_of_the_pipeline_are_there_too(self, server, dataflow, make, tmp_path):
        def with_counters():
            (staged,) = tmp_path.rglob("pipeline.pb")
            transforms = beam_runner_api_pb2.Pipeline.FromString(staged.read_bytes()).components.transforms
            (step,) = [name for name, transform in transforms.items() if transform.unique_name == "Step: Count All"]
            place = {"namespace": "own", "step": step}
            counters = [metric("seen", 30, place, tentative, "user") for tentative in (True, False)]
            return job_metrics(USAGE, [(f"{OUTPUT}-out0", 30, 50.0)], others=counters)

        server.metrics = [with_counters]
        assert make().run(dataflow).values["own_count_all_seen"] == 30

    def test_waits_until_the_job_has_ended_and_its_figures_are_there(self, server, dataflow, make, clock):
        server.states = ["PENDING", "RUNNING", "RUNNING", "RUNNING", "DONE"]
        server.metrics = [job_metrics({}), job_metrics({}), *server.metrics]
        assert make().run(dataflow).values["TotalVcpuTime"] == 12_000
        assert clock.now_s > 0

    def test_a_gpu_of_the_options_is_charged(self, server, dataflow, make):
        server.metrics = [job_metrics(USAGE | {"TotalGpuTime": 6_000})]
        accelerator = "worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver"
        measured = make().run([*dataflow, f"--dataflow_service_options={accelerator}"])
        assert measured.run.device == "T4"
        assert measured.values["EstimatedCost"] == pytest.approx(0.2554 + 6_000 / 3600 * 0.42, rel=1e-3)

    def test_a_gpu_that_a_transform_asks_for_is_charged(self, server, dataflow, make):
        class OnGpu(Doubling):
            def build(self, pipeline):
                step = beam.Map(str).with_resource_hints(accelerator="type:nvidia-l4;count:1;install-nvidia-driver")
                pipeline | beam.Create([1]) | step

        server.metrics = [job_metrics(USAGE | {"TotalGpuTime": 6_000})]
        measured = make(OnGpu).run(dataflow)
        assert measured.run.device == "L4"
        assert measured.values["EstimatedCost"] == pytest.approx(0.2554 + 6_000 / 3600 * 0.672, rel=1e-3)

    def test_what_is_not_known_is_told_and_not_zero(self, server, dataflow, make):
        server.metrics = [job_metrics({"TotalVcpuTime": 1, "TotalMemoryUsage": 1}, [("Other-out0", 1, 1)])]
        measured = make().run(dataflow)
        assert "AvgThroughputElements" not in measured.values
        assert measured.texts["remarks"].split("; ") == [
            f"The job has no PCollection '{OUTPUT}.out0'. It has 'Other-out0'",
            "EstimatedCost has nothing for disk: not reported",
            "EstimatedCost has nothing for SSD disk: not reported",
            "EstimatedCost has nothing for shuffle: not reported",
        ]

    def test_a_streaming_job_is_cancelled_when_its_time_is_up(self, server, dataflow, make, clock):
        server.streaming = True
        server.states = ["RUNNING"]
        server.messages = [(START_S, "JOB_MESSAGE_DETAILED", STARTED), (END_S, "JOB_MESSAGE_BASIC", "Cancelled")]
        measured = make(streaming=True, timeout_s=120).run(dataflow)
        assert server.count("PUT", JOB_ID) == 1
        assert measured.values["JobRuntimeSeconds"] == 600
        assert measured.run.state == "done"
        assert clock.now_s >= 120

    def test_a_batch_job_that_takes_too_long_is_cancelled_and_an_error(self, server, dataflow, make):
        server.states = ["RUNNING"]
        with pytest.raises(BenchmarkError, match=f"Job {JOB_ID} did not end within 60 s, and was cancelled"):
            make(timeout_s=60).run(dataflow)
        assert server.count("PUT", JOB_ID) == 1

    @pytest.mark.parametrize("states", [["FAILED"], ["RUNNING", "RUNNING", "RUNNING", "FAILED"]])
    def test_a_job_that_failed_is_an_error_with_what_it_said(self, server, dataflow, make, states):
        server.states = states
        server.messages.append(
            (END_S + 1, "JOB_MESSAGE_ERROR", "Workflow failed. Causes: the workers ran out of disk.")
        )
        published = []
        with pytest.raises(BenchmarkError, match=f"Job {JOB_ID} ended as FAILED: Workflow failed. Causes: the workers"):
            make().run(dataflow, published.append)
        assert [each.run.state for each in published] == ["running", "failed"]
        assert published[-1].run.job_id == JOB_ID

    def test_a_job_that_somebody_cancelled_is_an_error(self, server, dataflow, make):
        server.states = ["CANCELLED"]
        with pytest.raises(BenchmarkError, match="ended as CANCELLED, and said no error"):
            make().run(dataflow)

    def test_figures_that_may_not_be_read_are_an_error(self, server, dataflow, make):
        server.failures = [None, 403]
        with pytest.raises(DataError, match=r"403 .*The account needs the roles"):
            make().run(dataflow)

    def test_a_job_that_cannot_be_started_is_an_error(self, server, dataflow, make, tmp_path):
        with pytest.raises(BenchmarkError, match=r"The job could not be started: .*setup\.py"):
            make().run([*dataflow, f"--setup_file={tmp_path}/none/setup.py"])
        assert server.requests == []

    def test_a_template_is_no_job(self, dataflow, make, tmp_path):
        with pytest.raises(ConfigurationError, match="No job was run"):
            make().run([*dataflow, f"--template_location={tmp_path}/template"])


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ({"timeout_s": 0}, "timeout_s=0: expected more than 0"),
            ({"streaming": True}, "streaming=True needs timeout_s"),
            ({"gpu": "T5"}, "There is no price for a GPU 'T5'"),
            ({"machine_type": "n1-standard-3"}, r"no machine type 'n1-standard-3'.* Did you mean 'n1-standard-"),
            ({"subscription": "projects/p/topics/t"}, "expected projects/PROJECT/subscriptions/NAME"),
        ],
    )
    def test_is_told_when_the_benchmark_is_made(self, arguments, problem):
        with pytest.raises(ConfigurationError, match=problem):
            Doubling(**arguments)

    def test_of_a_pcollection_is_told_before_a_job_is_paid_for(self, server, dataflow, make):
        with pytest.raises(ConfigurationError, match=r"the pipeline has no transform 'Inferr'\. Did you mean 'Infer'"):
            make(pcollection="Inferr.out0").run(dataflow)
        assert server.requests == []

    def test_of_a_gpu_without_a_price_is_told_before_a_job_is_paid_for(self, server, dataflow, make):
        with pytest.raises(ConfigurationError, match="There is no price for a GPU 'nvidia-h100-80gb'"):
            make().run([*dataflow, "--dataflow_service_options=worker_accelerator=type:nvidia-h100-80gb;count:1"])
        assert server.requests == []

    def test_of_credentials_is_told_before_a_job_is_paid_for(self, server, dataflow, make, monkeypatch, tmp_path):
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        with pytest.raises(DataError, match="Set GOOGLE_APPLICATION_CREDENTIALS"):
            make().run([option for option in dataflow if option != "--no_auth"])
        assert server.requests == []

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (None, f"{OUTPUT}.out0"),
            ("Infer", f"{OUTPUT}.out0"),
            ("Infer.out0", f"{OUTPUT}.out0"),
            (f"{OUTPUT}-out0", f"{OUTPUT}.out0"),
            ("Step: Count All", "Step: Count All.out0"),
            ("Step: Count All.out1", "Step: Count All.out1"),
        ],
    )
    def test_of_labels_is_none_for_transforms_made_of_others(self, name, expected):
        pipeline = beam.Pipeline()
        Doubling().build(pipeline)
        assert pcollection_of(pipeline, name) == expected
