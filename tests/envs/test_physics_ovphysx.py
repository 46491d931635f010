"""Gravity and friction on OvPhysX against theory, world by world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import torch

from .worlds import MAKE, Stage, fall, live, object_positions, slide

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

GRAVITIES = torch.tensor([-9.81, -3.71, -1.62, -15.0])
SCALES = torch.tensor([1.0, 0.5, 1.5, 0.8])


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=4, **MAKE)
    yield env
    env.close()


def test_bodies_fall_as_each_worlds_gravity_says(env: SageEnv) -> None:
    drop, velocity = fall(Stage(env), GRAVITIES)
    torch.testing.assert_close(env.physics.gravity[:, 2], GRAVITIES)
    torch.testing.assert_close(drop, torch.ones_like(drop), rtol=0.0, atol=0.02)
    torch.testing.assert_close(velocity, torch.ones_like(velocity), rtol=0.0, atol=0.001)


def test_gravity_pulls_sideways_and_up_too(env: SageEnv) -> None:
    stage = Stage(env)
    for i in range(5):
        stage.object(i, (0.6 * i - 1.2, -1.2, 3.0))
    stage.begin()
    gravity = torch.tensor([[0.0, 0.0, 2.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, -4.0]])
    env.physics.set_gravity(gravity)
    live(env, 0.25)
    velocity = env._critic()["object_velocity"][..., :3]
    torch.testing.assert_close(velocity, (gravity * 0.25).unsqueeze(1).expand_as(velocity), rtol=1e-3, atol=1e-4)


def test_the_rover_falls_under_its_worlds_gravity_too(env: SageEnv) -> None:
    stage = Stage(env)
    stage.robot((0.0, 0.0, 2.0))
    stage.set("gravity", torch.nn.functional.pad(GRAVITIES.unsqueeze(1), (2, 0)))
    stage.begin()
    live(env, 0.25)
    torch.testing.assert_close(env._critic()["robot_velocity"][:, 2], GRAVITIES * 0.25, rtol=0.02, atol=0.0)


def test_bodies_slide_as_each_worlds_friction_says(env: SageEnv) -> None:
    measured, theory = slide(Stage(env), SCALES)
    torch.testing.assert_close(measured, theory, rtol=0.02, atol=0.0)


def test_gravity_and_friction_may_differ_together(env: SageEnv) -> None:
    stage = Stage(env)
    stage.set("gravity", torch.nn.functional.pad(GRAVITIES.unsqueeze(1), (2, 0)))
    measured, theory = slide(stage, SCALES)
    torch.testing.assert_close(measured, theory * -GRAVITIES.unsqueeze(1) / 9.81, rtol=0.02, atol=0.0)


def test_what_is_read_back_is_what_the_engine_has(env: SageEnv) -> None:
    env.reset(seed=0)
    nominal = env.physics.friction
    env.physics.set_gravity([0.0, 0.0, -5.0], torch.tensor([1]))
    env.physics.set_friction_scale(0.25, torch.tensor([2]))
    assert env.physics.gravity[:, 2].tolist() == pytest.approx([-9.81, -5.0, -9.81, -9.81])
    assert env.physics.friction_scale.tolist() == [1.0, 1.0, 0.25, 1.0]
    for read in (env.physics.friction, env.physics.in_force("dynamic_friction_scale")):
        for name, value in read.items():
            torch.testing.assert_close(value[[0, 1, 3]], nominal[name][[0, 1, 3]])
            torch.testing.assert_close(value[2], 0.25 * nominal[name][2])
    assert len({round(mu, 3) for mu in nominal["objects"][0].tolist()}) > 1
    env.reset(seed=0)
    assert env.physics.gravity[:, 2].tolist() == pytest.approx([-9.81] * 4)
    torch.testing.assert_close(env.physics.friction, nominal)


def test_other_worlds_do_not_notice(env: SageEnv) -> None:
    def outcome(change: bool) -> torch.Tensor:
        env.reset(seed=3)
        if change:
            env.physics.set_gravity([0.0, 0.0, -2.0], torch.tensor([0, 2]))
            env.physics.set_friction_scale(0.3, torch.tensor([0, 2]))
        env.command(torch.full((4, 2), 0.7))
        live(env, 0.75)
        return object_positions(env)

    plain, changed = outcome(False), outcome(True)
    assert torch.equal(plain[[1, 3]], changed[[1, 3]])
    assert not torch.allclose(plain[[0, 2]], changed[[0, 2]], atol=1e-3)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("gravity", [0.0, 0.0, float("nan")], r"gravity=\[0.0, 0.0, nan\].*at most 100"),
        ("gravity", [0.0, 0.0, -101.0], r"gravity=\[0.0, 0.0, -101.0\].*at most 100"),
        ("gravity", [0.0, -9.81], r"gravity.shape=\(2,\): must be \(3,\) or \(4, 3\)"),
        ("friction_scale", -0.1, r"friction_scale=-0.1.*must lie in 0..10"),
        ("friction_scale", 11.0, r"friction_scale=11.0: must lie in 0..10"),
        ("friction_scale", float("nan"), r"friction_scale=nan: must lie in 0..10"),
        ("friction_scale", [1.0, 1.0], r"friction_scale.shape=\(2,\): must be \(\) or \(4,\)"),
    ],
)
def test_bad_values_are_refused_and_change_nothing(env: SageEnv, key: str, value: Any, message: str) -> None:
    before = env.physics.gravity, env.physics.friction, env.physics.friction_scale
    with pytest.raises(ValueError, match=message):
        getattr(env.physics, f"set_{key}")(value)
    torch.testing.assert_close((env.physics.gravity, env.physics.friction, env.physics.friction_scale), before)
