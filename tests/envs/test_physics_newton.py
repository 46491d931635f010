"""Gravity and friction on Newton, which keeps them per world, against theory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from .worlds import MAKE, Stage, fall, slide

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

GRAVITIES = torch.tensor([-9.81, -3.71, -1.62, -15.0])
SCALES = torch.tensor([1.0, 0.5, 1.5, 0.8])
FRICTION_ERROR = 0.2
"""Contacts of Newton are soft: what was measured is -14 to +6 %."""


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=4, physics="newton_mjwarp", **MAKE)
    yield env
    env.close()


def test_bodies_fall_as_each_worlds_gravity_says(env: SageEnv) -> None:
    drop, velocity = fall(Stage(env), GRAVITIES)
    torch.testing.assert_close(env.physics.gravity[:, 2], GRAVITIES)
    torch.testing.assert_close(drop, torch.ones_like(drop), rtol=0.0, atol=0.02)
    torch.testing.assert_close(velocity, torch.ones_like(velocity), rtol=0.0, atol=0.001)


def test_bodies_slide_as_each_worlds_friction_says(env: SageEnv) -> None:
    measured, theory = slide(Stage(env), SCALES)
    torch.testing.assert_close(measured, theory, rtol=FRICTION_ERROR, atol=0.0)


def test_every_object_has_a_friction_of_its_own_and_keeps_its_share(env: SageEnv) -> None:
    from sage_envs.materials import MATERIALS
    from sage_envs.room import OBJECTS

    env.reset(seed=0)
    nominal = torch.tensor([MATERIALS[thing.material].dynamic_friction for thing in OBJECTS])
    torch.testing.assert_close(env.physics.friction["objects"], nominal.expand(4, -1))
    env.physics.set_friction_scale(SCALES)
    torch.testing.assert_close(env.physics.in_force("dynamic_friction_scale")["objects"], nominal * SCALES.unsqueeze(1))


def test_the_senses_are_those_of_the_contract(env: SageEnv) -> None:
    observation, _ = env.reset(seed=0)
    for name, space in env.single_observation_space["policy"].items():
        assert tuple(observation["policy"][name].shape) == (4, *space.shape)
        assert observation["policy"][name].isfinite().all()


def test_a_world_that_breaks_is_ended_and_mended(env: SageEnv, tmp_path: Path) -> None:
    env.cfg.faults = str(tmp_path)
    Stage(env).begin()
    velocity = env.loose.data.body_com_vel_w.torch[[1]].clone()
    velocity[0, 2] = float("nan")
    env.loose.write_body_com_velocity_to_sim_index(body_velocities=velocity, env_ids=torch.tensor([1]).int())
    with pytest.warns(RuntimeWarning, match="world 1: .*objects.velocity.* no longer finite"):
        _, _, terminated, _, _ = env.step(torch.zeros(4, 2))
    assert terminated.tolist() == [False, True, False, False]
    for _ in range(3):
        assert not env.step(torch.zeros(4, 2))[2].any()
    assert env.snapshot().isfinite().all()
    assert len(list(tmp_path.iterdir())) == 1
