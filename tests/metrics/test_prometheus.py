"""Metrics that Prometheus fetches: from the text that is served, and with a Prometheus that does it."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from runinference import ConfigurationError, MissingDependencyError, ModelHandler
from runinference.metrics import METRICS, Metrics
from runinference.metrics.prometheus import exported_name, serve_metrics

pytest.importorskip("prometheus_client", reason="the extra prometheus is not installed")
pytest.importorskip("click", reason="the extra cli is not installed")
pytest.importorskip("fsspec", reason="the extra cli is not installed")
pytest.importorskip("pyarrow", reason="the extra cli is not installed")

from prometheus_client.parser import text_string_to_metric_families

from runinference.jobs.job import Job, run_job

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboards" / "grafana-prometheus.json"
TYPES = {"counter": "counter", "distribution": "summary", "gauge": "gauge"}


class Waits(ModelHandler):
    """Doubles numbers; in its third batch it lets somebody look at the job."""

    def __init__(self, look):
        super().__init__(min_batch_size=2, max_batch_size=2)
        self._look = look
        self._batches = 0

    def load_model(self):
        return 2

    def run_inference(self, batch, model, inference_args=None):
        self._batches += 1
        if self._batches == 3:
            self._look()
        return [model * number for number in batch]

    def get_metrics_namespace(self):
        return "Doubles"


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "numbers.jsonl"
    path.write_text("".join(f'{{"n": {n}}}\n' for n in range(8)))
    return path


def fetch(port):
    """What is served: values by name and labels, and types by name."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }
    return samples, {family.name: family for family in families}


def key(name, model="", **labels):
    return (name, *sorted({"handler": "mine", "model": model, **labels}.items()))


def test_counters_distributions_and_gauges_are_served_in_base_units():
    metrics = Metrics("mine")
    for milliseconds in (100.0, 200.0, 300.0):
        metrics.record({"num_inferences": 10}, {"load_model_latency_milli_secs": milliseconds})
    metrics.set("elapsed_secs", 2.5)
    with serve_metrics(metrics, 0) as server:
        samples, _ = fetch(server.port)
    assert samples[key("runinference_num_inferences_total")] == 30
    latency = "runinference_load_model_latency_seconds"
    assert samples[key(f"{latency}_count")] == 3
    assert samples[key(f"{latency}_sum")] == pytest.approx(0.6)
    quantiles = [samples[key(latency, quantile=q)] for q in ("0.5", "0.95", "0.99")]
    assert quantiles == pytest.approx([0.2, 0.3, 0.3])
    assert samples[key("runinference_elapsed_seconds")] == 2.5


def test_what_is_recorded_later_is_served_later():
    metrics = Metrics("mine")
    with serve_metrics(metrics, 0) as server:
        assert fetch(server.port)[0][key("runinference_num_inferences_total")] == 0
        metrics.count("num_inferences", 5)
        assert fetch(server.port)[0][key("runinference_num_inferences_total")] == 5


def test_a_distribution_without_values_has_no_quantiles_and_a_gauge_that_was_not_set_is_absent():
    with serve_metrics(Metrics("mine"), 0) as server:
        samples, families = fetch(server.port)
    assert samples[key("runinference_batch_size_count")] == 0
    assert key("runinference_batch_size", quantile="0.5") not in samples
    assert "runinference_elapsed_seconds" not in families


def test_per_cent_are_served_as_a_ratio():
    metrics = Metrics("mine")
    metrics.observe("device_utilization_percent", 40)
    with serve_metrics(metrics, 0) as server:
        samples, _ = fetch(server.port)
    assert samples[key("runinference_device_utilization_ratio", quantile="0.5")] == pytest.approx(0.4)


def test_words_are_labels():
    metrics = Metrics("mine")
    metrics.set("batch_size_reason", 'larger is "slower"\n')
    with serve_metrics(metrics, 0) as server:
        samples, _ = fetch(server.port)
    assert samples[key("runinference_batch_size_reason_info", text='larger is "slower"\n')] == 1


def test_models_are_labels_beside_all_together():
    metrics = Metrics("mine", prefix="odd_")
    metrics.part('a "b"').record({"num_inferences": 1, "real_tokens": 1, "padded_tokens": 4}, {"batch_size": 2})
    metrics.part("c").record({"num_inferences": 2}, {})
    with serve_metrics(metrics, 0) as server:
        samples, _ = fetch(server.port)
    rows = "runinference_num_inferences_total"
    assert (samples[key(rows)], samples[key(rows, 'a "b"')], samples[key(rows, "c")]) == (3, 1, 2)
    assert samples[key("runinference_padding_efficiency_ratio", 'a "b"')] == 0.25
    assert key("runinference_padding_efficiency_ratio", "c") not in samples


def test_every_metric_of_the_table_is_served_with_its_type_and_help():
    metrics = Metrics()
    for spec in METRICS.values():
        if spec.kind == "gauge":
            metrics.set(spec.name, "text" if spec.unit == "text" else 1)
    metrics.record({"padded_tokens": 1}, {"inference_batch_latency_micro_secs": 1})
    with serve_metrics(metrics, 0) as server:
        _, families = fetch(server.port)
    for spec in METRICS.values():
        name = exported_name(spec).name + ("_info" if spec.unit == "text" else "")
        assert (families[name].type, families[name].documentation) == (TYPES[spec.kind], spec.help)
    assert len(families) == len(METRICS)


def test_names_end_in_the_base_unit_and_no_two_are_alike():
    names = [exported_name(spec) for spec in METRICS.values()]
    assert len({each.name for each in names}) == len(names)
    assert all(each.name.endswith(each.unit) for each in names)
    assert not [each.name for each in names if any(word in each.name for word in ("micro", "milli", "msec", "_secs"))]
    assert [exported_name(METRICS[name]) for name in ("msec_per_batch", "model_byte_size", "batch_size")] == [
        ("runinference_batch_duration_seconds", "seconds", 1e-3),
        ("runinference_model_size_bytes", "bytes", 1.0),
        ("runinference_batch_size", "", 1.0),
    ]


def test_a_port_in_use_is_refused_with_its_number():
    with (
        serve_metrics(Metrics(), 0) as server,
        pytest.raises(ConfigurationError, match=rf"at port {server.port} of 127\.0\.0\.1: Address already in use"),
    ):
        serve_metrics(Metrics(), server.port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_there_cannot_be_is_refused(port):
    with pytest.raises(ConfigurationError, match=f"from 0 to 65535, not {port}"):
        serve_metrics(Metrics(), port)


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "runinference\[prometheus\]"'):
        serve_metrics(Metrics(), 0)


def test_a_closed_server_gives_its_port_back():
    server = serve_metrics(Metrics(), 0)
    server.close()
    server.close()
    with serve_metrics(Metrics(), server.port) as again:
        assert again.port == server.port


def test_a_job_is_served_while_it_runs_and_no_longer(numbers):
    port, seen = free_port(), []
    result = run_job(Job(Waits(lambda: seen.append(fetch(port)[0])), "numbers.jsonl", "out.jsonl", metrics_port=port))
    assert result.rows == 8
    (samples,) = seen
    assert samples[("runinference_num_inferences_total", ("handler", "Doubles"), ("model", ""))] == 4
    with pytest.raises(URLError, match="refused"):
        fetch(port)


def test_a_job_whose_port_is_in_use_reads_nothing(numbers):
    with (
        serve_metrics(Metrics(), 0) as server,
        pytest.raises(ConfigurationError, match=f"port {server.port}"),
    ):
        run_job(Job(Waits(pytest.fail), "numbers.jsonl", "out.jsonl", metrics_port=server.port))
    assert sorted(path.name for path in numbers.parent.iterdir()) == ["numbers.jsonl"]


def test_the_command_says_which_port_is_in_use(numbers):
    with serve_metrics(Metrics(), 0) as server:
        job = ["runinference.testing.fakes:CountingHandler", "numbers.jsonl", "out.jsonl"]
        command = [sys.executable, "-m", "runinference", "run", *job, "--metrics-port", str(server.port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, f"at port {server.port} of 127.0.0.1" in done.stderr) == (2, True)


@pytest.fixture
def prometheus(tmp_path):
    """A Prometheus that fetches from a port: `prometheus(port)` starts it and gives a function that asks it."""
    command = shutil.which("prometheus")
    if command is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    started = []

    def start(port):
        own = free_port()
        config = tmp_path / "prometheus.yml"
        job = {"job_name": "job", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
        url = f"127.0.0.1:{own}"
        options = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={url}"]
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen([command, *options], stdout=log, stderr=log)
        started.append(process)
        wait_until(lambda: is_ready(f"http://{url}") or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "log").read_text()

        def ask(expression):
            with urlopen(f"http://{url}/api/v1/query?query={quote(expression)}") as answer:
                return json.load(answer)["data"]["result"]

        return ask

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


def test_prometheus_sees_a_job_while_it_runs_and_understands_the_dashboard(numbers, prometheus):
    port = free_port()
    ask = prometheus(port)
    rows, answers = [], {}

    def look():
        # A rate needs two fetches, so look until there is one.
        wait_until(lambda: ask("rate(runinference_num_inferences_total[1m])"))
        rows.extend(ask("runinference_num_inferences_total"))
        answers.update({expression: ask(expression) for expression in expressions()})

    run_job(Job(Waits(look), "numbers.jsonl", "out.jsonl", metrics_port=port))
    (found,) = rows
    assert found["value"][1] == "4"
    assert found["metric"] == {
        "__name__": "runinference_num_inferences_total",
        "handler": "Doubles",
        "instance": f"127.0.0.1:{port}",
        "job": "job",
    }
    without_data = [expression for expression, answer in answers.items() if not answer]
    assert len(answers) > 15
    assert [each for each in without_data if "padding_efficiency" not in each] == []  # Numbers are not padded.


def expressions():
    """What the panels of the dashboard ask, for all hosts and handlers."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield re.sub(r"\$\w+", ".*", target["expr"].replace("$__rate_interval", "1m"))


def is_ready(url):
    try:
        with urlopen(f"{url}/-/ready") as answer:
            return answer.status == 200
    except OSError:
        return False


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_until(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)
