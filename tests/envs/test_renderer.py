"""Rays on all cores: the stock renderer's pictures, and time for something else meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import MAKE

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=3, **MAKE)
    env.reset(seed=0)
    yield env
    env.close()


def stock(env: SageEnv, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """A look with Isaac Lab's own renderer."""
    with monkeypatch.context() as patch:
        patch.setattr(env.scene["camera"]._renderer, "_threads", None)
        return env.look()


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_pictures_are_those_of_the_stock_renderer(env: SageEnv, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    renderer = env.scene["camera"]._renderer
    for name, value in (("_count", threads), ("_threads", ThreadPoolExecutor(threads)), ("_bands", {})):
        monkeypatch.setattr(renderer, name, value)
    for _ in range(3):
        env.step(torch.rand(3, 2) * 2 - 1)
        visual, depth = env.look()
        assert visual.float().std() > 20 and depth.std() > 0.2, "there is something to see"
        other_visual, other_depth = stock(env, monkeypatch)
        assert torch.equal(visual, other_visual) and torch.equal(depth, other_depth)


def test_meanwhile_is_done_once_while_rays_are_cast(env: SageEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = env.scene["camera"]._renderer
    done, going, cast = [], threading.Event(), renderer._cast

    def slow(*given: object) -> None:
        assert going.wait(10), "rays would have waited for ever: nothing was done meanwhile"
        cast(*given)

    monkeypatch.setattr(renderer, "_cast", slow)
    env.look(lambda: (done.append(1), going.set()))
    env.look()
    assert done == [1]


class Foreign:
    """A renderer that knows of no meanwhile, such as RTX."""

    def __init__(self, renderer: object) -> None:
        self._inner = renderer

    def __getattr__(self, name: str) -> object:
        if name == "meanwhile":
            raise AttributeError(name)
        return getattr(self._inner, name)


def test_meanwhile_is_done_once_by_a_renderer_that_cannot_wait(env: SageEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(env.scene["camera"]._renderer, "_threads", None)
    env.look(lambda: done.append(1))
    monkeypatch.setattr(env.scene["camera"], "_renderer", Foreign(env.scene["camera"]._renderer))
    env.look(lambda: done.append(2))
    assert done == [1, 2]


def test_the_camera_looks_where_isaac_labs_convention_says(env: SageEnv) -> None:
    from isaaclab.utils.math import convert_camera_frame_orientation_convention, quat_mul

    _, quat = env.camera_pose()
    theirs = convert_camera_frame_orientation_convention(quat, origin="world", target="opengl")
    ours = quat_mul(quat, env._to_opengl)
    # A quaternion and its negative are the same turn.
    torch.testing.assert_close((theirs * ours).sum(-1).abs(), torch.ones(3), atol=1e-5, rtol=0)
