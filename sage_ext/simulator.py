"""Whether there is a simulator that can start, asked before anything is written."""

from __future__ import annotations

import os

from .errors import SageError


def prepare(device: str | None) -> None:
    """Check that the simulator is there and its device is, and accept its licence.

    Args:
        device: The one asked for; None where any is right.

    Raises:
        SageError: It is not.
    """
    os.environ.setdefault("OMNI_KIT_ACCEPT_EULA", "YES")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.environ.setdefault("OMNI_KIT_ALLOW_ROOT", "1")
    need_simulator()
    if device is not None and device.startswith("cuda"):
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(device.partition(":")[2] or 0) >= count:
            problem = f"there are {count} CUDA devices" if count else "there is no CUDA device"
            raise SageError("task.device", device, problem, "set task.device=null or cpu")


def need_simulator() -> None:
    """Check that it is installed.

    Raises:
        SageError: It is not.
    """
    from importlib.util import find_spec

    for name in ("isaaclab", "sage_tasks"):
        if find_spec(name) is None:
            raise SageError("simulator", name, "is not installed", "install it: pip install 'sage-ext[sim]'")
