"""What has to be true of the process before a simulator starts in it."""

from __future__ import annotations

import os


def prepare_process() -> None:
    """Make Isaac Lab's kit-less engines start on machines with and without a GPU.

    Safe to call any number of times. Without a CUDA driver Warp cannot allocate pinned host
    memory, which Isaac Lab's OvPhysX assets ask for; ordinary host memory serves as well there.
    """
    os.environ.setdefault("OMNI_KIT_ACCEPT_EULA", "YES")
    import warp as wp

    wp.config.quiet = True
    wp.init()
    if not wp.is_cuda_available():
        cpu = wp.get_device("cpu")
        cpu.pinned_allocator = cpu.default_allocator


def default_device() -> str:
    """``cuda:0`` where a CUDA device is present, else ``cpu``."""
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"
