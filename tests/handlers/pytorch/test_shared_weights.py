"""Processes that load the same file of weights share its pages."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROCESSES = 4

PROGRAM = """
import sys
import torch
from runinference import PytorchModelHandlerTensor, infer, Engine

def run(path, size):
    handler = PytorchModelHandlerTensor(path, torch.nn.Linear, {"in_features": size, "out_features": 5000}, threads=1)
    engine = Engine(handler)
    assert len(list(engine.map([torch.ones(size)] * 4))) == 4
    return engine

small = run(sys.argv[1], 4)
print("small", flush=True)
sys.stdin.readline()
large = run(sys.argv[2], 5000)
print("large", flush=True)
sys.stdin.readline()
"""


def proportional_bytes(pid):
    """What a process holds, where a page that n processes share counts 1/n for each."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Pss")


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what processes share")
def test_four_processes_hold_one_copy_of_the_weights(tmp_path):
    for name, size in (("small", 4), ("large", 5000)):
        torch.save(torch.nn.Linear(size, 5000).state_dict(), tmp_path / f"{name}.pt")
    weights = (tmp_path / "large.pt").stat().st_size
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "small.pt"), str(tmp_path / "large.pt")]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    try:
        held = {}
        for name in ("small", "large"):
            assert [worker.stdout.readline() for worker in workers] == [f"{name}\n"] * PROCESSES
            held[name] = sum(proportional_bytes(worker.pid) for worker in workers)
            for worker in workers:
                worker.stdin.write("go on\n")
                worker.stdin.flush()
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    copies = (held["large"] - held["small"]) / weights
    assert 0.9 < copies <= 1.2
