"""`runinference bench run` with Beam's Dataflow runner, and a server for the service."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from runinference.benchmarks.data.sentences import make_sentences
from runinference.benchmarks.models.distilbert import DISTILBERT
from runinference.benchmarks.models.pretrained import PretrainedModel
from runinference.benchmarks.settings import Settings
from runinference.metrics.history import read_runs

for package in ("PIL", "apache_beam", "google.cloud.dataflow_v1beta3", "google.cloud.storage", "torch", "transformers"):
    pytest.importorskip(package)


def load_server():
    path = Path(__file__).parents[1] / "benchmarks" / "dataflow_server.py"
    spec = importlib.util.spec_from_file_location("dataflow_server", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dataflow = load_server()


@pytest.fixture
def server():
    server = dataflow.DataflowServer()
    yield server
    server.close()


@pytest.fixture
def options(server, folder, monkeypatch):
    """A file of options that make the server run the pipeline."""
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(folder / "cache"))
    (folder / "staging").mkdir()
    lines = [
        "--runner=DataflowRunner",
        f"--project={dataflow.PROJECT}",
        f"--region={dataflow.REGION}",
        f"--temp_location={folder}/staging",
        f"--staging_location={folder}/staging",
        f"--dataflow_endpoint={server.url}",
        "--no_auth",
        "--sdk_container_image=example/image:1",
        "--machine_type=n1-standard-2",
    ]
    (folder / "dataflow.txt").write_text("\n".join(lines))
    return "@dataflow.txt"


def test_a_benchmark_on_dataflow_is_stored_with_its_job_and_what_it_cost(run, folder, server, options):
    count = 12_000  # More than fit into the pipeline.
    (folder / "sentences.txt").write_text("\n".join(make_sentences(count)))
    shutil.copy(PretrainedModel(DISTILBERT, Settings(1, "tiny")).state_dict(), folder / "tiny.pth")
    made = sorted((folder / "cache").rglob("*.pth"))
    shipped = []

    def used():
        shipped.extend((folder / "staging").rglob("*.pickle"))
        return dataflow.job_metrics(
            dataflow.USAGE, [("RunInference(KeyedModelHandler)/BeamML_RunInference-out0", count, 900.0)]
        )

    server.metrics = [used]
    done = run(
        *("bench", "run", "pytorch-sentiment:tiny", options, "--engine", "beam", "--examples", str(count)),
        *("--input", f"file://{folder}/sentences.txt", "--weights", f"file://{folder}/tiny.pth"),
    )
    assert done.returncode == 0, done.stderr
    assert "PyTorch sentiment, tiny: 12,000 elements on cpu" in done.stdout
    (stored,) = read_runs(folder / "benchmarks.sqlite")
    assert (stored.info.engine, stored.info.state, stored.info.job_id) == ("beam", "done", dataflow.JOB_ID)
    assert stored.samples["JobRuntimeSeconds"] == [dataflow.END_S - dataflow.START_S]
    assert stored.samples["AvgThroughputElements"] == [pytest.approx(count / 600)]
    assert stored.samples["EstimatedCost"] == [pytest.approx(0.2554, rel=1e-3)]
    assert stored.samples["estimated_cost_per_million"] == [pytest.approx(0.2554e6 / count, rel=1e-3)]
    # What is of the machine that started the job says nothing about the workers.
    assert not stored.samples.keys() & {"peak_memory_bytes", "cpu_utilization", "peak_share"}
    assert server.count("POST", "/jobs") == 1
    assert len({path.name for path in shipped}) == 12
    assert [path.name for path in (folder / "staging").rglob("*.pickle")] == []
    assert sorted((folder / "cache").rglob("*.pth")) == made


@pytest.mark.parametrize("engine", ["beam", "beam-original"])
def test_what_workers_cannot_read_is_refused_before_there_is_a_job(run, folder, server, options, engine):
    done = run("bench", "run", "pytorch-sentiment:tiny", options, "--engine", engine, "--examples", "10")
    assert done.returncode == 2
    assert "The workers of DataflowRunner cannot read files of this machine" in done.stderr
    assert f"gcloud storage cp -r {folder}/cache/benchmarks/tiny-DistilBert" in done.stderr
    assert "--weights gs://YOUR-BUCKET/tiny-DistilBert" in done.stderr
    assert server.requests == []
