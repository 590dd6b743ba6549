"""A benchmark whose results go to InfluxDB and BigQuery by the flags of Beam's benchmarks."""

import os
import subprocess
import sys

import pytest
from bigquery_server import BigQueryServer
from influxdb_server import PROGRAM, InfluxDBServer

pytest.importorskip("influxdb_client")
pytest.importorskip("google.cloud.bigquery")

CASE = '''
from runinference import ModelHandler
from runinference.benchmarks import Benchmark

class Lengths(ModelHandler):
    def load_model(self):
        return len

    def run_inference(self, batch, model, inference_args=None):
        return [model(text) for text in batch]

class LengthBenchmark(Benchmark):
    """Lengths of texts."""

    name = "lengths"
    title = "Lengths"

    def examples(self):
        return ["a", "bc", "def"] * 10

    def handler(self):
        return Lengths()
'''
OPTIONS = """--publish_to_big_query=true
--project=project
--metrics_dataset=beam_run_inference
--metrics_table=lengths
--influx_measurement=lengths-results
--influx_db_name="{db}"
--influx_hostname={influxdb}
--input_options={{}}
--device=CPU
"""


@pytest.mark.skipif(PROGRAM is None, reason="influxd is not installed (Debian's package influxdb)")
def test_both_have_every_pass_with_the_names_that_beam_publishes(tmp_path):
    influxdb = InfluxDBServer(tmp_path)
    bigquery = BigQueryServer([("project", "beam_run_inference")])
    try:
        db = influxdb.create_database()
        (tmp_path / "lengths.py").write_text(CASE)
        (tmp_path / "options.txt").write_text(OPTIONS.format(db=db, influxdb=influxdb.url))
        command = ["bench", "run", "lengths", "--cases", ".", "--repeat", "2", "@options.txt"]
        variables = {"BIGQUERY_EMULATOR_HOST": bigquery.url, "RUNINFERENCE_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-m", "runinference", *command],
            cwd=tmp_path,
            env=os.environ | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        points = influxdb.query('SELECT * FROM "lengths-results"', db)
    finally:
        influxdb.stop()
        bigquery.close()
    rows = bigquery.rows["project", "beam_run_inference", "lengths"]
    names = {"JobRuntimeSeconds", "AvgThroughputElements", "EstimatedCost", "inference_batch_latency_micro_secs_MEAN"}
    names |= {"inference_request_batch_size_MEAN", "load_model_latency_milli_secs_MEAN", "num_inferences"}
    for metric in names:
        in_influxdb = [point["value"] for point in points if point["metric"] == metric]
        in_bigquery = [row["value"] for row in rows if row["metric"] == metric]
        assert sorted(in_influxdb) == sorted(in_bigquery)
        assert len(in_influxdb) == 2
    assert {point["test_id"] for point in points} == {row["test_id"] for row in rows}
    assert len({row["test_id"] for row in rows}) == 1
