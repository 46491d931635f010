"""``Sage-Navigation``: registration, resets, reward, ends, and its expert."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from ..envs.worlds import dark

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

WORLDS = 16


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make("Sage-Navigation", num_envs=WORLDS, seed=5, device="cpu")
    yield env
    env.close()


@pytest.fixture
def blind(env: SageEnv, monkeypatch: pytest.MonkeyPatch) -> SageEnv:
    """The environment without pictures, which take most of the time."""
    monkeypatch.setattr(env, "look", dark(WORLDS))
    return env


def test_the_task_is_registered_with_all_that_it_names(env: SageEnv) -> None:
    import importlib

    import gymnasium as gym

    from sage_tasks import TASKS

    assert type(env).__name__ == "NavigationEnv"
    for task in TASKS:
        spec = gym.spec(task)
        for target in (spec.entry_point, *spec.kwargs.values()):
            # Isaac Lab lists a project's tasks by where they come from.
            assert target.startswith("sage_tasks.")
            module, _, name = target.partition(":")
            assert hasattr(importlib.import_module(module), name)
    assert env.single_action_space.shape == (2,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "Sage-Navigaton"}, "task=Sage-Navigaton: .*use Sage-Navigation"),
        ({"task": "Sage-Navigation", "physics": "bullet"}, "physics=bullet: .*ovphysx"),
        ({"task": "Sage-Navigation", "difficulty": "hrad"}, "difficulty=hrad: unknown; use hard"),
    ],
)
def test_what_is_unknown_is_refused(arguments: dict[str, Any], message: str) -> None:
    from sage_tasks.make import make

    with pytest.raises(ValueError, match=message):
        make(**arguments)


def floor_plan(critic: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Places (N, T, 2) and radii (T,) of the rover, the obstacles and the objects [m]."""
    from sage_envs.room import OBJECTS, OBSTACLES

    places = [critic["robot_pose"][:, None, :2], critic["obstacle_position"][..., :2], critic["object_pose"][..., :2]]
    radii = [thing.radius * (math.sqrt(2.0) if thing.kind == "box" else 1.0) for thing in (*OBSTACLES, *OBJECTS)]
    return torch.cat(places, dim=1), torch.tensor([0.18, *radii])


def test_resets_place_everything_apart_and_inside_the_room(blind: SageEnv) -> None:
    from sage_envs.room import ROOM_HALF

    for seed in range(4):
        critic = blind.reset(seed=seed)[0]["critic"]
        places, radii = floor_plan(critic)
        gap = torch.cdist(places, places) - radii - radii.unsqueeze(1)
        gap.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        assert gap.min() > 0.0
        assert (places.abs().amax(dim=-1) + radii < ROOM_HALF).all()
        assert (critic["goal_position"].abs() < ROOM_HALF - 0.18).all()
        to_goal = (places - critic["goal_position"].unsqueeze(1)).norm(dim=-1)
        assert (to_goal[:, 1:5] > radii[1:5] + 0.18).all()
        assert (to_goal[:, 0] > 0.6).all()
        assert (critic["object_pose"][..., 2] > 0.09).all()
        # What the engine has is what the task says.
        where = blind.fixtures.data.body_link_pos_w.torch - blind.scene.env_origins.unsqueeze(1)
        torch.testing.assert_close(where[:, :-1, :2], critic["obstacle_position"][..., :2], rtol=0.0, atol=1e-5)
        torch.testing.assert_close(where[:, -1, :2], critic["goal_position"], rtol=0.0, atol=1e-5)


def test_a_difficulty_is_a_preset_of_every_field_that_names_it() -> None:
    from isaaclab_tasks.utils.hydra import resolve_presets

    from sage_tasks.navigation.navigation_env_cfg import NavigationEnvCfg

    easy, default, hard = (resolve_presets(NavigationEnvCfg(), chosen) for chosen in (("easy",), (), ("hard",)))
    for harder, milder in ((default, easy), (hard, default)):
        assert harder.throw_speed > milder.throw_speed
        assert harder.goal_distance > milder.goal_distance
        assert harder.clearance < milder.clearance
    assert (easy.obstacles, default.obstacles, hard.obstacles) == (2, 4, 4)


def test_obstacles_that_an_easy_room_leaves_out_are_under_its_floor(
    blind: SageEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sage_tasks.policies import make_policy

    monkeypatch.setattr(blind.cfg, "obstacles", 2)
    observation, _ = blind.reset(seed=0)
    places = blind.fixtures.data.body_link_pos_w.torch - blind.scene.env_origins.unsqueeze(1)
    assert (places[:, :2, 2] > 0.0).all()
    assert (places[:, 2:4, 2] + 0.3 < -0.2).all()
    # The expert plans as if they were not there.
    expert = make_policy("expert", blind)
    expert.act(observation)
    field = expert._field.clone()
    observation["critic"]["obstacle_position"][:, 2:, :2] = 1.0
    expert._planned[:] = torch.nan
    expert.act(observation)
    assert torch.equal(expert._field, field)


def test_a_seed_is_a_reset(blind: SageEnv) -> None:
    def drawn(seed: int) -> Tensor:
        critic = blind.reset(seed=seed)[0]["critic"]
        return torch.cat([critic[k].flatten(1) for k in ("robot_pose", "goal_position", "object_pose")], dim=1)

    first, other, again = drawn(7), drawn(8), drawn(7)
    assert torch.equal(first, again)
    assert not torch.isclose(first, other, atol=1e-3).all(dim=1).any()
    assert not torch.equal(first[0], first[1])


def test_episodes_end_at_the_limit_and_begin_anew(blind: SageEnv) -> None:
    blind.reset(seed=0)
    assert blind.max_episode_length == 600
    before = blind._critic()["obstacle_position"].clone()
    blind.episode_length_buf[:8] = 598
    still = torch.zeros(WORLDS, 2)
    truncated = blind.step(still)[3]
    assert not truncated.any()
    _, _, terminated, truncated, _ = blind.step(still)
    assert truncated.tolist() == [True] * 8 + [False] * 8
    assert not terminated.any()
    moved = (blind._critic()["obstacle_position"] - before).abs().amax(dim=(1, 2)) > 1e-3
    assert moved.tolist() == truncated.tolist()
    assert blind.episode_length_buf.tolist() == [0] * 8 + [2] * 8


def test_a_rover_on_its_side_ends_the_episode(blind: SageEnv) -> None:
    from sage_envs.snapshot import layout

    blind.reset(seed=0)
    rows = blind.snapshot()
    start = layout(blind)["robot.pose"].start
    rows[3, start + 2 : start + 7] = torch.tensor([0.3, math.sin(math.pi / 4), 0.0, 0.0, math.cos(math.pi / 4)])
    blind.restore(rows)
    terminated = blind.step(torch.zeros(WORLDS, 2))[2]
    assert terminated.nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_reward_is_progress(blind: SageEnv, direction: float) -> None:
    from sage_envs.snapshot import layout

    blind.reset(seed=0)
    rows, where = blind.snapshot(), layout(blind)
    pose = blind._critic()["robot_pose"]
    yaw = 2 * torch.atan2(pose[:, 5], pose[:, 6])
    goal = pose[:, :2] + 1.5 * torch.stack([yaw.cos(), yaw.sin()], dim=1)
    rows[:, where["task.goal"]] = goal
    blind.restore(rows)
    before = (goal - blind._critic()["robot_pose"][:, :2]).norm(dim=1)
    total = torch.zeros(WORLDS)
    for _ in range(6):
        _, reward, *_ = blind.step(torch.full((WORLDS, 2), 0.5 * direction))
        total += reward
    critic = blind._critic()
    progress = before - (goal - critic["robot_pose"][:, :2]).norm(dim=1)
    free = critic["skin_force"].abs().amax(dim=(1, 2)) == 0.0
    assert free.sum() > WORLDS / 2
    assert (direction * progress[free] > 0.03).all()
    action_cost = 6 * blind.cfg.action_cost * 0.25
    torch.testing.assert_close(total[free], progress[free] - action_cost, rtol=0.0, atol=5e-3)


def test_a_reached_goal_pays_and_moves(blind: SageEnv) -> None:
    from sage_envs.snapshot import layout

    blind.reset(seed=0)
    rows, where = blind.snapshot(), layout(blind)
    rows[0, where["task.goal"]] = rows[0, where["robot.pose"]][:2] + 0.1
    blind.restore(rows)
    goal = blind._critic()["goal_position"].clone()
    _, reward, _, _, extras = blind.step(torch.zeros(WORLDS, 2))
    assert reward[0] > 4.0
    assert (reward[1:] < 1.0).all()
    assert extras["success"].tolist() == [True] + [False] * (WORLDS - 1)
    moved = (blind._critic()["goal_position"] - goal).norm(dim=1) > 0.1
    assert moved.tolist() == [True] + [False] * (WORLDS - 1)


def test_the_way_around_a_wall_is_found_and_not_through_it() -> None:
    from sage_tasks.navigation.expert import travel_cost

    axis = torch.arange(-8, 9) * 0.25
    cells = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    goal = torch.tensor([[1.5, 0.0]])
    free = torch.ones(1, 17, 17)
    open_field = travel_cost(cells, free, goal)[0]
    # Along the axes the grid is exact; elsewhere eight directions are at most 8.3 % longer.
    straight = (cells - goal[0]).norm(dim=-1)
    assert (open_field >= straight - 1e-5).all()
    assert (open_field <= 1.083 * straight + 1e-5).all()
    wall = free.clone()
    wall[:, :14, 8] = 50.0  # x = 0, from y = -2 to y = 1.25
    field = travel_cost(cells, wall, goal)[0]
    around = math.hypot(1.5, 1.5) + math.hypot(1.5, 1.5)
    assert around - 1e-4 <= field[8, 2] <= 1.083 * around + 0.25
    assert field[8, 14] == 0.0


def test_the_expert_reaches_the_goal(blind: SageEnv) -> None:
    from sage_tasks.policies import make_policy

    observation, _ = blind.reset(seed=11)
    expert = make_policy("expert", blind)
    reached = torch.zeros(WORLDS, dtype=torch.bool)
    for _ in range(360):
        action = expert.act(observation)
        assert action.shape == (WORLDS, 2)
        assert action.abs().max() <= 1.0
        observation, _, terminated, _, extras = blind.step(action)
        assert not terminated.any()
        reached |= extras["success"]
        if reached.all():
            break
    assert reached.float().mean() >= 0.9


def test_the_expert_drives_back_from_what_stands_before_it_wherever_it_has_to_go(blind: SageEnv) -> None:
    from sage_tasks.navigation.expert import heading
    from sage_tasks.policies import make_policy

    observation, _ = blind.reset(seed=11)
    free = make_policy("expert", blind).act(observation)
    assert (free.mean(dim=1).abs() < 0.1).any(), "one has to turn on the spot"
    skin, yaw = observation["critic"]["skin_force"], heading(observation["critic"]["robot_pose"])
    skin[:] = 0.0
    nose = torch.stack([yaw.cos(), yaw.sin()], dim=-1)
    skin[:, -1, :2] = -20.0 * nose  # a wall before it pushes back
    assert (make_policy("expert", blind).act(observation).amax(dim=1) < -0.3).all()
    skin[:, -1, :2] = 20.0 * nose  # one behind it is left by driving on
    torch.testing.assert_close(make_policy("expert", blind).act(observation), free)


def test_the_random_policy_does_not(blind: SageEnv) -> None:
    from sage_tasks.policies import make_policy

    observation, _ = blind.reset(seed=11)
    policy = make_policy("random", blind, seed=0)
    for _ in range(120):
        observation, _, _, _, extras = blind.step(policy.act(observation))
    assert extras["success"].float().mean() <= 0.3
