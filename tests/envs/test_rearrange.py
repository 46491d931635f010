"""Looking at the instant, where the objects are as the camera has them, and moments whose objects lie elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import MAKE, Stage, object_positions, object_velocities

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim
WORLDS, MOMENTS = 8, 64


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=WORLDS, **MAKE)
    yield env
    env.close()


@pytest.fixture(scope="module")
def rows(env: SageEnv) -> Tensor:
    """Moments in the midst of driving about."""
    generator = torch.Generator().manual_seed(1)
    env.reset(seed=2)
    for _ in range(8):
        env.command(torch.rand(WORLDS, 2, generator=generator) * 2 - 1)
        env.advance(env.cfg.decimation)
    return env.snapshot()


@pytest.fixture(scope="module")
def rearranged(env: SageEnv, rows: Tensor) -> Tensor:
    """The same with their objects elsewhere, several times over."""
    generator = torch.Generator().manual_seed(0)
    return torch.cat([env.rearrange(rows, generator) for _ in range(MOMENTS // WORLDS)])


def parts(env: SageEnv, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Poses and velocities of the loose objects in snapshots (n, B, 7), (n, B, 6)."""
    from sage_envs.snapshot import layout

    where = layout(env)
    return rows[:, where["objects.pose"]].unflatten(1, (-1, 7)), rows[:, where["objects.velocity"]].unflatten(
        1, (-1, 6)
    )


def moved(env: SageEnv, rows: Tensor, rearranged: Tensor) -> Tensor:
    """Which objects lie elsewhere (n, B)."""
    before = parts(env, rows)[0].repeat(len(rearranged) // len(rows), 1, 1)
    return (parts(env, rearranged)[0] != before).any(2)


def test_the_rows_that_were_given_stay_as_they_were(env: SageEnv, rows: Tensor) -> None:
    still, kept = torch.zeros(WORLDS, 1, 2), rows.clone()
    for n in (1, WORLDS):
        env.render_states(rows[:n])
        env.restore(rows[:n], torch.arange(n))
        env.relive(rows[:n], still[:n], senses=())
        env.rearrange(rows[:n], torch.Generator())
        assert torch.equal(rows, kept), n


def test_obstacles_are_those_of_another_room_and_stand_clear(env: SageEnv, rows: Tensor, rearranged: Tensor) -> None:
    from sage_envs.snapshot import layout

    part = layout(env)["task.obstacles"]
    own = rows[:, part].repeat(len(rearranged) // len(rows), 1)
    found = rearranged[:, part]

    def unturned(standing: Tensor) -> Tensor:
        """What neither a quarter turn of the room nor a mirror changes: distances from its two middle lines, height."""
        poses = standing.unflatten(1, (-1, 7))
        return torch.cat([poses[..., :2].abs().sort(-1).values, poses[..., 2:3]], -1).flatten(1)

    gap = (unturned(found).unsqueeze(1) - unturned(rows[:, part])).abs().amax(-1)
    assert bool((gap.amin(1) < 1e-5).all()), "of a moment of the same call"
    other = (found != own).any(1)
    assert 0.2 < other.float().mean() < 0.95
    ground = env.ground(rearranged)
    standing, radii = ground.taken[:, :-1], ground.radii[:, :-1]
    things = torch.cat([ground.taken[:, -1:], parts(env, rearranged)[0][..., :2]], 1)
    outlines = torch.tensor([0.2, *(thing.outline for thing in env.objects)])
    gaps = torch.cdist(standing, things) - radii.unsqueeze(-1) - outlines
    assert (gaps[other].where(radii[other].unsqueeze(-1) > 0, 1.0) > -1e-4).all()


def test_a_room_can_be_turned_and_mirrored(env: SageEnv) -> None:
    pose = torch.tensor([1.0, 0.5, 0.3, 0.0, 0.0, 0.25881904, 0.9659258]).expand(200, 1, 7)  # turned by 30 degrees
    found = env._turned(pose, torch.Generator().manual_seed(0))
    assert torch.equal(found[..., 2:5], pose[..., 2:5])
    angle = 2 * torch.rad2deg(torch.atan2(found[:, 0, 5], found[:, 0, 6]))
    told = {
        (round(float(x), 3), round(float(y), 3), round(float(a)) % 360)
        for (x, y), a in zip(found[:, 0, :2], angle, strict=True)
    }
    assert told == {
        (1.0, 0.5, 30), (-0.5, 1.0, 120), (-1.0, -0.5, 210), (0.5, -1.0, 300),
        (1.0, -0.5, 330), (0.5, 1.0, 60), (-1.0, 0.5, 150), (-0.5, -1.0, 240),
    }  # fmt: skip


def test_the_instant_is_seen_before_anything_moves(env: SageEnv, rows: Tensor) -> None:
    turned = torch.zeros(WORLDS, 5)
    turned[:, 0] = 0.4
    still = torch.zeros(WORLDS, 2, 2)
    for viewpoint in (torch.zeros(WORLDS, 5), turned):
        lived = env.relive(rows, still, viewpoint=viewpoint, start=True)
        visual, depth = env.render_states(rows, viewpoint)
        assert torch.equal(lived["start"]["visual"], visual) and torch.equal(lived["start"]["depth"], depth)
    plain = env.relive(rows, still, viewpoint=turned)
    assert "start" not in plain
    for key, value in plain["policy"].items():
        assert torch.equal(value, lived["policy"][key]), f"{key}: looking moves nothing"


def test_sight_is_the_truth_in_the_cameras_frame(env: SageEnv) -> None:
    """The rover at the origin faces +x, its camera level: ahead, left and up are x, y and z but for the mount."""
    stage = Stage(env)
    stage.object(1, (1.0, 0.3, 0.13), (0.0, 0.5, 0.0))
    stage.object(4, (-1.0, 0.0, 0.10))
    lived = env.relive(stage.rows, torch.zeros(WORLDS, 1, 2), senses=(), located=True)
    sight = lived["sight"]
    assert sight["position"].shape == (WORLDS, 2, 5, 3)
    stage.begin()
    camera = (env.camera_pose()[0] - env.scene.env_origins)[0]
    tilt = torch.tensor(env.cfg.camera_tilt)
    x, y, z = (torch.tensor([1.0, 0.3, 0.13]) - camera).tolist()
    level = torch.tensor([x * tilt.cos() - z * tilt.sin(), y, x * tilt.sin() + z * tilt.cos()])
    torch.testing.assert_close(sight["position"][:, 0, 1], level.expand(WORLDS, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(sight["velocity"][:, 0, 1, 1], torch.full((WORLDS,), 0.5), atol=1e-4, rtol=0)
    assert sight["in_frame"][:, 0, 1].all() and not sight["in_frame"][:, 0, 4].any(), "one ahead, one behind"
    torch.testing.assert_close(sight["radius"][0, 0], torch.tensor([0.13, 0.13, 0.09, 0.10, 0.10]))
    lens = env.scene["camera"].cfg.spawn
    pixels = 64 * lens.focal_length / lens.horizontal_aperture * 0.13 / level[0]
    torch.testing.assert_close(sight["extent"][:, 0, 1], pixels.expand(WORLDS), atol=1e-2, rtol=0)
    assert not sight["extent"][:, 0, 4].any(), "behind"


def test_sight_follows_each_look(env: SageEnv, rows: Tensor) -> None:
    for speed, looks in ((1.0, 4), (2.0, 2), (0.5, 8)):
        lived = env.relive(rows, torch.zeros(WORLDS, 4, 2), speed=speed, senses=(), located=True)
        sight = lived["sight"]
        assert sight["position"].shape[:2] == (WORLDS, looks + 1)
        velocity = sight["velocity"].norm(dim=-1)
        truth = lived["critic"]["object_velocity"][..., :3].norm(dim=-1)
        torch.testing.assert_close(velocity[:, 1:], truth, atol=1e-4, rtol=1e-4)
        apart = (sight["position"][:, :, 1:] - sight["position"][:, :, :1]).norm(dim=-1)[:, 1:]
        poses = lived["critic"]["object_pose"][..., :3]
        torch.testing.assert_close(apart, (poses[:, :, 1:] - poses[:, :, :1]).norm(dim=-1), atol=1e-4, rtol=1e-4)


def test_what_sight_says_is_in_view_is_in_the_depth_picture(env: SageEnv, rearranged: Tensor) -> None:
    """The ray through a ball's centre meets it a radius before that."""
    from sage_envs.sight import objects_in_view
    from sage_envs.sight import sight as seen_now

    found = 0
    for some in rearranged.split(WORLDS):
        lived = env.relive(some, torch.zeros(WORLDS, 1, 2), senses=("depth",), start=True, located=True)
        sight, depth = {k: v[:, 0] for k, v in lived["sight"].items()}, lived["start"]["depth"][..., 0]
        env.restore(some)
        env.look()
        balls = torch.tensor([False, True, False, False, True])
        world, ball = (objects_in_view(env, seen_now(env)) & balls).nonzero().unbind(1)
        assert sight["in_frame"][world, ball].all()
        row, column = sight["pixel"][world, ball].long().unbind(-1)
        centre = sight["position"][world, ball]
        # Depth is along the camera's axis, the radius along the ray.
        shorter = sight["radius"][world, ball] * centre[:, 0] / centre.norm(dim=-1)
        torch.testing.assert_close(depth[world, row, column], centre[:, 0] - shorter, atol=0.02, rtol=0.0)
        found += len(world)
    assert found > 20


def test_most_objects_lie_elsewhere_on_the_floor_and_clear_of_each_other(
    env: SageEnv, rows: Tensor, rearranged: Tensor
) -> None:
    elsewhere = moved(env, rows, rearranged)
    assert 0.75 < elsewhere.float().mean() < 0.95
    poses, _ = parts(env, rearranged)
    radii = torch.tensor([thing.outline for thing in env.objects])
    height = torch.tensor([thing.height / 2 for thing in env.objects]).expand_as(elsewhere)
    assert torch.equal(poses[..., 2][elsewhere], height[elsewhere])
    assert (poses[..., 3:5][elsewhere] == 0).all(), "upright"
    assert ((poses[..., :2].abs() + radii.unsqueeze(1)).amax(2)[elsewhere] < env.room_half).all()
    gap = torch.cdist(poses[..., :2], poses[..., :2]) - radii - radii.unsqueeze(1)
    gap += 10 * torch.eye(5)
    assert (gap.amin(2)[elsewhere] > 0).all(), "of objects"
    ground = env.ground(rearranged)
    gap = torch.cdist(poses[..., :2], ground.taken) - radii.unsqueeze(1) - ground.radii.unsqueeze(1)
    assert (gap.amin(2)[elsewhere] > 0).all(), "of obstacles and the rover"
    nearest = torch.cdist(poses[..., :2], parts_of_robot(env, rearranged)).squeeze(2) - radii
    assert nearest[elsewhere].min() > 0.15, "the rover's body"


def parts_of_robot(env: SageEnv, rows: Tensor) -> Tensor:
    from sage_envs.snapshot import layout

    start = layout(env)["robot.pose"].start
    return rows[:, None, start : start + 2]


def test_many_are_in_view_and_some_in_motion(env: SageEnv, rows: Tensor, rearranged: Tensor) -> None:
    from sage_envs.rearrange import SPEED

    elsewhere = moved(env, rows, rearranged)
    seen = torch.cat([env.relive(some, torch.zeros(WORLDS, 1, 2), senses=(), located=True)["sight"]["in_frame"][:, 0]
                      for some in rearranged.split(WORLDS)])  # fmt: skip
    before = env.relive(rows, torch.zeros(WORLDS, 1, 2), senses=(), located=True)["sight"]["in_frame"][:, 0]
    # Not all that are meant to be: in a corner there is little floor to be seen.
    assert seen[elsewhere].float().mean() > max(0.3, before.float().mean() + 0.1)
    _, velocity = parts(env, rearranged)
    speed = velocity[..., :2].abs().amax(2)
    assert 0.3 < (speed[elsewhere] > 0).float().mean() < 0.7
    assert (speed <= SPEED)[elsewhere].all() and (speed > 0.5 * SPEED)[elsewhere].any()
    assert (velocity[..., 2:][elsewhere] == 0).all()


def test_the_rest_of_a_moment_is_left_alone(env: SageEnv, rows: Tensor) -> None:
    from sage_envs.snapshot import layout

    one, two, other = (env.rearrange(rows, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, two) and not torch.equal(one, other)
    kept = [name for name, part in layout(env).items() if not torch.equal(one[:, part], rows[:, part])]
    assert kept == ["objects.pose", "objects.velocity", "senses.velocity", "task.obstacles"]


def test_a_rearranged_moment_is_lived_as_it_says(env: SageEnv, rearranged: Tensor) -> None:
    some = rearranged[:WORLDS]
    env.restore(some)
    poses, velocities = parts(env, some)
    torch.testing.assert_close(object_positions(env), poses[..., :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(object_velocities(env), velocities[..., :3], atol=1e-5, rtol=0)
    lived = env.relive(some, torch.zeros(WORLDS, 10, 2), senses=("visual", "audio"))
    position = lived["critic"]["object_pose"][..., :3]
    # Nothing was put into anything: where it was not pushed it stays, and nothing leaps.
    still = velocities.abs().amax(2) == 0
    drift = (position - poses[:, None, :, :3]).norm(dim=-1)
    assert drift[:, 0][still].max() < 0.005
    assert position[..., 2].min() > 0.05 and position[..., 2].max() < 0.6
    gone = (position[:, 0] - poses[..., :3])[~still][:, :2]
    torch.testing.assert_close(gone, velocities[~still][:, :2] * env.step_dt, atol=0.02, rtol=0.2)


def test_colours_are_drawn_for_one_relive(env: SageEnv, rows: Tensor) -> None:
    some, still = rows[:4], torch.zeros(4, 0, 2)
    plain = env.relive(some, still, start=True)["start"]
    env.reseed(3)
    color, light = torch.tensor([0.0, 0.5, 1.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 0.5])
    painted = env.relive(some, still, color=color, light=light, start=True)["start"]
    assert torch.equal(painted["depth"], plain["depth"]), "only colours differ"
    apart = (painted["visual"].float() - plain["visual"].float()).abs().mean((1, 2, 3))
    assert apart[0] < 0.5 and 5 < apart[1] < apart[2] and apart[3] > 20
    assert torch.equal(env.relive(some, still, start=True)["start"]["visual"], plain["visual"]), "as it was"
    darker = env.relive(some, still, light=light, start=True)["start"]["visual"]
    assert torch.equal(darker[3], painted["visual"][3]) and torch.equal(darker[2], plain["visual"][2]), "light alone"
    env.reseed(3)
    again = env.relive(some, still, color=color, light=light, start=True)["start"]
    assert torch.equal(again["visual"], painted["visual"])


def test_sizes_are_shown_for_one_relive(env: SageEnv, rows: Tensor) -> None:
    some, still = rows[:4], torch.zeros(4, 0, 2)
    plain = env.relive(some, still, start=True, located=True)
    size = torch.full((4, 5), 2.0)
    size[0] = 1.0
    shown = env.relive(some, still, size=size, start=True, located=True)
    torch.testing.assert_close(shown["sight"]["radius"][:, 0], plain["sight"]["radius"][:, 0] * size)
    assert torch.equal(shown["start"]["visual"][0], plain["start"]["visual"][0])
    seen = plain["sight"]["in_frame"][1:, 0].any(-1)
    differ = (shown["start"]["depth"] != plain["start"]["depth"]).flatten(1).any(-1)[1:]
    assert seen.any() and differ[seen].all()
    again = env.relive(some, still, start=True, located=True)
    assert torch.equal(again["start"]["visual"], plain["start"]["visual"]), "as it was"
    assert torch.equal(again["sight"]["radius"], plain["sight"]["radius"])
    try:
        env.show_sizes(torch.full((4, 5), 0.5), torch.arange(4))
        env.relive(some, still, size=size)
        assert (env.appearance().scale[:4] == 0.5).all(), "what was shown before is shown again"
    finally:
        env.show_sizes(None)


def test_some_are_in_the_air_where_nothing_is_lived_on(env: SageEnv, rows: Tensor, rearranged: Tensor) -> None:
    from sage_envs.rearrange import HIGH

    generator = torch.Generator().manual_seed(0)
    found = torch.cat([env.rearrange(rows, generator, lived_on=False) for _ in range(MOMENTS // WORLDS)])
    elsewhere, ground = moved(env, rows, found), moved(env, rows, rearranged)
    lying = torch.stack([thing.height / 2 * env.sizes.scale[:WORLDS, b] for b, thing in enumerate(env.objects)], 1)
    above = parts(env, found)[0][..., 2] - lying.repeat(len(found) // WORLDS, 1)
    risen = (above > 1e-4) & elsewhere
    assert 0.15 < risen.sum() / elsewhere.sum() < 0.35 and above[elsewhere].max() <= HIGH
    assert ((parts(env, rearranged)[0][..., 2] - lying.repeat(len(found) // WORLDS, 1))[ground].abs() < 1e-4).all()
    turn = parts(env, found)[0][..., 3:]
    torch.testing.assert_close(turn[risen].norm(dim=-1), torch.ones(int(risen.sum())))
    assert (turn[risen][:, :2].abs().sum(1) > 1e-3).all() and not turn[elsewhere & ~risen][:, :2].any()
    assert env.relive(found[:WORLDS], torch.zeros(WORLDS, 0, 2), start=True, located=True)["sight"]["in_frame"].any()


def test_less_than_all_worlds(env: SageEnv, rows: Tensor) -> None:
    few = env.rearrange(rows[:3], torch.Generator().manual_seed(0))
    assert few.shape == rows[:3].shape and moved(env, rows[:3], few).any()
    with pytest.raises(ValueError, match="snapshot.shape"):
        env.rearrange(rows[:, 1:], torch.Generator())
