"""Rays on all cores: the stock renderer's pictures, and time for something else meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch

from .worlds import MAKE, assert_stock_pictures

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


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("known", [True, False])
def test_pictures_are_those_of_the_stock_renderer(
    env: SageEnv, threads: int, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from sage_envs.tiles import Tiles

    renderer = env.scene["camera"]._renderer
    for name, value in (("_count", threads), ("_threads", ThreadPoolExecutor(threads)), ("_bands", {})):
        monkeypatch.setattr(renderer, name, value)
    for _ in range(3):
        env.step(torch.rand(3, 2) * 2 - 1)
        if known:
            assert_stock_pictures(env)
            continue
        # What Newton's kernel casts in bands when something in the scene is not known.
        with monkeypatch.context() as patch:
            patch.setattr(Tiles, "ready", lambda tiles: False)
            ours = env.look()
            patch.setattr(renderer, "stock", True)
            assert all(torch.equal(*pair) for pair in zip(ours, env.look(), strict=True))


def test_shadows_are_cast_by_newtons_kernel(env: SageEnv) -> None:
    renderer = env.scene["camera"]._renderer
    utils, config = renderer.newton_sensor.utils, renderer.newton_sensor.default_render_config
    bright = env.look()[0]
    utils.create_default_light(enable_shadows=True)
    try:
        shaded = env.look()[0]
    finally:
        utils.create_default_light(enable_shadows=False)
    assert not config.enable_shadows
    assert (shaded < bright).any() and (shaded <= bright).all()
    assert torch.equal(env.look()[0], bright)


def test_other_intrinsics_are_seen_at_once(env: SageEnv) -> None:
    camera = env.scene["camera"]
    matrices = camera.data.intrinsic_matrices.torch.clone()
    before = env.look()[1]
    wider = matrices.clone()
    wider[:, 0, 0] *= 0.5
    wider[:, 1, 1] *= 0.5
    try:
        camera.set_intrinsic_matrices(wider)
        assert not torch.equal(env.look()[1], before)
        assert_stock_pictures(env)
    finally:
        camera.set_intrinsic_matrices(matrices)


@pytest.mark.parametrize("stock", [False, True])
def test_meanwhile_is_done_once_while_rays_are_cast(env: SageEnv, stock: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from isaaclab_newton.renderers.newton_warp_renderer import NewtonWarpRenderer

    from sage_envs.tiles import Tiles

    owner, name = (NewtonWarpRenderer, "_launch_render") if stock else (Tiles, "cast")
    done, going, cast = [], threading.Event(), getattr(owner, name)

    def slow(*args: object) -> None:
        assert going.wait(10), "rays would have waited for ever: nothing was done meanwhile"
        cast(*args)

    monkeypatch.setattr(owner, name, slow)
    monkeypatch.setattr(env.scene["camera"]._renderer, "stock", stock)
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
    monkeypatch.setattr(env.scene["camera"], "_renderer", Foreign(env.scene["camera"]._renderer))
    env.look(lambda: done.append(1))
    assert done == [1]


def test_the_camera_looks_where_isaac_labs_convention_says(env: SageEnv) -> None:
    from isaaclab.utils.math import convert_camera_frame_orientation_convention, quat_mul

    _, quat = env.camera_pose()
    theirs = convert_camera_frame_orientation_convention(quat, origin="world", target="opengl")
    ours = quat_mul(quat, env._to_opengl)
    # A quaternion and its negative are the same turn.
    torch.testing.assert_close((theirs * ours).sum(-1).abs(), torch.ones(3), atol=1e-5, rtol=0)
