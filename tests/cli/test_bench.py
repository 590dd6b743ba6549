"""`runinference bench list` and `run`, and a benchmark of one's own from its file to its page."""

import json
import re
from pathlib import Path

import pytest

from runinference.metrics.history import read_runs

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def mine(folder, monkeypatch):
    """The benchmark that CONTRIBUTING shows, in a folder of its own."""
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(folder / "cache"))
    section = CONTRIBUTING.read_text().partition("## Adding a benchmark")[2]
    (folder / "mine").mkdir()
    (folder / "mine" / "word_count.py").write_text(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1])
    return "--cases", "mine"


def test_a_benchmark_that_is_one_file_is_listed_run_stored_and_on_the_website(run, folder, mine):
    listed = run("bench", "list", *mine)
    assert "word-count\n  Word count\n  models   default\n  engines  embedded, beam\n" in listed.stdout
    done = run("bench", "run", "word-count", *mine, "--engine", "all", "--examples", "200", "--repeat", "2")
    assert done.returncode == 0, done.stderr
    assert "Word count, default: 200 elements on cpu" in done.stdout
    assert re.search(r"^embedded .*s–.*\$", done.stdout, re.MULTILINE)
    assert "Published    sqlite:benchmarks.sqlite" in done.stdout
    stored = read_runs(folder / "benchmarks.sqlite")
    assert [(each.info.engine, each.complete, len(each.samples["JobRuntimeSeconds"])) for each in stored] == [
        ("embedded", True, 2),
        ("beam", True, 2),
    ]
    site = run("report", "benchmarks.sqlite", *mine, "-o", "site")
    assert site.returncode == 0, site.stderr
    pages = "".join(page.read_text() for page in (folder / "site").rglob("*.html"))
    assert "Counts the words of texts of 3 to 100 words" in pages


def test_what_was_measured_is_written_and_published_where_the_user_wants(run, folder, mine):
    options = ["--examples", "50", "--repeat", "1", "--machine", "mine", "--machine-type", "n1-standard-8"]
    places = ["--store", "my.sqlite", "--output", "results.json", "--publish", "jsonl:metrics.jsonl"]
    done = run("bench", "run", "word-count", *mine, *options, *places, "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    document = json.loads((folder / "results.json").read_text())
    (result,) = document["runs"]
    assert result["run"]["host"] == "mine"
    assert result["run"]["options"]["machine_type"] == "n1-standard-8"
    assert result["samples"]["EstimatedCost"][0] > 0
    assert document["command"][:3] == ["bench", "run", "word-count"]
    assert not (folder / "benchmarks.sqlite").exists()
    assert [run.info.test_id for run in read_runs(folder / "my.sqlite")] == [result["run"]["test_id"]]
    states = [json.loads(line)["run"]["state"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert states == ["running", "running", "done"]


def test_an_options_file_says_what_flags_would(run, folder, mine):
    (folder / "options.txt").write_text("--examples=30\n# a comment\n--device=CPU\n--input_options={}\n--repeat=1\n")
    done = run("bench", "run", "word-count", *mine, "@options.txt")
    assert done.returncode == 0, done.stderr
    assert "30 elements on cpu" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["word-cuont"], "There is no benchmark 'word-cuont'. Did you mean 'word-count'?"),
        ([], "Say which benchmark to run, or all"),
        (["all", "word-count"], "leave the other names out"),
        (["word-count:large"], "word-count has no model 'large'. It has default"),
        (["word-count", "--engine", "embeded"], "does not run on 'embeded'. Did you mean 'embedded'?"),
        (["word-count", "--exampels", "3"], "'--examples'"),
        (["word-count", "--examples", "0"], "0 is not in the range x>=1"),
        (["word-count", "--output", "no/such/results.json"], "there is no such folder"),
        (["word-count", "--handler-option", "precision"], "is not of the form NAME=VALUE"),
        (["word-count", "--machine-type", "n1-standard-3"], "n1-standard-3"),
        (["word-count", "@optoins.txt"], "optoins.txt"),
        (["word-count", "--publish", "sqlte:x"], "Did you mean 'sqlite'?"),
        (["word-count", "--publish_to_big_query=true"], "metrics_dataset"),
        (["vllm-gemma-batch"], "vllm-gemma-batch cannot run yet"),
    ],
)
def test_what_cannot_be_run_is_refused_with_what_to_do(run, folder, mine, arguments, message):
    done = run("bench", "run", *arguments, *mine)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Published" not in done.stdout
    assert not (folder / "benchmarks.sqlite").exists()


def test_a_gpu_that_is_not_there_is_told_before_anything_is_made(run, folder, mine):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = run("bench", "run", "word-count", *mine, "--device", "GPU")
    assert done.returncode == 2
    assert "There is no GPU here that PyTorch can use" in done.stderr


def test_a_benchmark_that_fails_is_an_error_of_its_own_and_the_others_are_run(run, folder, mine):
    broken = (folder / "mine" / "word_count.py").read_text()
    broken = broken.replace("word-count", "broken").replace("return str.split", "raise OSError('no weights')")
    (folder / "mine" / "broken.py").write_text(broken)
    done = run("bench", "run", "broken", "word-count", *mine, "--examples", "20", "--repeat", "1")
    assert done.returncode == 1
    assert "Error: broken: embedded: " in done.stderr
    assert "no weights" in done.stderr
    assert "Word count, default: 20 elements" in done.stdout
    states = {each.info.name: each.info.state for each in read_runs(folder / "benchmarks.sqlite")}
    assert states == {"broken": "failed", "word-count": "done"}
