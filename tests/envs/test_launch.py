"""How the simulator's process is set up: no thread that polls, no more workers than cores."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from .worlds import MAKE

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="timer slack is Linux's")


def slack() -> int:
    """Timer slack of this thread [ns]."""
    return ctypes.CDLL(None).prctl(30, 0, 0, 0, 0)


@linux
def test_threads_started_within_are_drowsy_and_this_one_is_not_afterwards() -> None:
    from sage_envs.launch import drowsy_threads

    seen: list[int] = []
    before = slack()
    with pytest.raises(KeyError), drowsy_threads():
        thread = threading.Thread(target=lambda: seen.append(slack()))
        thread.start()
        thread.join()
        raise KeyError
    assert seen == [1_000_000] and slack() == before


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=2, **MAKE)
    yield env
    env.close()


@linux
@pytest.mark.sim
def test_an_idle_simulator_leaves_the_cores_alone(env: SageEnv) -> None:
    env.reset(seed=0)
    busy, start = time.process_time(), time.monotonic()
    time.sleep(2.0)
    share = (time.process_time() - busy) / (time.monotonic() - start)
    # Measured: 0.02, and 0.23 without drowsy threads.
    assert share < 0.1


@pytest.mark.sim
def test_physics_has_as_many_workers_as_there_are_cores(env: SageEnv) -> None:
    import ovphysx
    from isaaclab_ov.physics import OvPhysxManager

    asked = OvPhysxManager.get_physx_instance().get_config_int32(ovphysx.ConfigInt32.NUM_THREADS)
    assert asked == min(8, os.cpu_count() or 8)
