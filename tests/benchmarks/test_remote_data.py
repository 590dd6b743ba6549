"""Benchmarks whose data and weights are behind URLs, and whose pipelines run on other machines."""

import gzip
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apache_beam as beam
import fsspec
import numpy as np
import pyarrow as pa
import pytest
import transformers
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from sklearn.linear_model import LogisticRegression

from runinference import infer
from runinference.benchmarks.cases.pytorch_image_classification import PytorchImageClassification
from runinference.benchmarks.cases.pytorch_language_modeling import PytorchLanguageModeling
from runinference.benchmarks.cases.pytorch_sentiment import PytorchSentiment
from runinference.benchmarks.cases.pytorch_sentiment_streaming import PytorchSentimentStreaming
from runinference.benchmarks.cases.sklearn_table import SklearnTable
from runinference.benchmarks.data.image_files import bytes_of_files, image_source
from runinference.benchmarks.data.made import made_once
from runinference.benchmarks.data.own import own_images, own_lines
from runinference.benchmarks.data.photos import make_photo
from runinference.benchmarks.data.sentences import make_sentences
from runinference.benchmarks.data.weights import own_weights
from runinference.benchmarks.engines.elements import numbered
from runinference.benchmarks.engines.elsewhere import run_elsewhere
from runinference.benchmarks.models.bert import BERT
from runinference.benchmarks.models.devices import beams_device
from runinference.benchmarks.models.distilbert import DISTILBERT
from runinference.benchmarks.models.pretrained import PretrainedModel
from runinference.benchmarks.models.resnet import RESNET
from runinference.benchmarks.models.tokens import Tokenize, TokenizeMasked
from runinference.benchmarks.process import BenchmarkError
from runinference.benchmarks.settings import Settings
from runinference.benchmarks.workers import check_reach, runner_elsewhere
from runinference.errors import ConfigurationError, DataError

# Beam leaves files open.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:unclosed file")

DATAFLOW = ("--runner=DataflowRunner",)
PROCESSES = ("--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
IN_MEMORY = ("--runner=FnApiRunner", "--direct_running_mode=in_memory")
ARCHITECTURES = {PytorchImageClassification: RESNET, PytorchLanguageModeling: BERT, PytorchSentiment: DISTILBERT}
CASES = list(ARCHITECTURES)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("RUNINFERENCE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory, cache):
    """A folder with the weights of all cases, photos and sentences."""
    folder = tmp_path_factory.mktemp("uploaded")
    for case, architecture in ARCHITECTURES.items():
        shutil.copy(PretrainedModel(architecture, Settings(1, "tiny")).state_dict(), folder / f"{case.__name__}.pth")
    (folder / "photos").mkdir()
    for index in range(12):
        (folder / "photos" / f"{index:03}.jpg").write_bytes(make_photo(index))
    (folder / "sentences.txt.gz").write_bytes(gzip.compress("\n".join(make_sentences(24)).encode()))
    return folder


def settings_of(case, uploaded, protocol, **others):
    """Settings whose data and weights are behind URLs."""
    name = "photos" if case is PytorchImageClassification else "sentences.txt.gz"
    return Settings(
        24,
        "tiny",
        input=f"{protocol}://{uploaded}/{name}",
        weights=f"{protocol}://{uploaded}/{case.__name__}.pth",
        **others,
    )


@pytest.fixture
def memory():
    """A file system that is behind a URL for everybody."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()


class TestText:
    @pytest.mark.parametrize("protocol", ["memory", "local", "file"])
    def test_behind_a_url_is_read_as_on_this_machine(self, protocol, tmp_path):
        place = f"{protocol}://{tmp_path}"
        for name, text in {"b.txt": "three\r\n\n", "a.txt": "\ufeffone\n  \n two \n", "_no.txt": "four"}.items():
            with fsspec.open(f"{place}/{name}", "w", encoding="utf-8", newline="") as file:
                file.write(text)
        assert own_lines(place, 10) == ["one", "two", "three"]
        assert own_lines(f"{place}/*.txt", 2) == ["one", "two"]
        assert own_lines(f"{place}/b.txt", 10) == ["three"]

    @pytest.mark.parametrize(("suffix", "codec"), [("gz", "gzip"), ("zst", "zstd"), ("bz2", "bz2")])
    @pytest.mark.parametrize("protocol", ["local", "file"])
    def test_may_be_compressed(self, suffix, codec, protocol, tmp_path):
        with pa.CompressedOutputStream(str(tmp_path / f"a.txt.{suffix}"), codec) as file:
            file.write("Grüße\nan alle .".encode())
        assert own_lines(f"{protocol}://{tmp_path}/a.txt.{suffix}", 10) == ["Grüße", "an alle ."]

    def test_that_is_cut_off_is_told(self, tmp_path):
        (tmp_path / "a.txt.gz").write_bytes(gzip.compress(os.urandom(1000))[:-300])
        with pytest.raises(DataError, match=r"cannot read .*a\.txt\.gz"):
            own_lines(str(tmp_path), 10)

    @pytest.mark.parametrize(
        ("place", "problem"),
        [
            ("memory://none.txt", "'memory://none.txt' does not exist"),
            ("memory://none/*.txt", "no file matches 'memory://none/"),
            ("memori://a.txt", r"no protocol 'memori'\. Did you mean 'memory'"),
        ],
    )
    def test_that_is_not_there_is_told(self, place, problem):
        with pytest.raises(ConfigurationError, match=problem):
            own_lines(place, 10)


class TestImages:
    def test_behind_a_url_are_named_here_and_opened_where_they_are_decoded(self, memory):
        memory.pipe({"/photos/b.jpg": b"bb", "/photos/deep/a.png": b"a", "/photos/_c.jpg": b"c"})
        urls = own_images("memory://photos", 10)
        assert urls == ["memory:///photos/b.jpg", "memory:///photos/deep/a.png"]
        assert own_images("memory://photos/*.jpg", 10) == urls[:1]
        assert own_images("memory://photos", 1) == urls[:1]
        assert [image_source(url) for url in urls] == [b"bb", b"a"]
        assert bytes_of_files(urls) == 3

    def test_of_this_machine_stay_paths(self, tmp_path):
        (tmp_path / "a.jpg").write_bytes(b"1234")
        path = str(tmp_path / "a.jpg")
        assert own_images(f"file://{tmp_path}", 10) == [path]
        assert image_source(path) == path
        assert bytes_of_files([path]) == 4
        assert bytes_of_files([]) == 0

    def test_whose_server_tells_no_size_have_none(self, memory, monkeypatch):
        memory.pipe({"/a.jpg": b"a"})
        monkeypatch.setattr(type(memory), "size", lambda self, path: None)
        assert bytes_of_files(["memory:///a.jpg"]) is None


class TestWeights:
    def test_behind_a_url_are_given_to_handlers_as_they_are(self, memory):
        memory.pipe("/own.pth", b"weights")
        model = PretrainedModel(BERT, Settings(1, "tiny", weights="memory://own.pth"))
        path, _, arguments = model.arguments()
        assert path == "memory://own.pth"
        assert arguments["config"].hidden_size == 64

    @pytest.mark.parametrize("case", CASES)
    def test_behind_a_url_answer_what_they_answer_on_this_machine(self, case, uploaded):
        remote = case(settings_of(case, uploaded, "local"))
        local = case(settings_of(case, uploaded, "file"))
        remote.prepare()
        answers = [
            [benchmark.answer(result.inference) for result in infer(benchmark.examples(), benchmark.handler())]
            for benchmark in (remote, local)
        ]
        assert len(answers[0]) in (12, 24)
        assert answers[0] == answers[1]
        assert remote.num_bytes(remote.examples()) == local.num_bytes(local.examples())
        assert remote.flops(remote.examples()) == local.flops(local.examples())

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("memory://none.pth", "There are no weights at 'memory://none.pth'"),
            ("memori://own.pth", "no protocol 'memori'"),
            ("memory://folder", "'memory://folder' is a folder.* Give the URL of a state dict of BertForMaskedLM"),
            ("memory://own.safetensors", "is a file of safetensors.* Give the URL of a state dict"),
        ],
    )
    def test_that_no_handler_could_load_are_told_before_anything_is_made(self, url, problem, memory):
        memory.pipe({"/folder/config.json": b"{}", "/own.safetensors": b"1"})
        with pytest.raises(ConfigurationError, match=problem):
            PytorchLanguageModeling(Settings(1, "tiny", weights=url)).prepare()

    def test_that_cannot_be_reached_are_told(self, monkeypatch, memory):
        def refuse(self, path, **_):
            raise PermissionError("no rights")

        monkeypatch.setattr(type(memory), "info", refuse)
        with pytest.raises(ConfigurationError, match=r"'memory://secret\.pth' cannot be reached: no rights"):
            own_weights(Settings(1, "tiny", weights="memory://secret.pth"))

    def test_whose_protocol_this_machine_lacks_are_left_to_the_workers(self):
        fsspec.register_implementation("lacking", "no_such_package.FileSystem", errtxt="Install no_such_package")
        url = "lacking://bucket/own.pth"
        assert own_weights(Settings(1, "tiny", weights=url)) == url

    def test_of_tables_may_be_behind_a_url_too(self, memory):
        model = LogisticRegression().fit([[1.0, 1.0], [-1.0, -1.0]], [1, 0])
        memory.pipe({"/own.pickle": pickle.dumps(model), "/rows.csv": b"a,b\n1,2\n-3,-4\n"})
        settings = Settings(2, "logistic-regression", weights="memory://own.pickle", input="memory://rows.csv")
        benchmark = SklearnTable(settings)
        benchmark.prepare()
        results = infer(benchmark.examples(), benchmark.handler())
        assert [benchmark.answer(result.inference) for result in results] == [1, 0]


class TestWhereWorkersAre:
    @pytest.mark.parametrize(
        ("options", "runner"),
        [
            ((), None),
            (("--direct_num_workers=2",), None),
            (PROCESSES, None),
            (("--runner=direct",), None),
            (("--runner=PrismRunner",), None),
            (("--runner=PrismRunner", "--environment_type=DOCKER"), "PrismRunner"),
            (("--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",), None),
            (DATAFLOW, "DataflowRunner"),
            (("--runner=my.own.Runner",), "Runner"),
            (("--runner=FlinkRunner", "--flink_master=host:8081"), "FlinkRunner"),
            (("--runner=PortableRunner", "--job_endpoint=host:1", "--environment_type=LOOPBACK"), None),
        ],
    )
    def test_is_told_by_the_options(self, options, runner):
        assert runner_elsewhere(Settings(1, "tiny", pipeline_options=options)) == runner

    @pytest.mark.parametrize("case", CASES)
    def test_what_is_made_here_is_refused_with_the_way_to_copy_it(self, case, cache):
        with pytest.raises(ConfigurationError) as error:
            case(Settings(2, "tiny", pipeline_options=DATAFLOW)).prepare()
        message = str(error.value)
        assert "The workers of DataflowRunner cannot read files of this machine" in message
        commands = [line.split() for line in message.splitlines() if "gcloud storage cp -r" in line]
        assert all(Path(command[4]).exists() for command in commands)
        weights = Path(commands[0][4])
        assert weights.parent == cache / "benchmarks"
        assert f"--weights gs://YOUR-BUCKET/{weights.name}" in message
        assert (len(commands), "--input gs://" in message) == (
            (2, True) if case is PytorchImageClassification else (1, False)
        )

    @pytest.mark.parametrize("case", CASES)
    def test_elsewhere_is_no_hindrance_for_what_is_behind_urls(self, case, uploaded):
        for protocol in ("local", "file"):
            case(settings_of(case, uploaded, protocol, pipeline_options=DATAFLOW)).prepare()

    @pytest.mark.parametrize("options", [PROCESSES, ()])
    def test_on_this_machine_hinders_nothing(self, options):
        check_reach(Settings(1, "tiny", pipeline_options=options), "/some/file.pth", ["/some/photo.jpg"])

    def test_a_path_is_refused_unless_the_user_says_that_workers_have_it(self, tmp_path):
        path = str(tmp_path / "my model.pth")
        command_and_flag = r"(?s)cp -r '.*/my model\.pth' gs://YOUR.*--weights 'gs://YOUR-BUCKET/my model\.pth'"
        with pytest.raises(ConfigurationError, match=command_and_flag):
            check_reach(Settings(1, "tiny", weights=path, pipeline_options=DATAFLOW), path)
        check_reach(Settings(1, "tiny", weights=f"file://{path}", pipeline_options=DATAFLOW), path)
        settings = Settings(1, "tiny", input="photos", pipeline_options=DATAFLOW)
        with pytest.raises(ConfigurationError, match="--input gs://YOUR-BUCKET/photos"):
            check_reach(settings, "gs://bucket/own.pth", ["photos/1.jpg", "photos/2.jpg"])

    def test_a_state_dict_that_is_made_of_a_folder_is_refused_whatever_the_folder_is_called(self, tmp_path):
        config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])
        transformers.ResNetForImageClassification(config).save_pretrained(tmp_path)
        model = PretrainedModel(RESNET, Settings(1, "tiny", weights=f"file://{tmp_path}"))
        settings = Settings(1, "tiny", weights=f"file://{tmp_path}", pipeline_options=DATAFLOW)
        with pytest.raises(ConfigurationError, match=r"cp -r /.*-ResNetForImageClassification-.*\.pth gs://"):
            check_reach(settings, str(model.state_dict()))

    def test_a_table_of_this_machine_travels_and_its_model_does_not(self):
        benchmark = SklearnTable(Settings(2, "logistic-regression", pipeline_options=DATAFLOW))
        with pytest.raises(ConfigurationError, match=r"cp -r .*\.pickle gs://YOUR-BUCKET/\nand name that: --weights"):
            benchmark.prepare()

    def test_what_is_measured_in_this_process_only_is_refused_at_once(self):
        benchmark = PytorchSentimentStreaming(Settings(2, "tiny", pipeline_options=DATAFLOW))
        with pytest.raises(ConfigurationError, match="measures Beam in this process only; leave out options of pipel"):
            benchmark.prepare()

    def test_a_gpu_is_needed_there_and_not_here(self):
        assert beams_device(Settings(1, "tiny", device="cuda", pipeline_options=DATAFLOW)) == "GPU"


class TestVocabulary:
    def test_is_made_where_the_text_is(self, tmp_path):
        (tmp_path / "tokenize").write_bytes(pickle.dumps(TokenizeMasked(None)))
        code = (
            "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))('an old garden .')['input_ids'].tolist())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "tokenize")],
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
            env={**os.environ, "RUNINFERENCE_CACHE": str(tmp_path / "of-a-worker")},
        )
        assert done.stdout.strip() == str(TokenizeMasked(None)("an old garden .")["input_ids"].tolist())

    def test_is_read_by_threads_that_come_at_the_same_time(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path))
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(Tokenize(None, most_tokens=77, padded=True), ["the garden ."] * 8))
        assert {tuple(each["input_ids"].tolist()) for each in found} == {tuple(found[0]["input_ids"].tolist())}
        assert [path.name.partition("-")[0] for path in (tmp_path / "benchmarks").iterdir()] == ["wordpiece"]

    def test_and_all_that_is_made_once_may_be_made_by_several_at_the_same_time(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path))

        def slower(folder):
            made_once("a-folder", faster)
            faster(folder)

        def faster(folder):
            folder.mkdir()
            (folder / "file").write_text("content")

        path = made_once("a-folder", slower)
        assert (path / "file").read_text() == "content"
        assert list(path.parent.iterdir()) == [path]


class TestElements:
    """How they come to the workers."""

    def test_that_are_many_come_as_files_which_are_gone_afterwards(self, tmp_path):
        seen = []
        examples = [np.full(300, number, np.float32) for number in range(2_500)]
        pipeline = beam.Pipeline(options=PipelineOptions([*IN_MEMORY, f"--temp_location={tmp_path}"]))
        with numbered(pipeline, examples) as elements:
            assert_that(elements | beam.MapTuple(lambda key, row: (key, row[299], row.size)), equal_to(expected()))
            seen += [path.name for path in tmp_path.rglob("*.pickle")]
            pipeline.run().wait_until_finish()
        assert sorted(seen) == ["00000.pickle", "00001.pickle", "00002.pickle"]
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("temp", [True, False])
    def test_that_are_few_come_with_the_pipeline(self, tmp_path, temp):
        options = [*IN_MEMORY, f"--temp_location={tmp_path}"] if temp else IN_MEMORY
        pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
        with numbered(pipeline, ["a", "b"]) as elements:
            assert list(tmp_path.iterdir()) == []
            assert_that(elements, equal_to([(0, "a"), (1, "b")]))
            pipeline.run().wait_until_finish()

    def test_are_gone_when_the_pipeline_fails_too(self, tmp_path):
        examples = ["a" * 1_000] * 2_000
        with pytest.raises(BenchmarkError, match=r"The pipeline failed: .*division by zero"):
            run_elsewhere([*IN_MEMORY, f"--temp_location={tmp_path}"], examples, beam.Map(lambda _: 1 / 0))
        assert list(tmp_path.iterdir()) == []


def expected():
    return [(number, float(number), 300) for number in range(2_500)]


@pytest.mark.parametrize(
    ("case", "engine", "protocol"),
    [
        (PytorchImageClassification, "beam", "local"),
        (PytorchLanguageModeling, "beam", "file"),
        (PytorchSentiment, "beam-original", "file"),
    ],
)
def test_workers_in_processes_of_their_own_run_all_of_it(case, engine, protocol, uploaded, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "empty"))
    benchmark = case(settings_of(case, uploaded, protocol, pipeline_options=PROCESSES))
    examples = benchmark.examples()
    passed = benchmark.run(engine, examples)
    assert passed.elements == len(examples) == passed.metrics["num_inferences"]
    assert passed.metrics["load_model_latency_milli_secs_COUNT"] >= 1
