"""``Sage-Social``: people in the scene, what touching and nearing them means, footsteps, re-living, and the expert."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from ..envs.worlds import assert_stock_pictures, scene_gaps

if TYPE_CHECKING:
    from sage_tasks.social.social_env import SocialEnv

pytestmark = pytest.mark.sim

WORLDS = 8


@pytest.fixture(scope="module")
def env() -> Iterator[SocialEnv]:
    from sage_tasks.make import make

    env = make("Sage-Social", num_envs=WORLDS, seed=5, device="cpu")
    yield env
    env.close()


@pytest.fixture
def blind(env: SocialEnv, monkeypatch: pytest.MonkeyPatch) -> SocialEnv:
    """The environment without its senses, which take most of the time; ground truth stays."""
    monkeypatch.setattr(env, "_get_observations", lambda: env.observe(()))
    return env


def stage(env: SocialEnv, people: list[tuple[float, float]] | Tensor, speed: float | Tensor) -> None:
    """The rover at the origin facing +x; everything else is far away but the people given.

    Args:
        env: The environment.
        people: Where they are, alike or world by world (N, K, 2) [m].
        speed: At which they walk along +y, alike or world by world (N, 1) [m/s].
    """
    from sage_envs.room import OBJECTS
    from sage_envs.snapshot import layout

    env.reset(seed=0)
    crowd, where = env.crowd, layout(env)
    given = torch.as_tensor(people)
    given = given if given.dim() == 3 else given.view(-1, 2)
    count = given.shape[-2]
    place = torch.tensor([(-3.0, 3.0), (3.0, 3.0), (-3.0, -3.0), (3.0, -3.0)]).repeat(WORLDS, 1, 1)
    place[:, :count] = given
    heading = torch.zeros(WORLDS, 4, crowd.itinerary.shape[2], 2)
    heading[..., 1] = 10.0
    heading += place.unsqueeze(2)
    speeds = torch.zeros(WORLDS, 4)
    speeds[:, :count] = speed
    crowd.begin(torch.arange(WORLDS), place, heading, speeds)
    crowd.velocity[..., 1] = speeds
    rows = env.snapshot()
    rows[:, where["robot.pose"]] = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    for name in ("robot.velocity", "robot.joint_velocity", "objects.velocity"):
        rows[:, where[name]] = 0.0
    start = where["objects.pose"].start
    for i, thing in enumerate(OBJECTS[:2]):
        rows[:, start + 7 * i : start + 7 * i + 3] = torch.tensor([-1.0 + 2.0 * i, -3.0, thing.height / 2])
    start = where["task.obstacles"].start
    for i in range(2):
        rows[:, start + 7 * i : start + 7 * i + 2] = torch.tensor([-0.6 + 1.2 * i, 3.2])
    rows[:, where["task.goal"]] = torch.tensor([-3.0, 0.0])
    env.restore(rows)


def test_resets_place_people_apart_and_inside(blind: SocialEnv) -> None:
    from sage_envs.crowd import BODY_RADIUS

    critic = blind.reset(seed=1)[0]["critic"]
    people = critic["person_position"]
    assert people.shape == (WORLDS, 4, 2)
    assert (people.abs() < 3.5 - BODY_RADIUS).all()
    apart = torch.cdist(people, people) + 10.0 * torch.eye(4)
    assert apart.min() > 2 * BODY_RADIUS
    to_rover = (people - critic["robot_pose"][:, None, :2]).norm(dim=-1)
    assert to_rover.min() > 1.0
    assert (critic["goal_position"] - critic["robot_pose"][:, :2]).norm(dim=1).min() > 2.5
    # Where they are going is free, and at some distance.
    goals = blind.crowd.itinerary
    legs = (goals.diff(dim=2)).norm(dim=-1)
    assert legs.min() > 1.9
    gap = (goals.flatten(1, 2).unsqueeze(2) - critic["obstacle_position"][:, None, :, :2]).norm(dim=-1)
    assert gap.min() > 0.2 + BODY_RADIUS

    # What the engine has is what the task says.
    def where() -> Tensor:
        blind.people.update(blind.physics_dt)
        return (blind.people.data.body_link_pos_w.torch - blind.scene.env_origins.unsqueeze(1))[..., :2]

    torch.testing.assert_close(where(), people, rtol=0.0, atol=1e-5)
    observation, *_ = blind.step(torch.zeros(WORLDS, 2))
    walked = observation["critic"]["person_position"]
    assert (walked - people).norm(dim=-1).min() > 0.0
    torch.testing.assert_close(where(), walked, rtol=0.0, atol=1e-5)


def test_a_seed_is_an_episode(blind: SocialEnv) -> None:
    def lived(seed: int) -> Tensor:
        blind.reset(seed=seed)
        for _ in range(10):
            observation, *_ = blind.step(torch.full((WORLDS, 2), 0.3))
        return observation["critic"]["person_position"]

    first, other, again = lived(7), lived(8), lived(7)
    assert torch.equal(first, again)
    assert not torch.isclose(first, other, atol=1e-3).all(dim=-1).any()


def test_people_are_seen(env: SocialEnv) -> None:
    stage(env, [(1.5, 0.0)], 0.0)
    visual, depth = env.look()
    rows = slice(10, 30)
    near = depth[:, rows, 32, 0]
    # The camera is 0.19 m ahead of the middle; the nearest point of the body 0.25 m before its own.
    torch.testing.assert_close(near, torch.full_like(near, 1.5 - 0.25 - 0.19), rtol=0.0, atol=0.03)
    red, _, blue = visual[:, rows, 32].float().mean(dim=1).unbind(dim=1)
    assert (red > 2.0 * blue).all()
    stage(env, [], 0.0)
    # Behind it is the wall, and above that nothing, which reads 0.
    beyond = env.look()[1][:, rows, 32, 0]
    assert ((beyond == 0.0) | (beyond > 2.5)).all()


def test_touching_a_person_ends_the_episode_without_success(blind: SocialEnv) -> None:
    stage(blind, [(0.55, 0.0)], 0.0)
    for _ in range(40):
        # One world stays where it is, the others drive at the person.
        drive = torch.ones(WORLDS, 2)
        drive[0] = 0.0
        blind.crowd.velocity[:] = 0.0
        blind.crowd.position[:, 0] = torch.tensor([0.55, 0.0])
        _, reward, terminated, _, extras = blind.step(drive)
        if terminated.any():
            break
        assert not extras["collision"].any()
    assert terminated.tolist() == [False] + [True] * (WORLDS - 1)
    assert extras["collision"].tolist() == terminated.tolist()
    assert not extras["success"].any()
    assert extras["log"]["collisions"] == pytest.approx((WORLDS - 1) / WORLDS)
    assert (reward[1:] < -4.0).all()
    assert reward[0] > -1.0


def test_nearness_is_tallied(blind: SocialEnv) -> None:
    def intrusion(gap: float) -> Tensor:
        stage(blind, [(0.2 + 0.25 + gap, 0.0)], 0.0)
        for _ in range(6):
            blind.crowd.velocity[:] = 0.0
            extras = blind.step(torch.zeros(WORLDS, 2))[4]
        return extras["intrusion_s"]

    torch.testing.assert_close(intrusion(0.3), torch.full((WORLDS,), 0.2), rtol=0.0, atol=1e-4)
    assert (intrusion(0.6) == 0.0).all()


def test_the_goal_ends_the_episode_with_success(blind: SocialEnv) -> None:
    from sage_envs.snapshot import layout

    stage(blind, [], 0.0)
    rows, where = blind.snapshot(), layout(blind)
    rows[0, where["task.goal"]] = torch.tensor([0.1, 0.1])
    blind.restore(rows)
    _, reward, terminated, _, extras = blind.step(torch.zeros(WORLDS, 2))
    assert terminated.tolist() == extras["success"].tolist() == [True] + [False] * (WORLDS - 1)
    assert reward[0] > 4.0
    assert extras["log"]["time_to_goal_s"] > 0.0


def test_who_walks_is_heard_and_who_stands_is_not(env: SocialEnv) -> None:
    speed = torch.tensor([1.2, 0.0, 1.2, 0.0, 1.2, 0.0, 1.2, 0.0]).unsqueeze(1)
    place = torch.full((WORLDS, 1, 2), -0.5)
    place[:, 0, 0] = torch.tensor([1.2, 1.2, 1.2, 1.2, 2.4, 2.4, 2.4, 2.4])
    place[:, 0, 1] -= 0.5 * speed[:, 0]
    stage(env, place, speed)
    energy = torch.full((WORLDS,), 1e-14)
    for look in range(45):
        env.advance(env.cfg.decimation)
        env.observe({"audio"})
        # The objects settle for half a second; then people walk by for a second.
        if look >= 15:
            energy += env.senses.hearing.waveform.square().sum(dim=(1, 2))
    level = 10.0 * energy.log10()
    near, far = level[:4], level[4:]
    assert (near[::2] > near[1::2] + 20.0).all()
    # Twice as far is 6 dB less, and somewhat more for the side of the ears.
    assert ((near[::2] - far[::2] > 3.0) & (near[::2] - far[::2] < 12.0)).all()


def test_people_are_lived_again(blind: SocialEnv) -> None:
    blind.reset(seed=3)
    actions = 0.6 * torch.rand(WORLDS, 20, 2, generator=torch.Generator().manual_seed(0))
    for _ in range(30):
        blind.step(torch.full((WORLDS, 2), 0.4))
    rows = blind.snapshot()
    first = blind.relive(rows, actions, senses=())["critic"]
    again = blind.relive(rows, actions, senses=())["critic"]
    for key in ("person_position", "person_velocity", "robot_pose"):
        assert torch.equal(first[key], again[key])
    moved = (first["person_position"][:, -1] - first["person_position"][:, 0]).norm(dim=-1)
    assert moved.max() > 0.4
    blind.restore(rows)
    assert torch.equal(blind.snapshot(), rows)
    # Another action, and people walk elsewhere: they see the rover.
    other = blind.relive(rows, -actions, senses=())["critic"]
    assert (other["person_position"] - first["person_position"]).abs().max() > 1e-3


def test_the_expert_reaches_the_goal_and_touches_nobody(blind: SocialEnv) -> None:
    from sage_tasks.policies import make_policy

    observation, _ = blind.reset(seed=11)
    expert = make_policy("expert", blind)
    success, over = torch.zeros(WORLDS, dtype=torch.bool), torch.zeros(WORLDS, dtype=torch.bool)
    for _ in range(blind.max_episode_length):
        action = expert.act(observation)
        assert action.abs().max() <= 1.0
        observation, _, terminated, truncated, extras = blind.step(action)
        success |= extras["success"] & ~over
        over |= terminated | truncated
        if over.all():
            break
    assert success.float().mean() >= 0.85


def test_the_random_policy_does_not(blind: SocialEnv) -> None:
    from sage_tasks.policies import make_policy

    observation, _ = blind.reset(seed=11)
    policy = make_policy("random", blind, seed=0)
    success = torch.zeros(WORLDS, dtype=torch.bool)
    for _ in range(240):
        observation, _, _, _, extras = blind.step(policy.act(observation))
        success |= extras["success"]
    assert success.float().mean() <= 0.3
    assert math.isfinite(float(extras["log"]["intrusion_s"]))


def test_a_viewer_puts_people_where_they_are(env: SocialEnv) -> None:
    env.reset(seed=7)
    for _ in range(5):
        env.step(torch.zeros(WORLDS, 2))
    gaps = scene_gaps(env, ["fixtures", "people"])
    assert max(gaps[f"person_{i}"] for i in range(4)) < 2e-3, gaps


def test_pictures_are_those_of_the_stock_renderer(env: SocialEnv) -> None:
    env.reset(seed=3)
    assert_stock_pictures(env)
