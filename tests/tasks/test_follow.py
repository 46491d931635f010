"""``Sage-Social-Follow``: whom to follow, what counts as accompanying, and the expert."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from ..envs.worlds import assert_stock_pictures

if TYPE_CHECKING:
    from sage_tasks.social.follow_env import FollowEnv

pytestmark = pytest.mark.sim

WORLDS = 8


@pytest.fixture(scope="module")
def env() -> Iterator[FollowEnv]:
    from sage_tasks.make import make

    env = make("Sage-Social-Follow", num_envs=WORLDS, seed=5, device="cpu")
    # Its senses, which take most of the time, are those of Sage-Social.
    env._get_observations = lambda: env.observe(())
    yield env
    env.close()


def led(critic: dict[str, Tensor]) -> Tensor:
    """Distance of the rover from the person to accompany (N,) [m]."""
    return (critic["person_position"][:, 0] - critic["robot_pose"][:, :2]).norm(dim=1)


def test_an_episode_begins_beside_a_person_who_walks_slowly(env: FollowEnv) -> None:
    for seed in range(3):
        critic = env.reset(seed=seed)[0]["critic"]
        near, far = env.cfg.band
        assert ((led(critic) > near) & (led(critic) < far)).float().mean() > 0.8
        assert ((env.crowd.desired_speed[:, 0] >= 0.4) & (env.crowd.desired_speed[:, 0] <= 0.6)).all()
        people = critic["person_position"]
        assert (torch.cdist(people, people) + 10.0 * torch.eye(4)).min() > 0.5


def test_the_goal_is_where_the_person_is(env: FollowEnv) -> None:
    env.reset(seed=0)
    for _ in range(20):
        critic = env.step(torch.zeros(WORLDS, 2))[0]["critic"]
    torch.testing.assert_close(critic["goal_position"], critic["person_position"][:, 0], rtol=0.0, atol=1e-6)
    assert (env.crowd.velocity[:, 0].norm(dim=-1) > 0.1).float().mean() > 0.8
    # No post stands in the way.
    assert (env.fixtures.data.body_link_pos_w.torch[:, -1, 2] < -1.0).all()


def test_success_is_time_in_the_band_until_the_end(env: FollowEnv) -> None:
    env.reset(seed=0)
    env.episode_length_buf[:] = env.max_episode_length - 2
    limit = env.max_episode_length * env.step_dt
    env.in_band_s[:] = torch.linspace(0.5, 1.0, WORLDS) * limit
    expected = torch.linspace(0.5, 1.0, WORLDS) >= env.cfg.band_share
    env.collision[-1] = False
    _, _, _, truncated, extras = env.step(torch.zeros(WORLDS, 2))
    assert not truncated.any()
    assert not extras["success"].any()
    _, _, _, truncated, extras = env.step(torch.zeros(WORLDS, 2))
    assert truncated.all()
    assert extras["success"].tolist() == expected.tolist()
    assert (env.in_band_s == 0.0).all()


def test_the_band_pays(env: FollowEnv) -> None:
    from sage_envs.snapshot import layout

    env.reset(seed=0)
    rows, where = env.snapshot(), layout(env)
    person = env.crowd.position[:, 0]
    away = torch.linspace(0.6, 2.4, WORLDS)
    start = where["robot.pose"].start
    rows[:, start : start + 2] = person
    rows[:, start] += away * torch.where(person[:, 0] > 0, -1.0, 1.0)
    env.restore(rows)
    critic = env.step(torch.zeros(WORLDS, 2))[0]["critic"]
    inside = (led(critic) >= 0.8) & (led(critic) <= 2.0)
    assert inside.any()
    assert not inside.all()
    torch.testing.assert_close(env.in_band_s, inside.float() / 30, rtol=0.0, atol=1e-5)
    again = env.snapshot()
    env.in_band_s[:] = 7.0
    env.restore(again)
    torch.testing.assert_close(env.in_band_s, inside.float() / 30, rtol=0.0, atol=1e-5)


def test_the_expert_keeps_within_the_band_and_touches_nobody(env: FollowEnv) -> None:
    from sage_tasks.policies import make_policy

    observation, _ = env.reset(seed=11)
    expert = make_policy("expert", env)
    for _ in range(210):
        observation, _, _, truncated, extras = env.step(expert.act(observation))
        assert not truncated.any()
    assert not extras["collision"].any()
    assert (env.in_band_s / 7.0 >= 0.8).float().mean() >= 0.75
    # A rover that stands is left behind.
    env.reset(seed=11)
    for _ in range(210):
        env.step(torch.zeros(WORLDS, 2))
    assert (env.in_band_s / 7.0 >= 0.8).float().mean() <= 0.5


def test_pictures_are_those_of_the_stock_renderer(env: FollowEnv) -> None:
    env.reset(seed=3)
    assert_stock_pictures(env)
