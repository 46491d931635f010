"""``Sage-Reach``: goals, reward and its expert."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch

from ..envs.worlds import arm, assert_stock_pictures

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

WORLDS = 8


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    yield from arm("Sage-Reach", WORLDS)


def test_a_reached_goal_pays_and_moves(env: SageEnv) -> None:
    env.reset(seed=0)
    env._put_goal(torch.tensor([0]), env.arm.pads_pose()[:1, :3])
    env._put_goal(torch.arange(1, WORLDS), env.arm.pads_pose()[1:, :3] + 0.15)
    before = env.goal.clone()
    _, reward, _, _, extras = env.step(torch.zeros(WORLDS, env.action_width))
    assert extras["success"].tolist() == [True] + [False] * (WORLDS - 1)
    assert reward[0] > 0.9 * env.cfg.goal_reward
    assert reward[1:].abs().max() < 0.5
    moved = (env.goal - before).norm(dim=1) > 0.0
    assert moved.tolist() == [True] + [False] * (WORLDS - 1)
    # The marker is where the goal is.
    marker = env._marker.data.root_link_pos_w.torch - env.scene.env_origins
    torch.testing.assert_close(marker, env.goal, rtol=0.0, atol=1e-4)


def test_reward_is_progress(env: SageEnv) -> None:
    env.reset(seed=0)
    env._put_goal(torch.arange(WORLDS), env.arm.pads_pose()[:, :3] + torch.tensor([0.0, 0.25, 0.0]))
    for direction in (0.4, -0.4):
        before, action = env._to_goal(), torch.zeros(WORLDS, env.action_width)
        action[:, 1] = direction
        total = torch.zeros(WORLDS)
        for _ in range(4):
            total += env.step(action)[1]
        progress = before - env._to_goal()
        assert (direction * progress > 0.004).all()
        cost = 4 * env.cfg.action_cost * direction**2 / env.action_width
        torch.testing.assert_close(total, env.cfg.progress_reward * progress - cost, rtol=0.0, atol=1e-4)


def test_the_expert_reaches_the_goal_and_chance_does_not(env: SageEnv) -> None:
    from sage_tasks.policies import make_policy

    reached = {}
    for name in ("expert", "random"):
        observation, _ = env.reset(seed=11)
        policy = make_policy(name, env)
        for _ in range(30):
            observation, _, _, _, extras = env.step(policy.act(observation))
        reached[name] = extras["success"].float().mean()
    assert reached["expert"] == 1.0
    assert reached["random"] <= 0.5


def test_pictures_are_those_of_the_stock_renderer(env: SageEnv) -> None:
    env.reset(seed=3)
    assert_stock_pictures(env, env.sight)
