"""What the tests of acting share: a small mind, a small core, one thread, and a memory of the ball world."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from sage_ext.act.disturbed import Disturbed
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.sage import core
from sage_ext.threads import torch_threads
from sage_ext.wake import open_memory, wake
from tests.mind.ball_world import BallWorld, Push
from tests.mind.conftest import configured, make_mind, shrink

CORE = {"slow": 48, "read": 16, "heads": 2, "think": 32, "steps": 2, "glance": 16, "fast": 64, "memory": 16}
LENGTH = 30


@pytest.fixture(autouse=True, scope="package")
def small() -> Iterator[None]:
    """A small mind and a small core on one thread."""
    with torch_threads(1), pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        patch.setattr(core, "CoreWidths", functools.partial(core.CoreWidths, **CORE, report=8))
        yield


@pytest.fixture(scope="package")
def demonstrated(tmp_path_factory: pytest.TempPathFactory, small: None) -> Iterator[tuple[BallWorld, Memory]]:
    """Worlds and a memory of 6 episodes of a disturbed expert, who goes right."""
    env = BallWorld(3, LENGTH, 32)
    with open_memory(tmp_path_factory.mktemp("lived") / "memory", env, 1000) as memory:

        def expert(seed: int) -> Disturbed:
            push = Push(env, seed, expert=True)
            return Disturbed(push, env, 0.3, seed, push)

        wake(env, expert, memory, 6, 5, 0)
        yield env, memory


@pytest.fixture(scope="package")
def mind(demonstrated: tuple[BallWorld, Memory]) -> Mind:
    """An untrained mind; leave it as it is."""
    return make_mind(demonstrated[0], configured().sleep)
