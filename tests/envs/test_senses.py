"""The five senses against what is true in the simulation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import MAKE, Stage, scene_gaps

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

WORLDS, SIZE = 3, 64
CONTRACT = {
    "visual": ((SIZE, SIZE, 3), torch.uint8),
    "depth": ((SIZE, SIZE, 1), torch.float32),
    "audio": ((1024,), torch.float32),
    "tactile": ((128,), torch.float32),
    "proprioceptive": ((64,), torch.float32),
}
SECTORS = 16
METAL_BALL, RUBBER_BALL = 4, 1


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=WORLDS, **MAKE)
    yield env
    env.close()


def still(env: SageEnv, looks: int) -> dict[str, Tensor]:
    """Let some looks pass with the motors off; the last policy observation."""
    for _ in range(looks):
        observation, *_ = env.step(torch.zeros(WORLDS, 2))
    return observation["policy"]


def busy(env: SageEnv, looks: int, slowest: float = -0.6) -> dict[str, Tensor]:
    """Drive about; each sense over time (looks, N, ...)."""
    generator = torch.Generator().manual_seed(1)
    seen = []
    for look in range(looks):
        if look % 10 == 0:
            action = slowest + (1.0 - slowest) * torch.rand(WORLDS, 2, generator=generator)
        observation, *_ = env.step(action)
        seen.append({k: v.clone() for k, v in observation["policy"].items()})
    return {k: torch.stack([s[k] for s in seen]) for k in seen[0]}


def test_shapes_and_types_are_those_of_the_contract_and_the_space(env: SageEnv) -> None:
    observation, _ = env.reset(seed=0)
    policy, space = observation["policy"], env.single_observation_space["policy"]
    assert set(policy) == set(space.spaces) == set(CONTRACT)
    for name, (shape, dtype) in CONTRACT.items():
        assert tuple(policy[name].shape) == (WORLDS, *shape)
        assert policy[name].dtype == dtype
        assert space[name].shape == shape
        assert space[name].dtype.name == str(dtype).removeprefix("torch.")
        assert all(space[name].contains(one.numpy()) for one in policy[name])
    for name, value in observation["critic"].items():
        assert value.dtype == torch.float32
        assert value.shape[0] == WORLDS
        assert value.isfinite().all(), name


def test_every_sense_changes_and_no_two_worlds_sense_the_same(env: SageEnv) -> None:
    stage = Stage(env)
    for world in range(WORLDS):
        stage.obstacle(1, (0.5 + 0.1 * world, 0.1 * world), world)
    stage.begin()
    for name, values in busy(env, 40, slowest=0.3).items():
        moved = (values[1:] != values[:-1]).flatten(2).any(dim=2).float().mean(dim=0)
        # Touch is rightly silent while nothing touches.
        assert (moved > (0.2 if name == "tactile" else 0.9)).all(), (name, moved)
        assert all(not torch.equal(values[:, 0], values[:, world]) for world in range(1, WORLDS)), name


def test_what_is_returned_is_not_overwritten_later(env: SageEnv) -> None:
    observation, _ = env.reset(seed=1)
    kept = {k: v.clone() for group in observation.values() for k, v in group.items()}
    busy(env, 3)
    for group in observation.values():
        for name, value in group.items():
            assert torch.equal(value, kept[name]), name


def test_the_same_moment_feels_the_same(env: SageEnv) -> None:
    env.reset(seed=2)
    busy(env, 20)
    rows = env.snapshot()
    env.restore(rows)
    first = busy(env, 15)
    env.restore(rows)
    again = busy(env, 15)
    for name in CONTRACT:
        assert torch.equal(first[name], again[name]), name


def test_a_silent_world_at_rest_reads_the_floor(env: SageEnv) -> None:
    from sage_envs.senses.spectrogram import FLOOR_DB

    stage = Stage(env)
    stage.settle()
    stage.begin()
    still(env, 6)
    for _ in range(6):
        policy = still(env, 1)
        assert (policy["audio"] == FLOOR_DB).all()
        assert (policy["tactile"] == 0.0).all()


def test_an_impact_is_heard_when_it_happens_and_not_before(env: SageEnv) -> None:
    from sage_envs.room import OBJECTS
    from sage_envs.senses.spectrogram import FLOOR_DB

    height = 0.6
    stage = Stage(env)
    stage.settle()
    stage.object(METAL_BALL, (0.3, 0.6, OBJECTS[METAL_BALL].height / 2 + height))
    stage.begin()
    loudness = torch.stack([still(env, 1)["audio"].amax(dim=1) for _ in range(16)])
    impact = int(math.sqrt(2 * height / 9.81) / env.step_dt)
    assert (loudness[:impact] < FLOOR_DB + 10.0).all()
    assert (loudness[impact : impact + 2].amax(dim=0) > FLOOR_DB + 60.0).all()


def test_farther_is_quieter(env: SageEnv) -> None:
    loudness = []
    for x in (0.5, 1.5):
        stage = Stage(env)
        stage.settle()
        stage.object(METAL_BALL, (x, 0.0, 0.5))
        stage.begin()
        loudness.append(torch.stack([still(env, 1)["audio"].amax(dim=1) for _ in range(12)]).amax(dim=0))
    distance = [math.hypot(x - 0.19, 0.2) for x in (0.5, 1.5)]
    expected = 20 * math.log10(distance[1] / distance[0])
    torch.testing.assert_close(loudness[0] - loudness[1], torch.full((WORLDS,), expected), rtol=0.0, atol=2.0)


def test_motors_are_heard(env: SageEnv) -> None:
    stage = Stage(env)
    stage.settle()
    stage.begin()
    quiet = still(env, 6)["audio"].mean()
    for _ in range(6):
        observation, *_ = env.step(torch.full((WORLDS, 2), 0.4))
    assert observation["policy"]["audio"].mean() > quiet + 2.0


@pytest.mark.parametrize(("yaw", "speed"), [(0.0, 0.5), (math.pi, -0.5)])
@pytest.mark.parametrize("what", ["obstacle", "wall"])
def test_touch_is_where_the_contact_is_and_as_strong(env: SageEnv, what: str, yaw: float, speed: float) -> None:
    stage = Stage(env)
    if what == "obstacle":
        stage.obstacle(1, (0.55, 0.0))
        stage.robot((0.0, 0.0, 0.0), yaw)
    else:
        stage.robot((1.6, 0.0, 0.0), yaw)
    stage.begin()
    assert (still(env, 1)["tactile"] == 0.0).all()
    for _ in range(30):
        observation, *_ = env.step(torch.full((WORLDS, 2), speed))
    taxels = observation["policy"]["tactile"].view(WORLDS, SECTORS, -1)
    total = taxels.sum(dim=(1, 2))
    # Both magnitudes are read from the engine: the sense's over the whole look, here its last steps.
    contacts, ticks = env.scene["skin_contacts"].data, env.cfg.decimation
    if what == "obstacle":
        force = contacts.normal_force_matrix_w_history.torch[:, :ticks, 0].sum(dim=2)
    else:
        force = contacts.net_normal_forces_w_history.torch[:, :ticks, 0] * torch.tensor([1.0, 1.0, 0.0])
    assert (total > 10.0).all()
    torch.testing.assert_close(total, force.norm(dim=-1).mean(dim=1), rtol=0.01, atol=0.0)
    facing = [15, 0, 1] if speed > 0 else [7, 8, 9]
    assert (taxels[:, facing].sum(dim=(1, 2)) > 0.8 * total).all()


def test_what_touch_feels_adds_up_to_the_momentum_lost(env: SageEnv) -> None:
    stage = Stage(env)
    stage.obstacle(1, (0.6, 0.0))
    stage.robot((0.0, 0.0, 0.05), velocity=(0.6, 0.0, 0.0))
    stage.set("gravity", 0.0)  # nothing else pushes
    stage.begin()
    impulse = torch.zeros(WORLDS)
    for _ in range(16):
        impulse += still(env, 1)["tactile"].sum(dim=1) * env.step_dt
    mass = env.robot.data.body_mass.torch.reshape(WORLDS, -1)
    momentum = (env.robot.data.body_com_vel_w.torch[..., 0] * mass).sum(dim=1)
    torch.testing.assert_close(impulse, 0.6 * mass.sum(dim=1) - momentum, rtol=0.02, atol=0.0)
    assert (impulse > 1.0).all()


def test_depth_is_the_geometry_of_the_room(env: SageEnv) -> None:
    from sage_envs.room import ROOM_HALF, WALL_HEIGHT

    Stage(env).begin()
    depth = still(env, 2)["depth"][0, ..., 0]
    camera, mount, tilt = env.scene["camera"].cfg, env.cfg.camera_mount, env.cfg.camera_tilt
    x, _, z, *quat = env._critic()["robot_pose"][0].tolist()
    tilt += 2 * math.asin(quat[1])
    to_wall, height = ROOM_HALF - (x + mount[0]), z + mount[2]
    focal = camera.spawn.focal_length / camera.spawn.horizontal_aperture * SIZE
    checked = 0
    for row in range(SIZE):
        up = -(row + 0.5 - SIZE / 2) / focal
        forward, rise = math.cos(tilt) + math.sin(tilt) * up, -math.sin(tilt) + math.cos(tilt) * up
        wall = to_wall / forward
        floor = height / -rise if rise < 0 else math.inf
        if height + wall * rise > WALL_HEIGHT - 0.03 or abs(wall - floor) < 0.05 * wall:
            continue
        torch.testing.assert_close(depth[row, 16:48], torch.full((32,), min(wall, floor)), rtol=0.01, atol=0.0)
        checked += 1
    assert checked > 0.6 * SIZE


def test_the_imu_at_rest_reads_the_gravity_in_force(env: SageEnv) -> None:
    from isaaclab.utils.math import quat_apply_inverse

    gravity = torch.tensor([-9.81, -3.71, -15.0])
    stage = Stage(env)
    stage.set("gravity", torch.nn.functional.pad(gravity.unsqueeze(1), (2, 0)))
    stage.begin()
    imu = env.proprioceptive_layout["imu_acceleration"]
    reading = still(env, 12)["proprioceptive"][:, imu]
    # The rover rests on its front caster, nose down by half a degree.
    expected = quat_apply_inverse(env._critic()["robot_pose"][:, 3:].contiguous(), -env.physics.gravity)
    torch.testing.assert_close(reading, expected, rtol=0.005, atol=0.05)
    assert env.physics.gravity[:, 2].tolist() == pytest.approx(gravity.tolist())


def test_the_imu_feels_nothing_in_free_fall_and_turns_when_turning(env: SageEnv) -> None:
    stage = Stage(env)
    stage.robot((0.0, 0.0, 1.5))
    stage.begin()
    imu = env.proprioceptive_layout["imu_acceleration"]
    assert still(env, 5)["proprioceptive"][:, imu].abs().max() < 0.2
    stage.robot((0.0, 0.0, 0.0))
    stage.begin()
    for _ in range(20):
        observation, *_ = env.step(torch.tensor([[-0.3, 0.3]]).expand(WORLDS, 2))
    rate = observation["policy"]["proprioceptive"][:, env.proprioceptive_layout["imu_angular_velocity"]][:, 2]
    # Rim speed over half the track; the tyres slip a little.
    torch.testing.assert_close(rate, torch.full_like(rate, 0.3 * 10.0 * 0.08 / 0.14), rtol=0.1, atol=0.0)


def test_unused_proprioceptive_entries_are_zero_and_used_ones_are_not(env: SageEnv) -> None:
    env.reset(seed=4)
    values = busy(env, 20)["proprioceptive"]
    used = max(part.stop for part in env.proprioceptive_layout.values())
    assert (values[..., used:] == 0.0).all()
    assert (values[..., :used] != 0.0).flatten(0, 1).any(dim=0).all()


def test_colours_are_seen(env: SageEnv) -> None:
    Stage(env).begin()
    without = still(env, 1)["visual"].float()
    stage = Stage(env)
    stage.object(RUBBER_BALL, (0.9, 0.0, 0.13))
    stage.begin()
    seen = still(env, 1)["visual"].float()
    changed = (seen - without).abs().amax(dim=-1) > 8.0
    red = (seen[..., 0] > 1.8 * seen[..., 1]) & (seen[..., 0] > 1.8 * seen[..., 2])
    assert (changed & red).flatten(1).sum(dim=1).min() > 50
    assert (red & ~changed).sum() == 0


def test_a_viewer_puts_every_body_where_it_is(env: SageEnv) -> None:
    env.reset(seed=3)
    busy(env, 10)
    gaps = scene_gaps(env, ["fixtures"])
    # Nothing tells how far the wheels have turned; they look the same.
    wheels = {gaps.pop(name) for name in ("left_wheel", "right_wheel")}
    assert len(gaps) == 11 and max(gaps.values()) < 2e-3, gaps
    assert max(wheels) > 2e-3
    shapes = env.scene_description()["shapes"]
    assert {s["kind"] for s in shapes} == {"box", "sphere", "cylinder"}
    assert {"floor/geometry/mesh", "wall_3/geometry/mesh", "object_4/geometry/mesh"} <= {s["name"] for s in shapes}


def test_each_look_is_shown_to_who_watches(env: SageEnv) -> None:
    seen: list[tuple] = []
    env.reset(seed=4)
    env.on_look = lambda look, action, begins: seen.append((look, action.clone(), begins.clone()))
    try:
        action = torch.full((WORLDS, 2), 0.5)
        observation, *_ = env.step(action)
        env.relive(env.snapshot()[:2], torch.zeros(2, 2, 2))
        env.reset(seed=5)
    finally:
        env.on_look = None
    assert seen[0][0] is observation and torch.equal(seen[0][1], action)
    begins = [look[2].tolist() for look in seen]
    assert begins == [[False] * 3, [True, True, False], [False] * 3, [True] * 3]
