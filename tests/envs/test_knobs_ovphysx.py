"""Every knob of physics on OvPhysX, turned in mid-episode, against theory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import torch

from .responses import exchange, first_step, launch, launched, push, rebound, slope
from .worlds import MAKE, Stage, live, object_velocities

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

SCALES = torch.tensor([1.0, 0.2, 5.0, 0.5])


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=4, **MAKE)
    yield env
    env.close()


def test_bodies_bounce_as_each_worlds_restitution_says(env: SageEnv) -> None:
    from sage_envs.materials import MATERIALS
    from sage_envs.room import OBJECTS

    scale = torch.tensor([1.0, 0.5, 1.25, 0.25])
    nominal = torch.tensor([MATERIALS[thing.material].restitution for thing in OBJECTS])
    theory = nominal * scale.unsqueeze(1)
    # The coefficient to 1 %, so its square to 2 %; a millimetre is what the solver lets bodies sink in.
    torch.testing.assert_close(rebound(Stage(env), scale), theory.square(), rtol=0.02, atol=1e-3)
    torch.testing.assert_close(env.physics.in_force("restitution_scale")["objects"], theory)


def test_the_slope_at_which_a_box_slides_is_its_static_friction(env: SageEnv) -> None:
    static = torch.tensor([1.0, 0.6, 1.2, 0.8])
    slid = slope(Stage(env), static, torch.full((4,), 0.5))
    torch.testing.assert_close(slid, 0.5 * static, rtol=0.1, atol=0.0)
    # The dynamic coefficient alone would let it slide at 0.2.
    torch.testing.assert_close(env.physics.in_force("static_friction_scale")["objects"][:, 0], 0.5 * static)
    torch.testing.assert_close(env.physics.in_force("dynamic_friction_scale")["objects"][:, 0], torch.full((4,), 0.2))


def test_momentum_weighs_each_worlds_ball(env: SageEnv) -> None:
    torch.testing.assert_close(exchange(Stage(env), SCALES), 0.4 * SCALES, rtol=0.01, atol=0.0)


def test_the_same_push_moves_and_turns_heavy_boxes_less(env: SageEnv) -> None:
    acceleration, turning = push(Stage(env), SCALES)
    torch.testing.assert_close(acceleration, 4.0 / (0.8 * SCALES), rtol=0.01, atol=0.0)
    torch.testing.assert_close(turning, 0.02 / (0.8 * 0.26**2 / 6 * SCALES), rtol=0.01, atol=0.0)


def test_bodies_of_any_mass_fall_alike(env: SageEnv) -> None:
    stage = Stage(env)
    for i in range(5):
        stage.object(i, (0.6 * i - 1.2, -1.2, 3.0))
    stage.set("gravity", torch.tensor([0.0, 0.0, -3.0]))
    stage.begin()
    env.physics.set("mass_scale", SCALES)
    live(env, 0.2)
    speed = -object_velocities(env)[..., 2]
    torch.testing.assert_close(speed, torch.full_like(speed, 3.0 * 0.2), rtol=1e-3, atol=0.0)


def test_strong_drives_start_faster(env: SageEnv) -> None:
    scale = torch.tensor([0.04, 0.01, 0.02, 0.005])
    torch.testing.assert_close(launch(Stage(env), scale), launched(scale), rtol=0.06, atol=0.0)
    torch.testing.assert_close(env.physics.in_force("strength_scale")["robot"][:, 0], 20.0 * scale)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_physics_step_is_the_scenes_and_an_environment_step_stays_as_long(env: SageEnv, count: int) -> None:
    samples = env.senses.hearing.waveform.shape
    try:
        env.physics.set("time_step", 1 / (30 * count))
        assert env.physics.get("time_step").item() == pytest.approx(1 / (30 * count))
        one, whole = first_step(Stage(env))
        torch.testing.assert_close(one, torch.full_like(one, 9.81 / (30 * count)), rtol=1e-3, atol=0.0)
        torch.testing.assert_close(whole, torch.full_like(whole, 9.81 / 30), rtol=1e-3, atol=0.0)
        env.observe()
        assert env.senses.hearing.waveform.shape[:2] == samples[:2]
        assert env.senses.hearing.waveform.shape[2] == 15360 / 30
    finally:
        env.physics.set("time_step", 1 / 60)


def test_what_sounds_goes_on_when_the_physics_step_changes(env: SageEnv) -> None:
    env.reset(seed=1)
    for _ in range(20):
        env.step(torch.ones(4, 2))
    before = env.snapshot()
    try:
        env.physics.set("time_step", 1 / 120)
        assert torch.equal(env.snapshot(), before)
    finally:
        env.physics.set("time_step", 1 / 60)


def test_snapshots_carry_knobs_and_resets_forget_them(env: SageEnv) -> None:
    env.reset(seed=0)
    env.physics.put({"mass_scale": SCALES, "restitution_scale": 0.5, "strength_scale": 2.0})
    rows = env.snapshot()
    env.reset(seed=0)
    for name in env.physics.per_world:
        if name != "gravity":
            assert env.physics.get(name).tolist() == [1.0] * 4
    env.restore(rows)
    torch.testing.assert_close(env.physics.get("mass_scale"), SCALES)
    torch.testing.assert_close(env.physics.in_force("mass_scale")["objects"][:, 0], 0.8 * SCALES)
    assert env.physics.in_force("strength_scale")["robot"].unique().tolist() == [40.0]
    assert env.physics.get("restitution_scale").tolist() == [0.5] * 4


def test_a_moment_lived_again_varies_what_was_in_force(env: SageEnv) -> None:
    env.reset(seed=0)
    env.physics.set("mass_scale", 2.0)
    rows, still = env.snapshot(), torch.zeros(4, 2, 2)
    seen = env.relive(rows, still, mass_scale=SCALES, friction_scale=torch.full((4,), 0.5))
    mass = seen["critic"]["object_mass"][:, -1, 0]
    torch.testing.assert_close(mass, 2.0 * 0.8 * SCALES)
    torch.testing.assert_close(env.physics.get("static_friction_scale"), torch.full((4,), 0.5))
    with pytest.raises(ValueError, match=r"physics.mass_scal: unknown knob; use mass_scale"):
        env.relive(rows, still, mass_scal=SCALES)
    with pytest.raises(ValueError, match=r"mass_scale=.*must lie in 0.05..20"):
        env.relive(rows, still, mass_scale=20.0 * SCALES)


def test_looks_farther_apart_than_contacts_are_kept_are_refused(env: SageEnv) -> None:
    env.reset(seed=0)
    rows, still = env.snapshot(), torch.zeros(4, 2, 2)
    try:
        env.physics.set("time_step", 1 / 240)
        with pytest.raises(ValueError, match=r"speed=2: looks 16 physics steps apart, must be 1..8; set time_step"):
            env.relive(rows, still, speed=2.0)
    finally:
        env.physics.set("time_step", 1 / 60)


def test_only_the_worlds_named_are_touched(env: SageEnv) -> None:
    env.reset(seed=0)
    env.physics.set("mass_scale", 3.0, torch.tensor([2]))
    torch.testing.assert_close(env.physics.in_force("mass_scale")["objects"][:, 1], 0.4 * torch.tensor([1.0, 1, 3, 1]))


def test_what_it_cannot_do_is_said(env: SageEnv) -> None:
    from sage_envs.physics import CapabilityError

    able = {name: str(scope) for name, scope in env.capabilities.items()}
    assert able.pop("size_scale") == "not at all"
    assert able.pop("time_step") == "whole scene"
    assert set(able.values()) == {"per world"}
    with pytest.raises(CapabilityError, match=r"physics.size_scale: ovphysx cannot set it: .*; set task.object_sizes"):
        env.physics.set("size_scale", 1.5)
    with pytest.raises(CapabilityError, match=r"physics.time_step: one for the whole scene.*; leave env_ids out"):
        env.physics.set("time_step", 1 / 120, torch.tensor([1]))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mass_scale", 0.0, r"mass_scale=0.0: must lie in 0.05..20"),
        ("mass_scale", float("nan"), r"mass_scale=nan: must lie in 0.05..20"),
        ("strength_scale", [1.0, 2.0], r"strength_scale.shape=\(2,\): must be \(\) or \(4,\)"),
        ("restitution_scale", 2.1, r"restitution_scale=2.09\d*: must lie in 0..2"),
        ("time_step", 0.01, r"time_step=0.01: must be one of 1/30, 1/60, 1/120, 1/240 s"),
        ("time_step", 1.0, r"time_step=1.0: must lie in 0.00416667..0.0333333 s"),
        ("masses", 1.0, r"physics.masses: unknown knob; use mass_scale"),
    ],
)
def test_bad_values_are_refused_and_change_nothing(env: SageEnv, name: str, value: Any, message: str) -> None:
    before = env.snapshot()
    with pytest.raises(ValueError, match=message):
        env.physics.put({"mass_scale": 2.0, name: value} if name != "mass_scale" else {name: value})
    assert torch.equal(env.snapshot(), before)
