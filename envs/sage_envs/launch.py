"""What has to be true of the process before a simulator starts in it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PR_SET_TIMERSLACK, _PR_GET_TIMERSLACK = 29, 30
_SLACK_NS = 1_000_000


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


@contextmanager
def drowsy_threads() -> Iterator[None]:
    """Let threads started within wake from timed sleeps up to a millisecond late (Linux; elsewhere nothing happens).

    A thread of OvPhysX's asset cache polls with sleeps of microseconds: measured, 22 % of a core for nothing. Threads
    inherit the timer slack of the one that starts them, so with it they poll a thousand times a second at most (1 %).
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    before = prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0)
    prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_SLACK_NS), 0, 0, 0)
    try:
        yield
    finally:
        if before > 0:
            prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(before), 0, 0, 0)


def limit_physics_threads(sim: Any) -> None:
    """Give OvPhysX no more worker threads than there are cores; Isaac Lab asks for eight.

    Measured on 2 cores and 16 worlds: a physics step takes 2.6 instead of 3.4 ms. Call it before the simulation starts.

    Args:
        sim: Isaac Lab's simulation context.
    """
    if sim.physics_manager.__name__ != "OvPhysxManager":
        return
    import ovphysx
    from isaaclab_ov.physics.ovphysx_manager_cfg import OvPhysxBackendCfg

    cfg = OvPhysxBackendCfg(device=sim.device, cooked_collider_cache_dir=sim.cfg.physics.cooked_collider_cache_dir)
    # The simulation finds this runtime under the same config when it starts.
    runtime = sim.get_or_create_backend(cfg).physx
    runtime.set_config_int32(ovphysx.ConfigInt32.NUM_THREADS, min(8, len(os.sched_getaffinity(0))))


def default_device() -> str:
    """``cuda:0`` where a CUDA device is present, else ``cpu``."""
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"
