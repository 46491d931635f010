"""Objects of other sizes on OvPhysX: where they rest, how they look, roll, weigh and sound, and what carries them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import MAKE, Stage, assert_stock_pictures, live, object_positions

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

BOX, BALL = 0, 1
SCALES = torch.tensor([1.0, 0.5, 2.0, 2.0])


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=4, object_sizes=(0.5, 1.0, 2.0), randomisation={"size_scale": (0.4, 1.2)}, **MAKE)
    yield env
    env.close()


def settled(env: SageEnv) -> Stage:
    """All objects at rest along a wall, of size 1."""
    stage = Stage(env)
    stage.set("size_scale", 1.0)
    stage.set("object_scale", 1.0)
    stage.begin()
    live(env, 0.3)
    return stage


def red(picture: Tensor) -> Tensor:
    """Pixels of the red ball (N,)."""
    return (picture[..., 0].int() - picture[..., 1].int() > 40).flatten(1).sum(dim=1)


def test_what_can_be_set_is_told(env: SageEnv) -> None:
    assert str(env.capabilities["size_scale"]) == "per world"
    assert env.physics.object_sizes == (0.5, 1.0, 2.0)
    with pytest.raises(ValueError, match=r"size_scale=.*: must be of 0.5, 1, 2; name others in task.object_sizes"):
        env.physics.set("size_scale", 0.7)


def test_bodies_rest_at_half_their_height_and_weigh_what_they_did(env: SageEnv) -> None:
    from sage_envs.room import OBJECTS

    settled(env)
    height = torch.tensor([thing.height for thing in OBJECTS])
    env.physics.set("size_scale", SCALES)
    half = 0.5 * height * SCALES.unsqueeze(1)
    torch.testing.assert_close(object_positions(env)[..., 2], half, rtol=0.0, atol=2e-3)
    live(env, 0.5)
    torch.testing.assert_close(object_positions(env)[..., 2], half, rtol=0.0, atol=2e-3)
    truth = env._critic()
    torch.testing.assert_close(truth["object_size"][..., 2], 2.0 * half)
    torch.testing.assert_close(truth["object_mass"], torch.tensor([[t.mass for t in OBJECTS]]).repeat(4, 1))
    assert truth["object_friction"].shape == (4, len(OBJECTS))


def test_only_the_worlds_named_are_touched(env: SageEnv) -> None:
    settled(env)
    before = object_positions(env)
    env.physics.set("size_scale", 2.0, torch.tensor([2]))
    assert env.physics.get("size_scale").tolist() == [1.0, 1.0, 2.0, 1.0]
    assert torch.equal(object_positions(env)[[0, 1, 3]], before[[0, 1, 3]])


def test_what_waits_stays_and_weighs_nothing(env: SageEnv) -> None:
    settled(env)
    env.physics.set("size_scale", SCALES)
    env.physics.set_gravity([0.0, 0.0, -3.0], torch.tensor([1]))
    bodies = env.scene["objects"].data.body_link_pos_w
    before = bodies.torch.clone()
    live(env, 0.5)
    waiting = before[..., 2] < -30.0
    assert waiting.sum(dim=1).tolist() == [10] * 4
    torch.testing.assert_close(bodies.torch[waiting], before[waiting], rtol=0.0, atol=1e-5)


def test_a_ball_is_seen_as_large_as_it_is(env: SageEnv) -> None:
    stage = settled(env)
    stage.object(BALL, (1.6, 0.0, 0.13))
    stage.begin()
    near = env.look()[1].clone()
    plain = red(env.look()[0])
    env.physics.set("size_scale", SCALES)
    picture, depth = env.look()
    # Four times the area, twice as near a rim, but for what nearness adds and pixels round.
    assert 3.5 < red(picture)[2] / plain[2] < 6.5
    assert 0.1 < red(picture)[1] / plain[1] < 0.35
    closer = (near - depth)[2:].flatten(1).amax(dim=1)
    assert (closer > 0.13).all()


def test_a_large_ball_turns_more_slowly_at_the_same_speed(env: SageEnv) -> None:
    stage = settled(env)
    stage.object(BALL, (-1.0, -0.8, 0.13), (1.0, 0.0, 0.0))
    stage.begin()
    env.physics.set("size_scale", SCALES)
    live(env, 0.6)
    moving = env._critic()["object_velocity"][:, BALL]
    # A ball that slides until it rolls keeps 5/7 of its speed, whatever its size.
    torch.testing.assert_close(moving[:, 0], torch.full((4,), 5 / 7), rtol=0.05, atol=0.0)
    torch.testing.assert_close(moving[:, 4] * 0.13 * SCALES, moving[:, 0], rtol=0.03, atol=0.0)


def test_modes_ring_lower_the_larger_a_body_is(env: SageEnv) -> None:
    def centre() -> Tensor:
        stage = settled(env)
        stage.object(4, (0.9, 0.0, 0.5))
        stage.begin()
        env.physics.set("size_scale", torch.tensor([0.5, 0.5, 1.0, 1.0]))
        live(env, 0.4)
        env.observe()
        wave = env.senses.hearing.waveform[:, 0]
        power = torch.fft.rfft(wave).abs().square()
        rate = torch.linspace(0.0, 7680.0, power.shape[1])
        band = (rate > 350.0) * power
        return rate[band.argmax(dim=1)]

    heard = centre()
    # 860 Hz at 0.1 m: 430 Hz at the ball's 0.2 m, 860 Hz at half of it.
    torch.testing.assert_close(heard[0] / heard[2], torch.tensor(2.0), rtol=0.1, atol=0.0)


def test_moments_carry_sizes_and_are_lived_again_in_others(env: SageEnv) -> None:
    from sage_envs.counterfactual import Variation

    settled(env)
    env.physics.set("size_scale", SCALES)
    one = env.sizes.scale
    one[0, BOX] = 0.5
    env.physics.set_object_sizes(one)
    rows, places = env.snapshot(), object_positions(env)
    env.reset(seed=3)
    env.restore(rows)
    assert torch.equal(env.sizes.scale, one)
    torch.testing.assert_close(object_positions(env), places, rtol=0.0, atol=1e-5)
    still = torch.zeros(4, 4, 2)
    seen = env.counterfactuals(rows[:1], still[:1], [Variation(), Variation({"size_scale": 2.0})], senses=())
    torch.testing.assert_close(seen["critic"]["object_size"][0, :, -1, BALL, 0], 0.26 * torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(
        seen["critic"]["object_pose"][0, :, -1, BALL, 2], torch.tensor([0.13, 0.26]), atol=3e-3, rtol=0.0
    )
    with pytest.raises(ValueError, match=r"size_scale=.*: must be of 0.5, 1, 2"):
        env.counterfactuals(rows[2:3], still[:1], [Variation({"size_scale": 2.0})], senses=())


def test_the_same_moment_lives_the_same_again(env: SageEnv) -> None:
    env.reset(seed=4)
    env.physics.set("size_scale", SCALES)
    rows, push = env.snapshot(), torch.ones(4, 10, 2)
    one = env.relive(rows, push, senses=())["critic"]
    env.reset(seed=5)
    other = env.relive(rows, push, senses=())["critic"]
    for name, value in one.items():
        assert torch.equal(other[name], value), name


def test_resets_draw_among_the_sizes_there_are(env: SageEnv) -> None:
    drawn = []
    for seed in range(4):
        env.reset(seed=seed)
        drawn.append(env.physics.get("size_scale"))
        low = object_positions(env)[..., 2] - env.sizes.edges[..., 2] / 2
        assert (low > 0.0).all()
    assert set(torch.cat(drawn).tolist()) == {0.5, 1.0}
    env.reset(seed=0)
    assert torch.equal(env.physics.get("size_scale"), drawn[0])


def test_the_picture_alone_can_tell_another_size(env: SageEnv) -> None:
    stage = settled(env)
    stage.object(BALL, (1.6, 0.0, 0.13))
    stage.begin()
    before = env.snapshot()
    plain = env.look()
    env.show_sizes(torch.tensor([1.0, 0.1, 2.0, 10.0]).view(4, 1).expand(4, 5))
    picture, depth = env.look()
    shown = red(picture) / red(plain[0])
    assert shown[0] == 1.0
    assert shown[1] < 0.1
    assert 3.5 < shown[2] < 6.5
    # Ten times as large, it reaches the camera's height and fills the view.
    assert (depth[3] - plain[1][3]).abs().max() > 0.5
    assert torch.equal(env.snapshot(), before)
    env.show_sizes(None)
    assert torch.equal(env.look()[0], plain[0])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0.5, 2.0), r"object_sizes=\[0.5, 2.0\]: must name each size once, and 1 among them"),
        ((1.0, 20.0), r"object_sizes=\[1.0, 20.0\]: each must lie in 0.1..10"),
    ],
)
def test_bad_sizes_are_refused(sizes: tuple[float, ...], message: str) -> None:
    from sage_envs.sizes import spawned

    with pytest.raises(ValueError, match=message):
        spawned(sizes)


def test_dreams_sizes_can_be_made() -> None:
    from sage_envs.sizes import spawned

    assert spawned((0.1, 0.5, 1.0, 2.0, 10.0)) == (1.0, 0.1, 0.5, 2.0, 10.0)


def test_sizes_are_seen_as_by_the_stock_renderer(env: SageEnv) -> None:
    env.reset(seed=3)
    env.physics.set("size_scale", SCALES)
    assert_stock_pictures(env)
    env.show_sizes(torch.full((4, object_positions(env).shape[1]), 0.4))
    try:
        assert_stock_pictures(env)
    finally:
        env.show_sizes(None)
