"""Remembered moments lived again under other conditions, and what of that is told."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sage_ext.config import SleepConfig
from sage_ext.environment import Observation
from sage_ext.errors import SageError
from sage_ext.learning.sighting import TOLD
from sage_ext.memory import Memory
from sage_ext.sleep import Moments, relive_moments
from sage_ext.sleep.moments import KEPT, slice_length
from sage_ext.sleep.told import MOVING, PARTED, in_view, nearest
from sage_ext.sleep.variations import FAMILIES, draw

from .ball_world import BallWorld, sense_names
from .conftest import configured, make_mind, seeded

Remembered = tuple[BallWorld, Memory]


def only(family: str, *more: str) -> SleepConfig:
    """A sleep in which one family varies."""
    shares = [f"sleep.variations.{name}.share={float(name == family)}" for name in FAMILIES]
    return configured(*shares, *more).sleep


def same(one: Observation, other: Observation) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def moments_of(remembered: Remembered, config: SleepConfig, count: int = 12, seed: int = 0, first: int = 0) -> Moments:
    return relive_moments(*remembered, config, count, first, seeded(seed))


def test_moments_are_what_memory_holds(remembered: Remembered) -> None:
    """Around the instant of the snapshot: what came before it, and the looks from it on."""
    env, memory = remembered
    config = only("physical", "sleep.history=2")
    found = moments_of(remembered, config, 9)
    assert len(found) == 9, "the last call takes fewer than there are worlds"
    # The same chance draws the same stretches; one call is 6 moments.
    generator = seeded()
    for part in (slice(0, 6), slice(6, 9)):
        n = part.stop - part.start
        stretch = memory.sample_slices(n, slice_length(config), generator, snapshot_at=2)
        draw(config.variations, "physical", n, generator)
        for key in sense_names(env):
            assert torch.equal(found.history[key][part], stretch["observation", key][:, :2]), key
            assert torch.equal(found.remembered[key][part], stretch["observation", key][:, 2:7]), key
        assert torch.equal(found.actions[part, :, :2], stretch["action"][:, 2:7])
    for key, value in found.varied.items():
        assert torch.equal(value[:, 0], found.remembered[key][:, 0]), f"{key}: both begin at one instant"
    assert (found.actions[..., 2] == 0).all() and (found.varied_actions[..., 2] == 0).all()
    assert torch.equal(found.actions, found.varied_actions)
    assert not found.forget.any()


def test_a_physical_moment_differs_by_its_physics_alone(remembered: Remembered) -> None:
    env, memory = remembered
    ranges = ("sleep.variations.physical.gravity_scale=[1.5,2]", "sleep.variations.physical.friction_scale=[0.2,0.6]")
    config = only("physical", *ranges)
    found = moments_of(remembered, config)
    generator, both = seeded(), []
    for first in (0, 6):
        part = slice(first, first + 6)
        stretch = memory.sample_slices(6, slice_length(config), generator, snapshot_at=1)
        drawn = draw(config.variations, "physical", 6, generator)
        for name, factor in (("gravity", drawn.gravity), ("friction", drawn.friction), ("mass", drawn.mass)):
            assert torch.allclose(found.change[f"log_{name}"][part].exp(), factor.view(6, 1, 1).expand(6, 5, 1)), name
        # A world in which these were in force from the start says the same.
        rows = stretch["snapshot"][:, 1].clone()
        rows[:, 28] *= drawn.gravity
        rows[:, 29] *= drawn.friction
        rows[:, 32] *= drawn.mass
        assert (rows[:, 28] < -14).all() and (rows[:, 29] <= 0.6).all() and (rows[:, 32] != 1).all()
        moving = []
        for start, looks in ((stretch["snapshot"][:, 1], found.remembered), (rows, found.varied)):
            lived = env.relive(start, stretch["action"][:, 1:5], located=True)
            fast = lived["sight"]["velocity"].norm(dim=-1) > MOVING
            moving.append((fast & in_view(lived["sight"], looks["depth"][part])).any(-1).cumsum(1) > 0)
        both.append(moving[0] & moving[1])
        for key in sense_names(env):
            assert torch.equal(found.varied[key][part, 1:], lived["policy"][key]), key
    asked = {name: found.asked[f"log_{name}"].squeeze(-1) for name in ("gravity", "friction", "mass")}
    assert asked["gravity"].tolist() == [[False, False, True, True, True]] * 12, "once it can be felt"
    apart = found.change["object_position"].unflatten(2, (-1, 3)).norm(dim=-1) > PARTED
    shown = (apart & found.asked["object_position"].unflatten(2, (-1, 3)).all(-1)).any(-1)
    shown = torch.stack([shown[:, : k + 1].any(1) for k in range(5)], 1)
    assert torch.equal(asked["friction"], asked["gravity"] & shown & torch.cat(both)), "where something went otherwise"
    assert torch.equal(asked["mass"], asked["friction"]) and asked["friction"].any() and not asked["friction"].all()
    assert not found.change["log_speed"].any() and (found.match == torch.arange(5)).all()
    for key in ("visual", "proprioceptive"):
        other = (found.varied[key][:, 1:] != found.remembered[key][:, 1:]).flatten(1).any(1)
        assert other.float().mean() > 0.9, key


def test_a_physical_moment_may_have_its_objects_elsewhere_as_well(remembered: Remembered) -> None:
    """Two arrangements, each pushed in its own way, under other physics: what was remembered would rarely tell it."""
    config = only("physical", "sleep.variations.physical.elsewhere=1")
    found = moments_of(remembered, config)
    assert (found.match == -1).all() and found.forget.all() and (found.looks == 5).all()
    assert (found.varied["visual"][:, 0] != found.remembered["visual"][:, 0]).flatten(1).any(1).all()
    for name in ("log_gravity", "log_friction", "log_mass"):
        assert (found.change[name].abs() > 0.001).all() and found.asked[name].any(), name
    plain = moments_of(remembered, only("physical"))
    for name in ("log_friction", "object_velocity"):
        told, before = (float(m.asked[name].float().mean()) for m in (found, plain))
        assert told > 0.1, (name, told, before)
    speeds = [m.change["object_velocity"][m.asked["object_velocity"]].abs().mean() for m in (found, plain)]
    assert speeds[0] > 2 * speeds[1], "their velocities differ"
    half = moments_of(remembered, only("physical", "sleep.variations.physical.elsewhere=0.5"), 96)
    assert 0 < int(half.forget[::6].sum()) < 16 and (half.forget.view(16, 6).float().std(1) == 0).all()


def test_without_a_change_the_moment_repeats_itself(remembered: Remembered) -> None:
    ranges = (f"sleep.variations.physical.{name}_scale=[1,1]" for name in ("gravity", "friction", "mass"))
    found = moments_of(remembered, only("physical", *ranges))
    for name, change in found.change.items():
        assert not change.any(), name
    assert not found.asked["log_friction"].any() and not found.asked["log_mass"].any(), "nobody could tell"
    for key, value in found.varied.items():
        assert torch.equal(value, found.remembered[key]), key


def test_a_spatial_moment_is_the_same_physics_seen_from_elsewhere(remembered: Remembered) -> None:
    found = moments_of(remembered, only("spatial"))
    for key in ("audio", "tactile", "proprioceptive"):
        assert torch.equal(found.varied[key], found.remembered[key]), key
    for key in ("visual", "depth"):
        assert (found.varied[key] != found.remembered[key]).flatten(2).any(2).all(), f"{key}: from the first look on"
    for name in ("log_gravity", "log_friction", "log_mass"):
        assert not found.change[name].any() and found.asked[name].any(), "that nothing changed is to be read, too"
    seen = found.asked["object_position"]
    assert seen.float().mean() > 0.5 and (found.change["object_position"][seen].abs() > 0.005).float().mean() > 0.5
    assert (found.match == torch.arange(5)).all()
    found = moments_of(
        remembered, only("spatial", "sleep.variations.spatial.yaw_deg=0", "sleep.variations.spatial.shift_m=0")
    )
    assert torch.equal(found.varied["visual"], found.remembered["visual"])


@pytest.mark.parametrize(("speed", "match"), [(2.0, [0, 2, 4, -1, -1]), (0.5, [0, -1, 1, -1, 2])])
def test_a_temporal_moment_is_matched_instant_by_instant(
    remembered: Remembered, speed: float, match: list[int]
) -> None:
    found = moments_of(remembered, only("temporal", f"sleep.variations.temporal.speeds=[{speed}]"))
    assert found.match.tolist() == [match] * 12 and found.forget.all()
    moving = (found.remembered["visual"][:, 0] != found.remembered["visual"][:, 1]).flatten(1).any(1)
    assert moving.sum() > 6
    for key in ("visual", "depth"):
        remembered_look, varied = found.remembered[key], found.varied[key]
        for look, same in enumerate(match):
            if same >= 0:
                assert torch.equal(varied[:, look], remembered_look[:, same]), (key, look)
            for other in {0, 1, 2, 3, 4} - {same}:
                unlike = (varied[:, look] != remembered_look[:, other]).flatten(1).any(1)
                # Looks that share no instant show another picture wherever anything moves.
                assert unlike[moving].float().mean() > 0.7, (key, look, other)
    assert (found.change["log_speed"] == math.log(speed)).all()
    assert {name for name, asked in found.asked.items() if asked.any()} == {"log_speed"}
    assert (found.actions[..., 2] == 0).all() and (found.varied_actions[..., 2] == math.log2(speed)).all()


def test_a_causal_moment_goes_on_with_the_actions_of_another(remembered: Remembered) -> None:
    env, memory = remembered
    config = only("causal")
    found = moments_of(remembered, config, 6)
    assert torch.equal(found.varied_actions, found.actions.roll(1, 0))
    assert not torch.equal(found.varied_actions, found.actions)
    stretch = memory.sample_slices(6, slice_length(config), seeded(), snapshot_at=1)
    lived = env.relive(stretch["snapshot"][:, 1], stretch["action"][:, 1:5].roll(1, 0))["policy"]
    for key, value in found.varied.items():
        assert torch.equal(value[:, 0], found.remembered[key][:, 0]), f"{key}: it begins as it did"
        assert torch.equal(value[:, 1:], lived[key]), key
    own = found.varied["proprioceptive"][:, 1:] != found.remembered["proprioceptive"][:, 1:]
    assert own.flatten(1).any(1).all()
    assert found.match.tolist() == [[0, -1, -1, -1, -1]] * 6, "after that they are two stories"


@pytest.mark.parametrize(("family", "steps"), [("rearranged", 1), ("rearranged", 3), ("physical", 1)])
def test_only_what_is_not_lived_on_from_may_show_what_could_not_be(
    remembered: Remembered, family: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, memory = remembered
    asked, arrange = [], env.rearrange

    def rearrange(rows: torch.Tensor, generator: torch.Generator, lived_on: bool = True) -> torch.Tensor:
        asked.append(lived_on)
        return arrange(rows, generator)

    monkeypatch.setattr(env, "rearrange", rearrange)
    more = (f"sleep.rearranged_steps={steps}", "sleep.variations.physical.elsewhere=1.0")
    found = moments_of((env, memory), only(family, *more), 6)
    assert asked == [int(found.looks.max()) > 1] * 2, "once for each branch"


def test_a_rearranged_moment_has_its_objects_elsewhere_in_one_branch_or_both(remembered: Remembered) -> None:
    env, memory = remembered
    config = only("rearranged")
    found = moments_of(remembered, config, 6)
    generator = seeded()
    stretch = memory.sample_slices(6, slice_length(config), generator, snapshot_at=1)
    draw(config.variations, "rearranged", 6, generator)
    rows, actions, sights = stretch["snapshot"][:, 1], stretch["action"][:, 1:5], []
    views, first = [], []
    for branch in ("varied", "remembered"):
        kept = torch.zeros(6, 1) > 0 if branch == "varied" else torch.rand(6, 1, generator=generator) < KEPT
        arranged = torch.where(kept, rows, env.rearrange(rows, generator))
        lived = env.relive(arranged, actions, start=True, located=True)
        looks = getattr(found, branch)
        for key in ("visual", "depth"):
            assert torch.equal(looks[key][:, 0], lived["start"][key]), (branch, key)
        for key in ("audio", "tactile", "proprioceptive"):
            assert torch.equal(looks[key][:, 0], stretch["observation", key][:, 1]), f"{branch} {key}: not of pictures"
        for key, value in lived["policy"].items():
            assert torch.equal(looks[key][:, 1:], value), (branch, key)
        sights.append(lived["sight"]["position"].flatten(2))
        views.append(in_view(lived["sight"], looks["depth"]))
        first.append(nearest(lived["sight"], views[-1]))
        told = found.sights[branch].unflatten(2, (-1, TOLD))
        shares = lived["sight"]["pixel"] / torch.tensor(looks["depth"].shape[2:4])
        assert torch.equal(told[..., :2], shares) and (told[..., 4] == 1).all()
        assert torch.equal(told[..., 2], lived["sight"]["position"][..., 0])
        assert torch.equal(told[..., 3] > 0, views[-1])
        assert torch.equal(found.sought[branch][..., :3], lived["sight"]["sought"])
        assert (found.sought[branch][..., 3] == -1).all() and (found.sought[branch][..., 4] == 1).all()
    assert torch.equal(found.change["object_nearest"], first[0] - first[1])
    assert torch.equal(found.change["object_position"], sights[0] - sights[1])
    assert torch.equal(found.change["object_seen"], views[0].float() - views[1].float())
    assert found.asked["object_seen"].all(), "in view or not can always be told"
    assert (found.match == -1).all(), "no look of one shows what the other shows"
    assert found.asked["object_position"].float().mean() > 0.5


def test_an_object_is_in_view_where_the_picture_shows_it() -> None:
    """One at row 10, column 12 and one at row 20, column 5, both 1.5 m away and as large as 5 pixels each way."""
    sight = {
        "position": torch.tensor([1.5, 0.0, 0.0]).expand(1, 1, 2, 3),
        "pixel": torch.tensor([[10.0, 12.0], [20.0, 5.0]]).view(1, 1, 2, 2),
        "radius": torch.tensor([0.16, 0.2]).view(1, 1, 2),
        "extent": torch.full((1, 1, 2), 2.5),
        "distance": torch.tensor([1.0, 2.0]).view(1, 1, 2),
    }
    depth = torch.full((1, 1, 32, 32, 1), 2.5)
    assert not in_view(sight, depth).any(), "only the wall behind them is to be seen"
    depth[0, 0, 8:13, 10:15] = 1.5 - 0.16
    depth[0, 0, 18:23, 3:8] = 0.7
    assert in_view(sight, depth).flatten().tolist() == [True, False], "something stands before the second"
    depth[0, 0, 18:23, 3:8] = 1.5 - 0.2
    seen = in_view(sight, depth)
    assert seen.all()
    assert nearest(sight, seen).flatten().tolist() == [1, 0]
    assert nearest(sight, ~seen).flatten().tolist() == [0, 0], "nothing is in view"
    depth[0, 0, 18:23, 3:5] = 0.7
    assert in_view(sight, depth).all(), "two thirds of it are to be seen"
    depth[0, 0, 18:23, 3:8], depth[0, 0, 19, 4] = 0.7, 1.5 - 0.2
    small = {**sight, "extent": torch.full((1, 1, 2), 1.2)}
    assert in_view(small, depth).flatten().tolist() == [True, False], "a corner of it"
    aside = {**sight, "pixel": sight["pixel"] - torch.tensor([0.0, 13.0])}
    depth[0, 0, 8:13, 0:2] = 1.5 - 0.16
    assert in_view(aside, depth).flatten().tolist() == [True, False], "its right edge is in the picture"
    assert not in_view({**sight, "extent": 0 * sight["extent"]}, depth).any(), "behind the camera"


def test_single_looks_show_things_in_other_sizes(remembered: Remembered) -> None:
    single = ("sleep.rearranged_steps=1", "sleep.history=0")
    config = only("rearranged", *single, "sleep.variations.rearranged.size=[0.4,2.5]")
    found, before = moments_of(remembered, config, 6), moments_of(remembered, only("rearranged", *single), 6)
    resized = []
    for branch in ("remembered", "varied"):
        radius, was = (moments.sights[branch].unflatten(2, (-1, TOLD))[:, 0, :, 3] for moments in (found, before))
        ratio = (radius / was)[:, : found.change["object_seen"].shape[-1]]
        resized.append(ratio[~torch.isclose(ratio, torch.ones(())).all(1)].flatten())
    told = torch.cat(resized)
    assert 0.4 <= told.min() < 0.8 and 1.25 < told.max() <= 2.5 and len(told.unique()) == len(told), "each its own"
    assert 0 < len(told) < 2 * 6 * 2, "in some looks things are seen as they are"
    several = ("sleep.variations.rearranged.size=[0.4,2.5]",)
    felt, plain = moments_of(remembered, only("rearranged", *several), 6), moments_of(remembered, only("rearranged"), 6)
    assert same(felt.varied, plain.varied), "what is lived on from looks as it is felt"


@pytest.mark.parametrize("family", ["rearranged", "physical", "spatial"])
def test_colours_are_drawn_anew_where_nothing_is_as_it_was(remembered: Remembered, family: str) -> None:
    env, memory = remembered
    plain = only(family, "sleep.variations.physical.elsewhere=1")
    drawn = ("sleep.variations.rearranged.color=0.5", "sleep.variations.rearranged.light=[0.4,0.6]")
    config = only(family, "sleep.variations.physical.elsewhere=1", *drawn)
    generator = seeded()
    memory.sample_slices(6, slice_length(config), generator, snapshot_at=1)
    told = draw(config.variations, family, 6, generator)
    found, before = moments_of(remembered, config, 6), moments_of(remembered, plain, 6)
    if family == "spatial":
        assert told.color is None and same(found.varied, before.varied), "both branches show one scene"
        return
    assert told.color is not None and told.light is not None
    assert 0 < told.color.min() < told.color.max() < 0.5 and 0.4 < told.light.min() < told.light.max() < 0.6
    for branch in (found.remembered, found.varied):
        # Grey walls and floor: what is drawn adds to their red, then all is darker.
        red, green, _ = branch["visual"].float().flatten(1, 3).median(1).values.unbind(-1)
        assert torch.allclose(red - green, 255 * told.color * told.light, atol=12), branch
        assert (green < 0.7 * before.varied["visual"].float().flatten(1, 3).median(1).values[:, 1]).all()
    for name in ("audio", "tactile", "proprioceptive"):
        assert found.varied[name].shape == before.varied[name].shape
    env.relive(memory.sample_slices(6, slice_length(config), seeded(), snapshot_at=1)["snapshot"][:, 1],
               torch.zeros(6, 0, 2), start=True)  # fmt: skip
    assert not env.tint.any() and (env.light == 1).all(), "afterwards all is as it was"


def test_plain_memory_takes_its_share(remembered: Remembered) -> None:
    env, memory = remembered
    config = configured("sleep.replay=0.25").sleep
    found = moments_of(remembered, config, 24)
    assert len(found) == 24
    replayed = (found.match == -1).all(1) & found.forget
    assert replayed.tolist() == [True] * 6 + [False] * 18
    generator = seeded()
    for branch, actions in (("remembered", "actions"), ("varied", "varied_actions")):
        stretch = memory.sample_slices(6, config.history + config.steps, generator)
        for key in sense_names(env):
            assert torch.equal(getattr(found, branch)[key][:6], stretch["observation", key][:, 1:]), (branch, key)
        assert torch.equal(getattr(found, actions)[:6, :, :2], stretch["action"][:, 1:])
    for name, asked in found.asked.items():
        assert not asked[:6].any() and not found.change[name][:6].any(), "two stretches that have nothing in common"
        assert not found.sights["varied"][:6].any() and found.sights["varied"][6:].any(), "nobody tells what is there"
        assert not found.sought["varied"][:6].any() and found.sought["varied"][6:].any(), "nor what is sought"
    whole = moments_of(remembered, configured("sleep.replay=1").sleep, 7)
    assert len(whole) == 7 and not any(asked.any() for asked in whole.asked.values())


@pytest.mark.parametrize("speed", [2.0, 0.5])
def test_what_was_done_between_two_looks(remembered: Remembered, speed: float) -> None:
    _, memory = remembered
    config = only("temporal", f"sleep.variations.temporal.speeds=[{speed}]")
    found = moments_of(remembered, config, 6)
    acted = memory.sample_slices(6, slice_length(config), seeded(), snapshot_at=1)["action"][:, 1:]
    # In force between look k and k + 1, tick by tick: an action is held for 4 ticks.
    ticks = acted.repeat_interleave(4, 1)
    hold = int(4 * speed)
    for look in range(5):
        between = ticks[:, look * hold : (look + 1) * hold]
        if ticks.shape[1] >= (look + 1) * hold:  # beyond, the last one known stands in
            assert torch.allclose(found.varied_actions[:, look, :2], between.mean(1)), look


def test_a_sleep_without_fast_speeds_needs_shorter_stretches() -> None:
    assert slice_length(only("temporal", "sleep.variations.temporal.speeds=[0.5]")) == 6
    assert slice_length(only("temporal", "sleep.variations.temporal.speeds=[0.5,2]")) == 10
    assert slice_length(only("temporal", "sleep.history=0", "sleep.variations.temporal.speeds=[0.5,2]")) == 9


def test_memory_without_a_stretch_that_is_long_enough_is_named(remembered: Remembered) -> None:
    config = replace(only("temporal"), steps=16)
    with pytest.raises(SageError, match=r"memory\.length=32: is longer than every remembered episode"):
        moments_of(remembered, config)


def test_one_seed_draws_the_same_moments(remembered: Remembered) -> None:
    config = configured().sleep
    one, two, other = (moments_of(remembered, config, 24, seed) for seed in (3, 3, 4))
    assert torch.equal(one.varied["visual"], two.varied["visual"]) and same(one.change, two.change)
    assert not torch.equal(one.varied["visual"], other.varied["visual"])
    # One call lives one family: physical, spatial, temporal, physical.
    assert one.asked["log_gravity"][:, 2].view(4, 6).all(1).tolist() == [True, True, False, True]
    assert one.change["log_gravity"][:, 2].view(4, 6).any(1).tolist() == [True, False, False, True]
    assert one.forget.view(4, 6).all(1).tolist() == [False, True, True, False]


def test_the_batch_is_the_chosen_moments(remembered: Remembered) -> None:
    found = moments_of(remembered, configured().sleep, 24)
    which = torch.tensor([20, 3, 13])
    batch = found.batch(which, torch.device("cpu"))
    batch.check(remembered[0].num_objects)
    for name in ("actions", "varied_actions", "match", "forget"):
        assert torch.equal(getattr(batch, name), getattr(found, name)[which]), name
    for name in ("history", "remembered", "varied", "change", "asked", "sights", "sought"):
        assert same(getattr(batch, name), {k: v[which] for k, v in getattr(found, name).items()}), name
    without = moments_of(remembered, configured("sleep.history=0").sleep, 24)
    assert without.remembered["depth"].shape[1] == 5
    make_mind(remembered[0], configured().sleep).objective(without.batch(which, torch.device("cpu")))
