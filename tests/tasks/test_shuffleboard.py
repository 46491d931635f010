"""``Sage-Push``: friction, the line, and its expert."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch

from ..envs.worlds import arm, assert_stock_pictures

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

WORLDS = 16


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    yield from arm("Sage-Push", WORLDS)


def put(env: SageEnv, place: torch.Tensor, velocity: torch.Tensor) -> None:
    """Put the chosen objects (N, 2) on the table with a velocity (N, 2)."""
    from sage_envs.snapshot import layout

    rows, where = env.snapshot(), layout(env)
    for world, chosen in enumerate(env.chosen.tolist()):
        pose, speed = where["objects.pose"].start + 7 * chosen, where["objects.velocity"].start + 6 * chosen
        rows[world, pose : pose + 2] = place[world]
        rows[world, speed : speed + 2] = velocity[world]
    env.restore(rows)


def test_the_object_and_the_mark_lie_on_either_side_of_the_line(env: SageEnv) -> None:
    from sage_tasks.manipulation.push_env import SLIDERS
    from sage_tasks.manipulation.push_env_cfg import LINE

    critic = env.reset(seed=1)[0]["critic"]
    assert (env.chosen_position()[:, 1] > LINE + 0.1).all()
    assert (env.goal[:, 1] < LINE - 0.04).all()
    assert set(env.chosen.tolist()) <= set(SLIDERS)
    scale = critic["friction_scale"][:, 0]
    low, high = env.cfg.slickness
    assert ((scale >= low) & (scale <= high)).all()
    assert scale.std() > 0.05


def test_the_friction_that_is_randomised_makes_the_table_more_or_less_slippery(env: SageEnv) -> None:
    from sage_envs.randomisation import Randomiser

    usual, (low, high) = env.cfg.randomisation, env.cfg.slickness
    env.cfg.randomisation = usual.replace(static_friction_scale=(1.5, 1.5), dynamic_friction_scale=(1.5, 1.5))
    plain, env.randomiser = env.randomiser, Randomiser(env)
    try:
        scale = env.reset(seed=1)[0]["critic"]["friction_scale"][:, 0]
    finally:
        env.cfg.randomisation, env.randomiser = usual, plain
    assert ((scale >= 1.5 * low - 1e-5) & (scale <= 1.5 * high + 1e-5)).all() and scale.std() > 0.05


def test_how_far_it_slides_depends_on_the_friction_drawn(env: SageEnv) -> None:
    env.reset(seed=1)
    speed = 0.6
    start = torch.tensor([0.5, 0.15]).expand(WORLDS, 2)
    put(env, start, torch.tensor([0.0, -speed]).expand(WORLDS, 2))
    env.advance(round(1.2 / env.physics_dt))
    critic = env._critic()
    mu = critic["object_friction"][torch.arange(WORLDS), env.chosen]
    slid = start[:, 1] - env.chosen_position()[:, 1]
    torch.testing.assert_close(slid, speed**2 / (2 * mu * 9.81), rtol=0.08, atol=0.01)
    assert slid.max() > 1.5 * slid.min()


def test_stopping_on_the_mark_succeeds_unless_it_was_a_foul(env: SageEnv) -> None:
    env.reset(seed=1)
    still = torch.zeros(WORLDS, 2)
    put(env, env.goal[:, :2], still)
    env.fouled[0] = True
    *_, extras = env.step(torch.zeros(WORLDS, env.action_width))
    assert extras["success"].tolist() == [False] + [True] * (WORLDS - 1)
    env.reset(seed=1)
    put(env, env.goal[:, :2], still + 0.3)
    *_, extras = env.step(torch.zeros(WORLDS, env.action_width))
    assert not extras["success"].any()


def test_an_episode_ends_once_the_object_lies_still_beyond_the_line(env: SageEnv) -> None:
    still = torch.zeros(WORLDS, 2)
    for y, slides, ends in ((-0.1, False, True), (-0.1, True, False), (0.1, False, False)):
        env.reset(seed=1)
        put(env, torch.tensor([0.5, y]).expand(WORLDS, 2), still + 0.3 * slides)
        _, _, terminated, _, extras = env.step(torch.zeros(WORLDS, env.action_width))
        assert terminated.tolist() == [ends] * WORLDS and not extras["success"].any()


def test_touching_beyond_the_line_is_a_foul_and_before_it_is_not(env: SageEnv) -> None:
    for beyond in (True, False):
        env.reset(seed=1)
        env.goal[:] = 0.0
        place = env.arm.pads_pose()[:, :2]
        # The hand goes to one side of the line, the object between its fingers, and closes.
        action = torch.zeros(WORLDS, env.action_width)
        action[:, -1] = 1.0
        for _ in range(40):
            pose = env.arm.pads_pose()
            target = torch.stack([place[:, 0], torch.full((WORLDS,), -0.1 if beyond else 0.1)], dim=1)
            way = (
                torch.cat([target, env._of_chosen(env.sizes.edges)[:, 2].div(2).clamp(min=0.016).unsqueeze(1)], dim=1)
                - pose[:, :3]
            )
            action[:, :3] = (0.3 * way / (env.cfg.hand_speed * env.step_dt)).clamp(-0.5, 0.5)
            env.command(action)
            env.advance(env.cfg.decimation)
        put(env, env.arm.pads_pose()[:, :2], torch.zeros(WORLDS, 2))
        action[:, :6] = 0.0
        action[:, -1] = -1.0
        for _ in range(9):
            env.command(action)
            env.advance(env.cfg.decimation)
        env.step(action)
        assert (env.touch.forces(1)[:, 0, :, :-1].norm(dim=-1).sum(dim=(1, 2)) > 1.0).float().mean() > 0.9
        assert (env.fouled.float().mean() > 0.9) if beyond else not env.fouled.any()


def test_the_expert_sends_it_to_the_mark_and_without_knowing_the_friction_it_does_not(env: SageEnv) -> None:
    from sage_tasks.policies import make_policy

    score = {}
    for factor in (1.0, 2.5):
        observation, _ = env.reset(seed=12)
        expert = make_policy("expert", env)
        won = torch.zeros(WORLDS, dtype=torch.bool)
        for _ in range(100):
            truth = observation["critic"]
            truth["object_friction"] = truth["object_friction"] * factor
            observation, *_, extras = env.step(expert.act(observation))
            won |= extras["success"]
        score[factor] = won.float().mean()
    assert score[1.0] >= 0.8
    assert score[2.5] <= 0.4


def test_pictures_are_those_of_the_stock_renderer(env: SageEnv) -> None:
    env.reset(seed=3)
    assert_stock_pictures(env, env.sight)
