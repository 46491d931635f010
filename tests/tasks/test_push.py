"""``Sage-Navigation-Push``: a wall, its gaps, crates of which one may be too heavy, and the expert that finds out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from ..envs.worlds import assert_stock_pictures

if TYPE_CHECKING:
    from sage_tasks.navigation.push_env import PushEnv

pytestmark = pytest.mark.sim

WORLDS = 8


@pytest.fixture(scope="module")
def env() -> Iterator[PushEnv]:
    from sage_tasks.make import make

    env = make("Sage-Navigation-Push", num_envs=WORLDS, seed=5, device="cpu")
    # Without the senses, which take most of the time.
    env._get_observations = lambda: env.observe(senses=())
    yield env
    env.close()


def in_wall_frame(env: PushEnv, places: Tensor) -> Tensor:
    """Places (N, K, 2) as distances through and along the wall, the rover at negative ones."""
    from sage_tasks.navigation.push_env import wall_direction

    critic = env._critic()
    along = wall_direction(critic["obstacle_position"])
    through = torch.stack([along[:, 1], -along[:, 0]], dim=1)
    through = through * -torch.sign((through * critic["robot_pose"][:, :2]).sum(dim=1, keepdim=True))
    return torch.einsum("nij,nkj->nki", torch.stack([through, along], dim=1), places)


def live(env: PushEnv, actions: Tensor) -> Tensor:
    """Snapshots after each step (T, N, S)."""
    rows = []
    for action in actions:
        env.command(action)
        env.advance(env.cfg.decimation)
        rows.append(env.snapshot())
    return torch.stack(rows)


def test_difficulties() -> None:
    from isaaclab_tasks.utils.hydra import resolve_presets

    from sage_tasks.navigation.push_env_cfg import PIECES, PushEnvCfg

    easy, default, hard = (resolve_presets(PushEnvCfg(), chosen) for chosen in (("easy",), (), ("hard",)))
    assert (easy.heavy_share, default.heavy_share, hard.heavy_share) == (0.0, 0.5, 1.0)
    assert easy.light_mass[1] < default.light_mass[1] < hard.light_mass[1] < hard.heavy_mass[0]
    assert easy.throw_speed < default.throw_speed < hard.throw_speed
    # However easy, the wall has no hole.
    assert easy.obstacles == len(PIECES)


def test_the_only_ways_through_the_wall_are_blocked(env: PushEnv) -> None:
    from sage_envs.room import ROOM_HALF
    from sage_tasks.navigation.push_env_cfg import CRATES, GAP, PIECES

    directions = set()
    for seed in range(3):
        critic = env.reset(seed=seed)[0]["critic"]
        walls = in_wall_frame(env, critic["obstacle_position"][..., :2])
        torch.testing.assert_close(walls[..., 0], torch.zeros(WORLDS, len(PIECES)), rtol=0.0, atol=1e-5)
        begin, end = walls[..., 1] - PIECES[0].radius, walls[..., 1] + PIECES[0].radius
        assert (begin[:, 0] < -ROOM_HALF).all()
        assert (end[:, 3] > ROOM_HALF).all()
        assert (begin[:, 2] <= end[:, 1]).all()
        gap = torch.stack([end[:, 0] + begin[:, 1], end[:, 2] + begin[:, 3]], dim=1) / 2
        torch.testing.assert_close(begin[:, 1] - end[:, 0], torch.full((WORLDS,), GAP), rtol=0.0, atol=1e-4)
        torch.testing.assert_close(begin[:, 3] - end[:, 2], torch.full((WORLDS,), GAP), rtol=0.0, atol=1e-4)
        crates = in_wall_frame(env, critic["object_pose"][:, : len(CRATES), :2])
        # Not even beside a crate does the rover, 0.36 m wide, find a way.
        beside = (crates[..., 1] - gap).abs() + GAP / 2 - CRATES[0].radius
        assert (crates[..., 0].abs() < 0.1).all()
        assert (beside < 0.3).all()
        rest = in_wall_frame(
            env, torch.cat([critic["robot_pose"][:, None, :2], critic["object_pose"][:, len(CRATES) :, :2]], dim=1)
        )
        assert (rest[..., 0].abs() > 0.15).all()
        assert (rest.abs() < ROOM_HALF).all()
        goal = in_wall_frame(env, critic["goal_position"].unsqueeze(1))[:, 0]
        assert (goal[:, 0] > 0.2).all()
        assert (goal.abs() < ROOM_HALF - 0.18).all()
        where = env.fixtures.data.body_link_pose_w.torch[:, :-1]
        torch.testing.assert_close(where, env._fixture_pose[:, :-1] + _origins(env), rtol=0.0, atol=1e-5)
        # The engine's pieces are long along the wall.
        yaw = 2 * torch.atan2(where[..., 5], where[..., 6])
        along = torch.stack([-yaw.sin(), yaw.cos()], dim=-1)
        line = torch.nn.functional.normalize(where[:, -1, :2] - where[:, 0, :2], dim=1).unsqueeze(1)
        assert ((along * line).sum(dim=-1).abs() > 0.999).all()
        directions |= {tuple(row) for row in line[:, 0].round().int().tolist()}
    assert len(directions) == 4


def _origins(env: PushEnv) -> Tensor:
    return torch.nn.functional.pad(env.scene.env_origins, (0, 4)).unsqueeze(1)


def test_masses_are_drawn_and_at_most_one_crate_is_too_heavy(env: PushEnv) -> None:
    def drawn(seed: int) -> Tensor:
        return env.reset(seed=seed)[0]["critic"]["object_mass"].clone()

    first, other, again = drawn(1), drawn(2), drawn(1)
    assert torch.equal(first, again)
    both = torch.cat([first, other])
    heavy = both[:, :2] >= env.cfg.heavy_mass[0]
    light = (both[:, :2] >= env.cfg.light_mass[0]) & (both[:, :2] <= env.cfg.light_mass[1])
    assert (heavy | light).all()
    assert set(heavy.sum(dim=1).tolist()) == {0, 1}
    assert heavy.any(dim=0).all()
    assert len(both[:, :2].unique()) == both[:, :2].numel()
    assert torch.equal(both[:, 2:], torch.tensor([1.6, 1.2, 2.5]).expand(2 * WORLDS, 3))


def test_a_light_crate_gives_way_and_a_heavy_one_does_not(env: PushEnv) -> None:
    from sage_envs.snapshot import layout

    env.reset(seed=1)
    rows, where = env.snapshot(), layout(env)
    masses = torch.tensor([[1.0], [3.0], [30.0], [60.0]]).repeat(2, 5)
    rows[:, where["task.masses"]] = masses
    crate = rows[:, where["objects.pose"]][:, :2].clone()
    start = rows[:, where["robot.pose"]][:, :2]
    through = torch.where(crate.abs() < 0.1, -torch.sign(start), 0.0)
    yaw = torch.atan2(through[:, 1], through[:, 0])
    pose = torch.zeros(WORLDS, 7)
    pose[:, :2] = crate - 0.45 * through
    pose[:, 5], pose[:, 6] = (yaw / 2).sin(), (yaw / 2).cos()
    rows[:, where["robot.pose"]], rows[:, where["robot.velocity"]] = pose, 0.0
    env.restore(rows)
    last = live(env, torch.ones(45, WORLDS, 2))[-1]
    moved = ((last[:, where["objects.pose"]][:, :2] - crate) * through).sum(dim=1)
    assert (moved[masses[:, 0] <= 3.0] > 0.4).all()
    assert (moved[masses[:, 0] >= 30.0].abs() < 0.03).all()


def test_gravity_of_a_world_pulls_at_whatever_mass(env: PushEnv) -> None:
    from sage_envs.snapshot import layout

    env.reset(seed=1)
    rows, where = env.snapshot(), layout(env)
    gravity = torch.tensor([-9.81, -2.0] * (WORLDS // 2))
    rows[:, where["gravity"]] = torch.nn.functional.pad(gravity.unsqueeze(1), (2, 0))
    rows[:, where["task.masses"]] = torch.linspace(0.8, 60.0, WORLDS).unsqueeze(1).expand(-1, 5)
    rows[:, where["objects.velocity"]] = 0.0
    rows[:, where["objects.pose"].start + 2 :: 7][:, :5] = 3.0 + 0.6 * torch.arange(5)
    env.restore(rows)
    env.advance(18)
    speed = env.loose.data.body_com_vel_w.torch[:, :2, 2]
    torch.testing.assert_close(speed, (0.3 * gravity).unsqueeze(1).expand(-1, 2), rtol=1e-2, atol=1e-2)


def test_a_moment_is_lived_again_with_its_masses(env: PushEnv) -> None:
    env.reset(seed=3)
    actions = (1.6 * torch.rand(6, WORLDS, 2, generator=torch.Generator().manual_seed(0)) - 0.6).repeat_interleave(8, 0)
    live(env, actions[:20])
    rows, masses = env.snapshot(), env.loose.data.body_mass.torch.clone()
    env.restore(rows)
    first = live(env, actions)
    env.reset(seed=4)
    assert not torch.equal(env.loose.data.body_mass.torch, masses)
    relived = env.relive(rows, actions.transpose(0, 1), senses=())["critic"]
    assert torch.equal(env.loose.data.body_mass.torch, masses)
    env.restore(rows)
    assert torch.equal(live(env, actions), first)
    assert torch.equal(relived["object_mass"][:, -1], masses.view(WORLDS, -1))


def test_a_reached_goal_moves_to_the_other_side(env: PushEnv) -> None:
    from sage_envs.snapshot import layout

    env.reset(seed=0)
    rows, where = env.snapshot(), layout(env)
    goal = rows[:, where["task.goal"]].clone()
    rows[:, where["robot.pose"].start : where["robot.pose"].start + 2] = goal
    rows[:, where["robot.pose"].start + 2] = 0.0
    rows[:, where["robot.velocity"]] = 0.0
    env.restore(rows)
    _, reward, _, _, extras = env.step(torch.zeros(WORLDS, 2))
    assert (reward > 4.0).all()
    assert extras["success"].all()
    assert (in_wall_frame(env, env.goal.unsqueeze(1))[:, 0, 0] > 0.2).all()


def test_the_expert_gets_through_without_being_told_masses(env: PushEnv) -> None:
    from sage_tasks.policies import make_policy

    observation, _ = env.reset(seed=11)
    masses = observation["critic"]["object_mass"][:, :2]
    expert = make_policy("expert", env)
    reached = torch.zeros(WORLDS, dtype=torch.bool)
    for _ in range(540):
        del observation["critic"]["object_mass"]
        observation, _, terminated, _, extras = env.step(expert.act(observation))
        assert not terminated.any()
        reached |= extras["success"]
        if reached.all():
            break
    assert (masses > 20.0).any()
    assert reached.float().mean() >= 0.85


def test_pictures_are_those_of_the_stock_renderer(env: PushEnv) -> None:
    env.reset(seed=3)
    assert_stock_pictures(env)
