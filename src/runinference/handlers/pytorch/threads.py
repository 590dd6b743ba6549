"""How many threads PyTorch computes an operation on the CPU with, set for one of the threads that call it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

_lock = threading.Lock()


def compute_with(threads: int, at_most: bool = False) -> None:
    """Computes with so many threads what the calling thread calls; what others call is left as it is.

    `torch.set_num_threads` sets the number of the thread that calls it, and besides the one that threads get which
    have not computed anything yet. The latter is put back, by a thread that ends afterwards.

    Args:
        threads: How many.
        at_most: Fewer are left as they are.
    """
    with _lock:
        current = torch.get_num_threads()  # Also gives the thread its number, which would else replace that set here.
        if current == threads or (at_most and current < threads):
            return
        with ThreadPoolExecutor(1) as another:
            common = another.submit(torch.get_num_threads).result()
            torch.set_num_threads(threads)
            another.submit(torch.set_num_threads, common).result()
