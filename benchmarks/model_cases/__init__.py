"""One file for each comparison; the order here is the order of the table."""

from __future__ import annotations

from harness.command import Case
from model_cases import ab_one_pass, per_key, sequential, shared_weights, swap, swap_memory

CASES: dict[str, Case] = {
    "per_key": per_key.run,
    "ab_one_pass": ab_one_pass.run,
    "sequential": sequential.run,
    "swap": swap.run,
    "swap_memory": swap_memory.run,
    "shared_weights": shared_weights.run,
}
