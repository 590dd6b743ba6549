"""How many threads an operation on the CPU has: each copy its part of the cores, and nobody else's is changed."""

import threading

import pytest
import torch
from torch import nn

from runinference import PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor, infer


class CountsThreads(nn.Module):
    """Predicts how many threads it has."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return torch.full((len(x),), torch.get_num_threads())


ROWS = [torch.ones(3)] * 4


@pytest.fixture
def cores(monkeypatch):
    """Lets this process have so many cores, and PyTorch take all of them."""
    before = torch.get_num_threads()

    def have(count):
        monkeypatch.setattr("runinference.handlers.copies.available_cores", lambda: count)
        torch.set_num_threads(count)

    yield have
    torch.set_num_threads(before)


@pytest.fixture
def handler(saved):
    path, _ = saved(CountsThreads)
    return lambda **options: PytorchModelHandlerTensor(path, CountsThreads, **options)


def in_new_thread(run):
    found = []
    thread = threading.Thread(target=lambda: found.append(run()))
    thread.start()
    thread.join()
    return found[0]


def numbers(found):
    """The different numbers of threads that each copy had."""
    return [{int(number) for predictions in rounds for number in predictions} for rounds in found]


@pytest.mark.parametrize(("count", "copies", "expected"), [(8, 2, 4), (8, 3, 2), (2, 2, 1), (2, 4, 1), (9, 2, 4)])
def test_copies_share_the_cores_and_leave_the_threads_of_others_alone(
    cores, handler, side_by_side, count, copies, expected
):
    cores(count)
    assert numbers(side_by_side(handler(), [ROWS] * copies)) == [{expected}] * copies
    assert torch.get_num_threads() == count
    assert in_new_thread(torch.get_num_threads) == count


def test_an_engine_gives_each_copy_its_part(cores, handler):
    cores(8)
    found = [int(result.inference) for result in infer(ROWS * 50, handler(model_copies=2))]
    assert set(found) == {4}
    assert torch.get_num_threads() == 8
    assert in_new_thread(torch.get_num_threads) == 8


def test_a_single_model_has_the_threads_of_pytorch(cores, handler):
    cores(8)
    assert {int(result.inference) for result in infer(ROWS, handler())} == {8}


def test_copies_have_no_more_threads_than_pytorch_was_given(cores, handler, side_by_side):
    cores(8)
    torch.set_num_threads(3)  # As OMP_NUM_THREADS does from outside.
    assert numbers(side_by_side(handler(), [ROWS] * 2)) == [{3}, {3}]


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_a_number_that_was_asked_for_is_that_of_each_copy(cores, handler, side_by_side, threads):
    cores(8)
    assert numbers(side_by_side(handler(threads=threads), [ROWS] * 2)) == [{threads}, {threads}]
    assert torch.get_num_threads() == 8
    assert in_new_thread(torch.get_num_threads) == 8


def test_a_number_that_was_asked_for_is_set_where_the_model_runs_and_nowhere_else(cores, handler):
    cores(8)
    asked = handler(threads=3)
    model = asked.load_model()
    assert torch.get_num_threads() == 8
    assert in_new_thread(lambda: [int(r.inference) for r in asked.run_inference(ROWS, model)]) == [3] * 4
    assert torch.get_num_threads() == 8
    assert [int(result.inference) for result in asked.run_inference(ROWS, model)] == [3] * 4
    assert in_new_thread(torch.get_num_threads) == 8


def test_handlers_that_take_turns_in_a_thread_have_each_their_number(cores, handler):
    cores(8)
    two, five = handler(threads=2), handler(threads=5)
    model = two.load_model()
    found = [[int(r.inference) for r in each.run_inference(ROWS[:1], model)] for each in (two, five) * 3]
    assert found == [[2], [5]] * 3


def test_tables_and_functions_of_ones_own_have_the_part_of_the_copy_too(cores, handler, saved):
    numpy = pytest.importorskip("numpy")
    cores(8)
    tables = handler().for_copy(0, 2)
    model = tables.load_model()
    found = in_new_thread(lambda: tables.run_inference_on_block(numpy.ones((2, 3), "f4"), model))
    assert list(found) == [4, 4]

    def own(batch, model, device, inference_args=None, model_id=None):
        return [torch.get_num_threads()] * len(batch)

    for kind in (PytorchModelHandlerTensor, PytorchModelHandlerKeyedTensor):
        functions = kind(saved(CountsThreads)[0], CountsThreads, inference_fn=own).for_copy(0, 2)
        run = functions.run_inference
        assert [r.inference for r in in_new_thread(lambda run=run: run(ROWS, model))] == [4] * 4


def test_many_threads_that_begin_at_once_get_each_its_number(cores, handler):
    cores(8)
    handlers = [handler(threads=1 + number % 5) for number in range(16)]
    model = handlers[0].load_model()
    together, found = threading.Barrier(16), {}

    def work(number):
        together.wait(30)
        found[number] = {int(r.inference) for _ in range(5) for r in handlers[number].run_inference(ROWS, model)}

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: {1 + number % 5} for number in range(16)}
    assert torch.get_num_threads() == 8
    assert in_new_thread(torch.get_num_threads) == 8
