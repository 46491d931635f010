"""Independent parts of one inference, each on a core of its own.

A product of a few rows with a large matrix, what acting is made of, is shared out badly by the threads within one
operation. Measured on 2 cores, the encoder with 16 rows: 17.7 ms with two threads an operation, 14.6 ms with a part a
core. Learning and large batches are better off with threads within operations.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch

_CORES = len(os.sched_getaffinity(0))
Job = Callable[[], Any]


def side_by_side(device: torch.device, *jobs: Job) -> list[Any]:
    """Results of jobs that do not need each other, in their order.

    They run at the same time on a CPU where nothing is learned and torch was told to keep to one thread
    (``torch.set_num_threads(1)``), else one after the other; the results are the same.

    Args:
        device: Where the jobs' tensors live.
        *jobs: Each computes something; the longest should come first.
    """
    if device.type != "cpu" or torch.is_grad_enabled() or torch.get_num_threads() > 1 or _CORES == 1:
        return [job() for job in jobs]
    inference = torch.is_inference_mode_enabled()

    def work(job: Job) -> Any:
        with torch.inference_mode(inference), torch.no_grad():
            return job()

    return [done.result() for done in [_threads(_CORES).submit(work, job) for job in jobs]]


@lru_cache(maxsize=1)
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=min(count, 8), thread_name_prefix="encode")
