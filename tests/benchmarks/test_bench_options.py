"""Files of options, and the flags of Beam's benchmarks and pipelines."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from runinference import ConfigurationError, MissingDependencyError
from runinference.benchmarks.flags import FLAGS
from runinference.benchmarks.options import Flags, expand, parse_flags
from runinference.benchmarks.settings import Settings
from runinference.metrics.sinks import open_sink

BIGQUERY = ["--publish_to_big_query=true", "--project=p", "--metrics_dataset=d", "--metrics_table=t"]


@pytest.fixture(autouse=True)
def no_project(monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)


@pytest.fixture
def with_beam():
    pytest.importorskip("apache_beam")


# Files.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--a=1\n--b=2\n", ["--a=1", "--b=2"]),
        ("--a=1", ["--a=1"]),
        ("", []),
        ("\n  \n# --a=1\n  # b\n--c\n", ["--c"]),
        ("--a 1", ["--a=1"]),
        ("  --a\t1  ", ["--a=1"]),
        ("--a=1 # why", ["--a=1"]),
        ("--a  # why it isn't 1", ["--a"]),
        ("--a=gs://bucket/x#1", ["--a=gs://bucket/x#1"]),
        ("--a='#1'", ["--a=#1"]),
        ("--a '#1'", ["--a=#1"]),
        ("--a='x y'", ["--a=x y"]),
        ('--a="it\'s"', ["--a=it's"]),
        ("'--a=x y'", ["--a=x y"]),
        ("--a=x' 'y", ["--a=x y"]),
        ("--a=''", ["--a="]),
        ("--a=", ["--a="]),
        ("--a=b=c", ["--a=b=c"]),
        ("--a 'b=c d'", ["--a=b=c d"]),
        ("--a=-1", ["--a=-1"]),
        ("--a -1", ["--a=-1"]),
        ("--input_options={}", ["--input_options={}"]),
        ("""--input_options='{"a": [1, 2]}'""", ['--input_options={"a": [1, 2]}']),
        (r"--a=C:\data\new", [r"--a=C:\data\new"]),
        ("--a=1\r\n\r\n--b='2 3'\r\n", ["--a=1", "--b=2 3"]),
        ("\ufeff--a=1\n", ["--a=1"]),
        ("--a=Größe\u2028x", ["--a=Größe\u2028x"]),
    ],
)
def test_a_line_of_a_file_is_a_flag(tmp_path, text, expected):
    path = tmp_path / "options.txt"
    path.write_bytes(text.encode())
    assert expand([f"@{path}"]) == expected


def test_a_file_takes_the_place_of_its_name_among_the_arguments(tmp_path):
    (tmp_path / "a.txt").write_text("--a=1\n--b=2\n")
    (tmp_path / "c.txt").write_text("--c=3\n")
    assert expand(["name", f"@{tmp_path / 'a.txt'}", "--b=9", f"@{tmp_path / 'c.txt'}", "user@host"]) == [
        *("name", "--a=1", "--b=2", "--b=9", "--c=3", "user@host")
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a=1", r"'a=1' is no flag\. One --flag=value is expected on each line"),
        ("-a 1", "'-a' is no flag"),
        ("--", "'--' is no flag"),
        ("@other.txt", "@other.txt would be a file within a file"),
        ("--a=1 --b=2", "'--b=2' follows the flag"),
        ("--a --b", "'--b' follows the flag"),
        ("--a 1 2", "'2' follows the flag"),
        ("--a=my file.txt", "'file.txt' follows the flag.* a value with spaces is put in quotes"),
        ("--a='b", r"a quote is not closed in \"--a='b\""),
    ],
)
def test_a_line_that_is_no_flag_is_refused_with_its_place(tmp_path, line, message):
    (tmp_path / "options.txt").write_text(f"# first\n\n{line}\n")
    with pytest.raises(ConfigurationError, match=rf"options\.txt, line 3: {message}"):
        expand([f"@{tmp_path / 'options.txt'}"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet110.txt", r"resnet110\.txt cannot be read: No such file.* Did you mean 'resnet101\.txt'\?$"),
        ("bert.txt", r"bert\.txt cannot .* Did you mean 'benchmarks/options/bert\.txt'\?$"),
        ("nothing-like-it", "nothing-like-it cannot be read: No such file or directory.$"),
        ("no/folder/a.txt", "cannot be read"),
        ("benchmarks", "benchmarks cannot be read: Is a directory"),
        ("", "@ needs the name of a file of options"),
    ],
)
def test_a_file_that_is_not_there_is_named_with_the_one_that_was_meant(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    Path("resnet101.txt").touch()
    Path("benchmarks/options").mkdir(parents=True)
    Path("benchmarks/options/bert.txt").touch()
    with pytest.raises(ConfigurationError, match=message):
        expand([f"@{name}"])


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "options.txt").write_bytes(b"--a=\xff\n")
    with pytest.raises(ConfigurationError, match=r"options\.txt is no text in UTF-8"):
        expand([f"@{tmp_path / 'options.txt'}"])


# Where metrics go.


def test_the_flags_of_bigquery_are_an_address():
    assert parse_flags(BIGQUERY) == Flags(publish=("bigquery:p.d.t",))
    assert open_sink("bigquery:p.d.t").name == "bigquery:p.d.t"


def test_the_project_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-environment")
    without = [flag for flag in BIGQUERY if not flag.startswith("--project")]
    assert parse_flags(without).publish == ("bigquery:of-environment.d.t",)
    assert parse_flags(BIGQUERY).publish == ("bigquery:p.d.t",)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (["--project"], r"needs --project too \(or the variable GOOGLE_CLOUD_PROJECT\)"),
        (["--metrics_dataset"], "needs --metrics_dataset too$"),
        (["--metrics_table"], "needs --metrics_table too$"),
        (["--metrics_dataset", "--metrics_table"], "needs --metrics_dataset and --metrics_table too$"),
    ],
)
def test_what_is_missing_to_publish_to_bigquery_is_named(missing, message):
    flags = [flag for flag in BIGQUERY if flag.partition("=")[0] not in missing]
    with pytest.raises(ConfigurationError, match=f"--publish_to_big_query=true {message}"):
        parse_flags(flags)


def test_a_table_alone_publishes_nothing_and_that_is_noted():
    flags = parse_flags(["--metrics_dataset=d", "--metrics_table=t"])
    assert flags.publish == ()
    assert flags.notes == (
        "Nothing is published to BigQuery: --metrics_dataset and --metrics_table without --publish_to_big_query=true",
    )
    assert parse_flags(["--publish_to_big_query=false", "--metrics_table=t"]) == Flags()


def test_the_flags_of_influxdb_are_an_address():
    assert parse_flags(["--influx_db_name=metrics"]).publish == ("influxdb:http://localhost:8086?db=metrics",)
    (address,) = parse_flags(
        ["--influx_db_name=my db", "--influx_hostname=https://server:1", "--influx_measurement=a&b"]
    ).publish
    parts = urlsplit(address.removeprefix("influxdb:"))
    assert (parts.netloc, parse_qs(parts.query)) == ("server:1", {"db": ["my db"], "measurement": ["a&b"]})


def test_the_address_of_influxdb_is_one_that_can_be_published_to():
    pytest.importorskip("influxdb_client")
    (address,) = parse_flags(["--influx_db_name=my db", "--influx_measurement=resnet101"]).publish
    assert open_sink(address).name == "influxdb:http://localhost:8086?db=my+db&measurement=resnet101"


def test_a_measurement_alone_publishes_nothing_and_a_server_alone_is_an_error():
    flags = parse_flags(["--influx_measurement=m"])
    assert (flags.publish, len(flags.notes)) == ((), 1)
    with pytest.raises(ConfigurationError, match="--influx_hostname needs --influx_db_name too"):
        parse_flags(["--influx_hostname=http://server:8086"])


# What is run.


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        (["--pretrained_model_name=resnet101"], {"model": "resnet101"}),
        (["--bert_tokenizer=bert-base-uncased"], {"model": "bert-base-uncased"}),
        (["--device=CPU"], {"device": "cpu"}),
        (["--device=GPU"], {"device": "cuda"}),
        (["--device", "gpu"], {"device": "cuda"}),
        (["--input=photos"], {"input": "photos"}),
        (["--input_file", "a b.txt"], {"input": "a b.txt"}),
        (["--input=x", "--input_file=x"], {"input": "x"}),
        (["--model_state_dict_path=w.pt"], {"weights": "w.pt"}),
        (["--model_path=model.pkl"], {"weights": "model.pkl"}),
        (
            ["--max_batch_size=8", "--min-batch-size", "4"],
            {"handler_options": {"max_batch_size": 8, "min_batch_size": 4}},
        ),
        (["--large_model"], {"handler_options": {"large_model": True}}),
        (["--large_model", "false"], {"handler_options": {"large_model": False}}),
        (
            ['--handler_options={"precision": "bf16"}', "--max_batch_size=8"],
            {"handler_options": {"precision": "bf16", "max_batch_size": 8}},
        ),
        (["--metrics-table", "t", "--device=CPU"], {"device": "cpu"}),
    ],
)
def test_flags_set_what_a_benchmark_does(flags, settings):
    found = parse_flags(flags)
    assert (found.settings, found.publish, found.pipeline_options) == (settings, (), ())
    Settings(**{"examples": 1, "model": "m", **found.settings})


def test_every_setting_of_the_table_is_one_that_there_is():
    names = {flag.setting.partition(".")[0] for flag in FLAGS.values() if flag.setting}
    assert names <= {field.name for field in fields(Settings)}


def test_the_later_of_two_flags_holds():
    assert parse_flags(["--device=GPU", "--device=CPU"]).settings == {"device": "cpu"}


def test_two_flags_for_one_setting_must_agree():
    with pytest.raises(
        ConfigurationError,
        match="--input and --input_file are two names for one setting, but they say 'a' and 'b'",
    ):
        parse_flags(["--input=a", "--input_file=b"])


def test_a_state_dict_goes_before_the_model_that_it_is_of():
    flags = parse_flags(["--model_path=distilbert", "--model_state_dict_path=w.bin"])
    assert flags.settings == {"weights": "w.bin"}
    assert flags.notes == ("--model_path has no effect beside --model_state_dict_path",)


@pytest.mark.parametrize(("value", "seconds"), [("1500", 1.5), ("0", None)])
def test_a_timeout_is_in_milliseconds_and_0_is_none(value, seconds):
    assert parse_flags([f"--timeout_ms={value}"]).timeout_s == seconds


def test_what_is_taken_without_an_effect_is_noted():
    assert parse_flags(["--input_options={}"]) == Flags()
    assert parse_flags(['--input_options={"a": 1}']).notes == ("--input_options has no effect on a benchmark",)
    assert parse_flags(["--output_table=a"]).notes == ("--output_table has no effect on a benchmark",)
    assert "--project has no effect" in parse_flags(["--project=p"]).notes[0]


def test_no_flags_say_nothing():
    assert parse_flags([]) == Flags()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--publish_to_big_query=yes", "--publish_to_big_query is true or false, not 'yes'"),
        ("--publish_to_big_query=", "is true or false, not ''"),
        ("--device=TPU", "--device is CPU or GPU, not 'TPU'"),
        ("--device", "--device needs a value"),
        ("--metrics_table=", "--metrics_table needs a value"),
        ("--timeout_ms=-1", "--timeout_ms is a whole number that is not negative, not '-1'"),
        ("--timeout_ms=1.5", "is a whole number"),
        ("--max_batch_size=²", "is a whole number"),
        ("--input_options={a: 1}", r"--input_options is no JSON: .*: '{a: 1}'\. In a shell .* single quotes"),
        ("--input_options=[]", "--input_options is a JSON object"),
        ("name", "'name' is neither a benchmark nor the value of a flag"),
        ("-x", "'-x' is neither"),
        ("--", "'--' is neither"),
        ("--s3_secret_access_key=x", "--s3_secret_access_key holds a secret, and options are kept with the results"),
    ],
)
def test_a_value_that_cannot_work_is_refused(flag, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_flags([flag])


# What is for Beam pipelines.


def test_what_beam_knows_is_left_to_beam(with_beam):
    flags = parse_flags(
        [
            *("--region=us-central1", "--machine_type", "n1-standard-2", "--num_workers=75", "--streaming"),
            *("--disk_size_gb=50", "--autoscaling_algorithm=NONE", "--experiments=a", "--experiments=b"),
            *("--staging-location=gs://b/s", "--requirements_file=r.txt", "--runner", "DataflowRunner", "--device=GPU"),
        ]
    )
    assert flags.pipeline_options == (
        *("--region=us-central1", "--machine_type=n1-standard-2", "--num_workers=75", "--streaming"),
        *("--disk_size_gb=50", "--autoscaling_algorithm=NONE", "--experiments=a", "--experiments=b"),
        *("--staging_location=gs://b/s", "--requirements_file=r.txt", "--runner=DataflowRunner"),
    )
    assert flags.settings == {"device": "cuda"}


def test_the_project_is_for_beam_too_where_there_is_a_pipeline(with_beam):
    flags = parse_flags([*BIGQUERY, "--runner=DataflowRunner"])
    assert flags.pipeline_options == ("--runner=DataflowRunner", "--project=p")
    assert flags.publish == ("bigquery:p.d.t",)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "--metrics_tabel=x",
            r"no flag --metrics_tabel, not for Beam pipelines either\. Did you mean '--metrics_table'",
        ),
        ("--num_worker=3", "Did you mean '--num_workers'"),
        ("--exampels=3", "Did you mean '--examples'"),
        ("--zzzzzzzzzz=3", "no flag --zzzzzzzzzz, not for Beam pipelines either.$"),
        ("--zzzzzzzzzz", "no flag --zzzzzzzzzz"),
        ("--help", "no flag --help"),
        ("--num_workers=many", "Apache Beam does not take the options: .*--num_workers: invalid int value: 'many'"),
        ("--autoscaling_algorithm=SOME", "does not take the options: .*invalid choice: 'SOME'"),
        ("--num_workers", "--num_workers needs a value"),
        ("--streaming=true", "--streaming takes no value"),
    ],
)
def test_what_nobody_knows_and_what_beam_does_not_take_is_refused(with_beam, flag, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_flags([flag], others=["--examples"])


def test_beam_is_imported_only_for_its_own_options(with_beam):
    program = (
        "import sys; from runinference.benchmarks.options import parse_flags\n"
        f"parse_flags({[*BIGQUERY, '--influx_db_name=x', '--device=GPU', '--timeout_ms=1', '--input=x']!r})\n"
        "assert 'apache_beam' not in sys.modules\n"
        "parse_flags(['--region=x'])\n"
        "assert 'apache_beam' in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_without_beam_its_options_say_what_to_install_and_a_typing_error_is_told_as_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(MissingDependencyError, match=r'know what --num_workers means.*"runinference\[beam\]"'):
        parse_flags(["--num_workers=1"])
    with pytest.raises(
        ConfigurationError, match=r"--metrics_tabel\. Did you mean '--metrics_table'\? \(Apache Beam is"
    ):
        parse_flags(["--metrics_tabel=x"])


OF_BEAM = """\
--region=us-central1
--machine_type=n1-standard-2
--num_workers=75
--disk_size_gb=50
--autoscaling_algorithm=NONE
--staging_location=gs://bucket/loadtests
--temp_location=gs://bucket/loadtests
--requirements_file=requirements.txt
--publish_to_big_query=true
--metrics_dataset=beam_run_inference
--metrics_table=resnet101
--input_options={}
--influx_measurement=resnet101
--pretrained_model_name=resnet101
--device=CPU
--model_state_dict_path=gs://bucket/resnet101.pth
--runner=DataflowRunner
"""


def test_a_file_as_benchmarks_of_beam_have_it_says_what_to_run_where_and_where_to_publish(with_beam, tmp_path):
    (tmp_path / "options.txt").write_text(OF_BEAM)
    flags = parse_flags(expand([f"@{tmp_path / 'options.txt'}", "--project=my-project"]))
    beams = [line for line in OF_BEAM.splitlines() if line in flags.pipeline_options]
    assert len(beams) == 9
    assert flags == Flags(
        publish=("bigquery:my-project.beam_run_inference.resnet101",),
        settings={"model": "resnet101", "device": "cpu", "weights": "gs://bucket/resnet101.pth"},
        pipeline_options=(*beams, "--project=my-project"),
        notes=("Nothing is published to InfluxDB: --influx_measurement without --influx_db_name",),
    )


# The files that come along.


ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "benchmarks" / "options").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_that_comes_along_is_understood_and_names_its_benchmark(with_beam, monkeypatch, path):
    click = pytest.importorskip("click")
    from runinference.benchmarks.catalog import find_benchmark
    from runinference.cli.app import app
    from runinference.cli.bench_run import run

    monkeypatch.chdir(ROOT)
    (command,) = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#   runinference ")]
    name, file = command.removeprefix("#   runinference bench run ").split()
    assert file == f"@{path.relative_to(ROOT)}"
    benchmark = find_benchmark(name)
    # What the command itself knows it takes out; the rest is for us and for Beam.
    # A command keeps its help option from when it was first used, so it is used below the one that it belongs to.
    context = run.make_context("run", [name, file], parent=click.Context(app, **app.context_settings))
    flags = parse_flags(context.params["arguments"][1:])
    settings = Settings(**{"examples": context.params["examples"] or 1, "model": benchmark.models[0], **flags.settings})
    assert settings.model in benchmark.models
    assert set(context.params["engines"]) <= {"all", *benchmark.engines}
    assert flags.notes == ()
    on_dataflow = "--runner=DataflowRunner" in flags.pipeline_options
    assert on_dataflow == path.stem.endswith("-dataflow")
    assert [address.partition(":")[0] for address in flags.publish] == (["bigquery"] if on_dataflow else [])


@pytest.mark.parametrize("name", ["resnet152-t4", "resnet152-t4-dataflow"])
def test_resnet152_on_a_t4_is_resnet152_on_a_gpu(with_beam, name):
    lines = expand([f"@{ROOT / 'benchmarks' / 'options' / name}.txt"])
    assert {"--pretrained_model_name=resnet152", "--device=GPU"} <= set(lines)
    if name.endswith("-dataflow"):
        options = parse_flags([line for line in lines if not line.startswith("--examples")]).pipeline_options
        assert (
            "--dataflow_service_options=worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver"
            in options
        )


def test_the_page_about_benchmarks_names_every_file_and_flag():
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert [path.stem for path in FILES if f"`{path.stem}" not in page] == []
    assert [name for name in FLAGS if f"`--{name}" not in page] == []
