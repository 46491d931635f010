"""Objects of other sizes on Newton, which rewrites shapes: where they rest, how they turn, and what carries them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch

from .responses import push
from .worlds import MAKE, Stage, assert_stock_pictures, live, object_positions

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

SCALES = torch.tensor([1.0, 0.5, 2.0, 2.0])


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=4, physics="newton_mjwarp", object_sizes=(0.5, 1.0, 2.0), **MAKE)
    yield env
    env.close()


def test_bodies_rest_at_half_their_height_and_snapshots_know(env: SageEnv) -> None:
    from sage_envs.room import OBJECTS

    stage = Stage(env)
    stage.begin()
    live(env, 0.2)
    env.physics.set("size_scale", SCALES)
    live(env, 0.5)
    half = torch.tensor([thing.height / 2 for thing in OBJECTS]) * SCALES.unsqueeze(1)
    # Newton's contacts are soft.
    torch.testing.assert_close(object_positions(env)[..., 2], half, rtol=0.0, atol=3e-3)
    rows = env.snapshot()
    env.reset(seed=1)
    assert env.physics.get("size_scale").tolist() == [1.0] * 4
    env.restore(rows)
    torch.testing.assert_close(env.physics.get("size_scale"), SCALES)
    live(env, 0.2)
    torch.testing.assert_close(object_positions(env)[..., 2], half, rtol=0.0, atol=3e-3)
    # What was seen before anything grew is seen again.
    assert (env.look()[1] > 0.0).any()


def test_a_mass_spread_out_turns_more_slowly(env: SageEnv) -> None:
    stage = Stage(env)
    stage.set("size_scale", SCALES.unsqueeze(1))
    stage.set("object_scale", SCALES.unsqueeze(1))
    acceleration, turning = push(stage, torch.ones(4))
    torch.testing.assert_close(acceleration, torch.full((4,), 4.0 / 0.8), rtol=0.01, atol=0.0)
    torch.testing.assert_close(turning, 0.02 / (0.8 * 0.26**2 / 6 * SCALES.square()), rtol=0.01, atol=0.0)


def test_sizes_are_seen_as_by_the_stock_renderer(env: SageEnv) -> None:
    env.reset(seed=3)
    env.physics.set("size_scale", SCALES)
    assert_stock_pictures(env)
