"""The knobs that Newton has, turned in mid-episode, against theory, and what it says of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch

from .responses import exchange, first_step, launch, launched, push
from .worlds import MAKE, Stage

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

SCALES = torch.tensor([1.0, 0.2, 5.0, 0.5])


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=4, physics="newton_mjwarp", **MAKE)
    yield env
    env.close()


def test_momentum_weighs_each_worlds_ball(env: SageEnv) -> None:
    torch.testing.assert_close(exchange(Stage(env), SCALES), 0.4 * SCALES, rtol=0.01, atol=0.0)


def test_the_same_push_moves_and_turns_heavy_boxes_less(env: SageEnv) -> None:
    acceleration, turning = push(Stage(env), SCALES)
    torch.testing.assert_close(acceleration, 4.0 / (0.8 * SCALES), rtol=0.01, atol=0.0)
    torch.testing.assert_close(turning, 0.02 / (0.8 * 0.26**2 / 6 * SCALES), rtol=0.01, atol=0.0)


def test_strong_drives_start_faster(env: SageEnv) -> None:
    scale = torch.tensor([0.04, 0.01, 0.02, 0.005])
    torch.testing.assert_close(launch(Stage(env), scale), launched(scale), rtol=0.1, atol=0.0)
    torch.testing.assert_close(env.physics.in_force("strength_scale")["robot"][:, 0], 20.0 * scale)


@pytest.mark.parametrize("count", [1, 4])
def test_the_physics_step_is_the_scenes_and_an_environment_step_stays_as_long(env: SageEnv, count: int) -> None:
    try:
        env.physics.set("time_step", 1 / (30 * count))
        one, whole = first_step(Stage(env))
        torch.testing.assert_close(one, torch.full_like(one, 9.81 / (30 * count)), rtol=1e-3, atol=0.0)
        torch.testing.assert_close(whole, torch.full_like(whole, 9.81 / 30), rtol=1e-3, atol=0.0)
    finally:
        env.physics.set("time_step", 1 / 60)


def test_snapshots_carry_what_newton_has(env: SageEnv) -> None:
    env.reset(seed=0)
    env.physics.put({"mass_scale": SCALES, "dynamic_friction_scale": 0.5})
    rows = env.snapshot()
    env.reset(seed=0)
    env.restore(rows)
    torch.testing.assert_close(env.physics.in_force("mass_scale")["objects"][:, 0], 0.8 * SCALES)
    assert env.physics.friction_scale.tolist() == [0.5] * 4


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("static_friction_scale", "set dynamic_friction_scale"),
        ("restitution_scale", "use physics=ovphysx"),
        ("size_scale", "set task.object_sizes"),
    ],
)
def test_what_it_cannot_do_is_said(env: SageEnv, name: str, mend: str) -> None:
    from sage_envs.physics import CapabilityError

    assert str(env.capabilities[name]) == "not at all"
    with pytest.raises(CapabilityError, match=f"physics.{name}: newton_mjwarp cannot set it: .*{mend}"):
        env.physics.set(name, 1.0)
    with pytest.raises(CapabilityError, match=name):
        env.physics.get(name)


def test_what_it_cannot_do_it_does_not_draw_either(env: SageEnv) -> None:
    from sage_envs.physics import CapabilityError
    from sage_envs.randomisation import RandomisationCfg, Randomiser

    env.cfg.randomisation = RandomisationCfg(restitution_scale=(0.5, 1.0))
    with pytest.raises(CapabilityError, match=r"physics.restitution_scale: newton_mjwarp cannot set it"):
        Randomiser(env)
