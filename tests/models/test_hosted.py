"""One copy of a model for all processes of a machine, or some."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hosted_handlers as handlers
import pytest
from hosted_world import ON_LINUX, a_world

from runinference import ConfigurationError, EngineClosedError, ModelLoadError
from runinference.models.hosted import hosted_model

pytestmark = ON_LINUX


@pytest.fixture
def world(monkeypatch):
    with a_world(monkeypatch) as world:
        yield world


def test_processes_that_ask_at_the_same_time_share_one_copy(world):
    handler = handlers.Hosted(world.folder)
    users = [world.user(handler) for _ in range(4)]
    answers = [user.answer() for user in users]
    (holder,) = handler.loads()
    assert answers == [("pids", [holder])] * 4
    for number, user in enumerate(users):
        user.ask(number, 10)
    assert [user.answer() for user in users] == [("done", [(2 * n, holder), (20, holder)]) for n in range(4)]
    assert holder not in [user.pid for user in users]
    assert len(world.hosts()) == 1


def test_two_copies_answer_at_the_same_time(world):
    handler = handlers.Meeting(world.folder)
    with hosted_model(handler, "model", 2) as model, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(model.run_inference, [1]) for _ in range(2)]
        assert sorted(answer.result(60)[0] for answer in answers) == sorted(model.pids) == sorted(handler.loads())


def test_each_copy_knows_which_one_it_is(world):
    with hosted_model(handlers.Numbered(world.folder), "model", 2) as model, ThreadPoolExecutor(4) as pool:
        seen = set()
        while len(seen) < 2:
            seen |= {answer[0] for answer in pool.map(model.run_inference, [[1]] * 8)}
    assert seen == {(0, 2), (1, 2)}


def test_a_copy_runs_one_call_at_a_time(world):
    handler = handlers.Alone(world.folder)
    with hosted_model(handler, "model") as model, ThreadPoolExecutor(8) as pool:
        list(pool.map(model.run_inference, [[1]] * 20))
    assert (world.folder / "calls").read_text().split() == ["begin", "end"] * 20


def test_many_threads_get_their_own_answers(world):
    with hosted_model(handlers.Shared(world.folder), "model", 2) as model, ThreadPoolExecutor(8) as pool:
        answers = pool.map(model.run_inference, [[n, n + 1] for n in range(200)])
        assert [[value for value, _ in answer] for answer in answers] == [[2 * n, 2 * n + 2] for n in range(200)]


@pytest.mark.parametrize("model", [{"a": 1}, (1, 2), [3], None, 0, "text", {1}], ids=repr)
def test_any_object_may_be_a_model(world, model):
    with hosted_model(handlers.AnyModel(model), "model") as hosted:
        assert hosted.run_inference([1, 2]) == [model, model]


def test_another_identifier_model_or_handler_is_another_host(world):
    folder = world.folder
    with (
        hosted_model(handlers.Named(folder, "one"), "model") as one,
        hosted_model(handlers.Named(folder, "one"), "other identifier") as other_identifier,
        hosted_model(handlers.Named(folder, "two"), "model") as other_model,
        hosted_model(handlers.Shared(folder), "model") as other_handler,
        hosted_model(handlers.Named(folder, "one"), "model") as same,
    ):
        pids = [m.pids[0] for m in (one, other_identifier, other_model, other_handler)]
        assert len(set(pids)) == len(world.hosts()) == 4
        assert same.pids == one.pids
        assert (one.run_inference([0]), other_model.run_inference([0])) == (["one"], ["two"])


def test_another_number_of_copies_is_refused(world):
    handler = handlers.Shared(world.folder)
    with hosted_model(handler, "model") as model:
        with pytest.raises(ConfigurationError, match="'model' is already there with 1 copies, but 2 were asked for"):
            hosted_model(handler, "model", 2)
        assert model.run_inference([4])[0][0] == 8


@pytest.mark.parametrize(
    ("identifier", "copies", "message"),
    [("", 1, "needs an identifier"), (None, 1, "got None"), ("m", 0, "at least 1, got 0"), ("m", True, "got True")],
)
def test_wrong_arguments_are_refused(world, identifier, copies, message):
    with pytest.raises(ConfigurationError, match=message):
        hosted_model(handlers.Shared(world.folder), identifier, copies)
    assert world.processes() == []


def test_the_model_is_measured(world):
    with hosted_model(handlers.Hosted(world.folder), "model") as model:
        assert model.num_bytes == 8000
        assert model.load_s > 0
        assert model.copies == 1


def test_a_closed_model_is_not_used(world):
    with hosted_model(handlers.Shared(world.folder), "model") as model:
        pass
    model.close()
    with pytest.raises(EngineClosedError, match=r"'model' was used after close\(\)"):
        model.run_inference([1])


def test_a_model_that_is_dropped_is_let_go_of(world):
    model = hosted_model(handlers.Shared(world.folder), "model")
    assert model.run_inference([1])[0][0] == 2
    del model
    gc.collect()
    world.wait_until_nothing_is_left()


def test_a_handler_that_cannot_be_pickled_says_which_attribute(world):
    with pytest.raises(ConfigurationError, match=r"Unsendable cannot be sent .* Look at its attribute 'guard'\. "):
        hosted_model(handlers.Unsendable(), "model")
    assert world.processes() == []


def test_all_who_wait_are_told_why_the_model_cannot_be_loaded(world):
    handler = handlers.LoadsOnlyWith(world.folder)
    users = [world.user(handler) for _ in range(3)]
    handlers.wait_until(handler.loads)
    waiting = ThreadPoolExecutor(1)
    here = waiting.submit(hosted_model, handler, "model")
    (world.folder / "go").touch()
    with pytest.raises(
        ModelLoadError, match=r"LoadsOnlyWith could not load .* FileNotFoundError: there are no weights"
    ):
        here.result(60)
    for user in users:
        kind, message = user.answer()
        assert (kind, "there are no weights" in message) == ("ModelLoadError", True)
    world.wait_until_nothing_is_left()
    (world.folder / "weights").touch()
    with hosted_model(handler, "model") as model:
        assert model.run_inference([1])[0][0] == 2


def test_a_handler_that_cannot_make_copies_fails_to_load(world):
    message = "NoCopies could not load its model: ConnectionError: no more devices"
    with pytest.raises(ModelLoadError, match=message):
        hosted_model(handlers.NoCopies(world.folder), "model", 2)
    with hosted_model(handlers.NoCopies(world.folder), "model") as model:
        assert model.run_inference([1])[0][0] == 2


def test_a_failed_load_shows_where_it_failed(world):
    (world.folder / "go").touch()
    with pytest.raises(ModelLoadError) as raised:
        hosted_model(handlers.LoadsOnlyWith(world.folder), "model")
    assert "in load_model" in "".join(raised.value.__notes__)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_a_user_of_its_own_if_it_uses_the_model(world):
    handler = handlers.Shared(world.folder)
    model = hosted_model(handler, "model")
    (holder,) = model.pids
    answers, theirs = os.pipe()
    go_on, ours = os.pipe()
    child = os.fork()
    if not child:
        os.write(theirs, str(model.run_inference([1])[0]).encode())
        os.read(go_on, 1)
        os.write(theirs, str(model.run_inference([2])[0]).encode())
        os._exit(0)
    assert os.read(answers, 100).decode() == str((2, holder))
    assert model.run_inference([3]) == [(6, holder)]
    model.close()
    os.write(ours, b"x")  # The child still uses it.
    assert os.read(answers, 100).decode() == str((4, holder))
    os.waitpid(child, 0)
    world.wait_until_nothing_is_left()
    assert handler.loads() == [holder]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_that_does_not_use_the_model_keeps_nothing_alive(world):
    go_on, ours = os.pipe()
    with hosted_model(handlers.Shared(world.folder), "model") as model:
        child = os.fork()
        if not child:
            os.close(ours)
            os.read(go_on, 1)
            os._exit(0)
        assert model.run_inference([3])[0][0] == 6
    world.wait_until_nothing_is_left()
    os.close(ours)
    os.waitpid(child, 0)


def test_what_a_model_prints_is_on_standard_error_of_the_process_that_asked_first(world):
    program = (
        "from hosted_handlers import Talking\n"
        "from runinference.models.hosted import hosted_model\n"
        "with hosted_model(Talking(), 'model') as model:\n"
        "    print(model.run_inference([1]))\n"
    )
    done = run(program)
    assert (done.returncode, done.stdout) == (0, "[1]\n")
    assert "the model says hello" in done.stderr
    assert "and complains" in done.stderr


def test_copies_share_the_cores_unless_somebody_says_otherwise(world, monkeypatch):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "77")
    handler = handlers.Environment(env_vars={"OPENBLAS_NUM_THREADS": "88", "HOSTED_AT_IMPORT": "early"})
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HOSTED_AT_IMPORT"]
    with hosted_model(handler, "model", 2) as model:
        assert model.run_inference(names) == [str(max(1, cores // 2)), "77", "88", "early"]
    assert "HOSTED_AT_IMPORT" not in os.environ


def test_what_is_defined_in_main_travels_with_cloudpickle(world):
    pytest.importorskip("cloudpickle")
    done = run(MAIN)
    assert (done.stdout, done.stderr) == ("True 6\nMistake oh no\n", "")


def test_without_cloudpickle_a_handler_in_main_is_refused(world):
    done = run("import sys\nsys.modules['cloudpickle'] = None\n" + MAIN)
    assert "ConfigurationError: Triple is defined in __main__" in done.stderr
    assert world.processes() == []


MAIN = """
from runinference import ModelHandler
from runinference.models.hosted import hosted_model

class Mistake(Exception):
    pass

class Row:
    def __init__(self, value):
        self.value = value

class Triple(ModelHandler):
    def load_model(self):
        return 3
    def run_inference(self, batch, model, inference_args=None):
        if batch[0].value is None:
            raise Mistake("oh no")
        return [Row(row.value * model) for row in batch]

with hosted_model(Triple(), "main") as model:
    (result,) = model.run_inference([Row(2)])
    print(type(result) is Row, result.value)
    try:
        model.run_inference([Row(None)])
    except Mistake as error:
        print(type(error).__name__, error)
"""


def run(program):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=100)
