"""Asleep, remembered moments are lived again under other conditions, and something is learned from that."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from sage_ext.config import SleepConfig, VariationsConfig
from sage_ext.errors import SageError
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.sleep import Moments, consolidate, relive_moments
from sage_ext.sleep.moments import slice_length
from sage_ext.sleep.variations import FAMILIES, draw, schedule

from .ball_world import BallWorld, sense_names
from .conftest import configured, make_mind, seeded

Remembered = tuple[BallWorld, Memory]


def only(family: str, *more: str) -> SleepConfig:
    """A sleep in which one family varies."""
    shares = [f"sleep.variations.{name}.share={float(name == family)}" for name in FAMILIES]
    return configured(*shares, *more).sleep


def moments_of(remembered: Remembered, config: SleepConfig, count: int = 12, seed: int = 0, first: int = 0) -> Moments:
    return relive_moments(*remembered, config, count, first, seeded(seed))


def variations(physical: float, spatial: float, temporal: float) -> VariationsConfig:
    given = {"physical": physical, "spatial": spatial, "temporal": temporal}
    return configured(*(f"sleep.variations.{k}.share={v}" for k, v in given.items())).sleep.variations


def test_variations_stay_in_their_ranges_and_fill_them() -> None:
    config = configured(
        "sleep.variations.physical.gravity_scale=[0.5,1.5]", "sleep.variations.physical.friction_scale=[2,3]"
    ).sleep.variations
    physical, spatial = (draw(config, family, 2000, seeded()) for family in ("physical", "spatial"))
    yaw, shift = math.radians(30), 0.1
    for values, low, high in (
        (physical.gravity, 0.5, 1.5),
        (physical.friction, 2.0, 3.0),
        (spatial.viewpoint[:, 0], -yaw, yaw),
        *((spatial.viewpoint[:, axis], -shift, shift) for axis in (2, 3, 4)),
    ):
        found, wide = values.aminmax(), high - low
        assert low <= found[0] < low + 0.01 * wide and high - 0.01 * wide < found[1] <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * wide)
    together = torch.corrcoef(torch.stack([physical.gravity, physical.friction]))[0, 1]
    assert abs(together) < 0.1, "gravity and friction are drawn apart"
    speeds = Counter(draw(config, "temporal", 3, generator).speed for generator in [seeded()] for _ in range(400))
    assert set(speeds) == {0.5, 2.0} and min(speeds.values()) > 150


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_varies_nothing_of_another(family: str) -> None:
    drawn, rest = draw(configured().sleep.variations, family, 50, seeded(1)), torch.ones(50)
    assert (drawn.family, drawn.viewpoint.shape) == (family, (50, 5))
    assert bool((drawn.gravity == rest).all()) == bool((drawn.friction == rest).all()) == (family != "physical")
    assert bool((drawn.viewpoint == 0).all()) == (family != "spatial")
    assert (drawn.speed == 1.0) == (family != "temporal")


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match=r"family=causal: use one of physical, spatial, temporal"):
        draw(configured().sleep.variations, "causal", 1, seeded())


@pytest.mark.parametrize("shares", [(0.5, 0.25, 0.25), (0.7, 0.2, 0.1), (0.0, 0.5, 0.5), (1.0, 0.0, 0.0)])
def test_the_schedule_keeps_the_shares_over_any_stretch(shares: tuple[float, float, float]) -> None:
    config = variations(*shares)
    whole = schedule(config, 60, 0)
    assert schedule(config, 25, 0) + schedule(config, 35, 25) == whole, "however it is cut"
    for first in range(0, 40, 3):
        for length in (1, 7, 20):
            count = Counter(whole[first : first + length])
            for family, share in zip(FAMILIES, shares, strict=True):
                assert abs(count[family] - share * length) < 2
                assert share > 0 or not count[family]


def test_moments_are_what_memory_holds(remembered: Remembered) -> None:
    env, memory = remembered
    config = only("physical")
    found = moments_of(remembered, config, 9)
    assert len(found) == 9, "the last call takes fewer than there are worlds"
    # The same chance draws the same stretches; one call is 6 moments.
    generator = seeded()
    for part in (slice(0, 6), slice(6, 9)):
        n = part.stop - part.start
        stretch = memory.sample_slices(n, slice_length(config), generator, at_snapshot=True)
        draw(config.variations, "physical", n, generator)
        for key in sense_names(env):
            assert torch.equal(found.remembered[key][part], stretch["observation", key][:, 1:6]), key
        assert torch.equal(found.actions[part, :, :2], stretch["action"][:, 1:6])
    assert (found.actions[..., 2] == 0).all() and (found.varied_actions[..., 2] == 0).all()
    assert torch.equal(found.actions, found.varied_actions)


def test_a_physical_moment_differs_by_its_physics_alone(remembered: Remembered) -> None:
    env, memory = remembered
    ranges = ("sleep.variations.physical.gravity_scale=[1.5,2]", "sleep.variations.physical.friction_scale=[0.2,0.6]")
    config = only("physical", *ranges)
    found = moments_of(remembered, config)
    generator = seeded()
    for first in (0, 6):
        stretch = memory.sample_slices(6, slice_length(config), generator, at_snapshot=True)
        drawn = draw(config.variations, "physical", 6, generator)
        factors = torch.stack([drawn.gravity, drawn.friction], 1)
        assert torch.allclose(found.change[first : first + 6].exp(), factors)
        # A world in which that gravity and that friction were in force from the start says the same.
        rows = stretch["snapshot"][:, 0].clone()
        rows[:, 28] *= drawn.gravity
        rows[:, 29] *= drawn.friction
        assert (rows[:, 28] < -14).all() and (rows[:, 29] <= 0.6).all()
        lived = env.relive(rows, stretch["action"][:, :5])["policy"]
        for key in sense_names(env):
            assert torch.equal(found.varied[key][first : first + 6], lived[key]), key
    assert found.asked.all() and (found.match == torch.arange(5)).all()
    for key in ("visual", "proprioceptive"):
        other = (found.varied[key] != found.remembered[key]).flatten(1).any(1)
        assert other.float().mean() > 0.9, key


def test_without_a_change_the_moment_repeats_itself(remembered: Remembered) -> None:
    ranges = ("sleep.variations.physical.gravity_scale=[1,1]", "sleep.variations.physical.friction_scale=[1,1]")
    found = moments_of(remembered, only("physical", *ranges))
    assert (found.change == 0).all()
    for key, value in found.varied.items():
        assert torch.equal(value, found.remembered[key]), key


def test_a_spatial_moment_is_the_same_physics_seen_from_elsewhere(remembered: Remembered) -> None:
    found = moments_of(remembered, only("spatial"))
    for key in ("audio", "tactile", "proprioceptive"):
        assert torch.equal(found.varied[key], found.remembered[key]), key
    for key in ("visual", "depth"):
        assert (found.varied[key] != found.remembered[key]).flatten(1).any(1).all(), key
    assert (found.change == 0).all() and found.asked.all(), "that nothing changed is to be read, too"
    assert (found.match == torch.arange(5)).all()
    found = moments_of(
        remembered, only("spatial", "sleep.variations.spatial.yaw_deg=0", "sleep.variations.spatial.shift_m=0")
    )
    assert torch.equal(found.varied["visual"], found.remembered["visual"])


@pytest.mark.parametrize(("speed", "match"), [(2.0, [1, 3, -1, -1, -1]), (0.5, [-1, 0, -1, 1, -1])])
def test_a_temporal_moment_is_matched_instant_by_instant(
    remembered: Remembered, speed: float, match: list[int]
) -> None:
    found = moments_of(remembered, only("temporal", f"sleep.variations.temporal.speeds=[{speed}]"))
    assert found.match.tolist() == [match] * 12
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
    assert (found.change == 0).all() and not found.asked.any()
    assert (found.actions[..., 2] == 0).all() and (found.varied_actions[..., 2] == math.log2(speed)).all()


@pytest.mark.parametrize("speed", [2.0, 0.5])
def test_what_was_done_between_two_looks(remembered: Remembered, speed: float) -> None:
    _, memory = remembered
    config = only("temporal", f"sleep.variations.temporal.speeds=[{speed}]")
    found = moments_of(remembered, config, 6)
    acted = memory.sample_slices(6, slice_length(config), seeded(), at_snapshot=True)["action"]
    # In force between look k and k + 1, tick by tick: an action is held for 4 ticks.
    ticks = torch.cat([acted.repeat_interleave(4, 1), acted[:, -1:].repeat_interleave(4, 1)], 1)
    hold = int(4 * speed)
    for look in range(5):
        between = ticks[:, (look + 1) * hold : (look + 2) * hold]
        if acted.shape[1] * 4 >= (look + 2) * hold:  # beyond, the last one known stands in
            assert torch.allclose(found.varied_actions[:, look, :2], between.mean(1)), look


def test_a_sleep_without_fast_speeds_needs_shorter_stretches() -> None:
    assert slice_length(only("temporal", "sleep.variations.temporal.speeds=[0.5]")) == 6
    assert slice_length(only("temporal", "sleep.variations.temporal.speeds=[0.5,2]")) == 11


def test_memory_without_a_stretch_that_is_long_enough_is_named(remembered: Remembered) -> None:
    config = replace(only("temporal"), steps=15)
    with pytest.raises(SageError, match=r"memory\.length=31: is longer than every remembered episode"):
        moments_of(remembered, config)


def test_one_seed_draws_the_same_moments(remembered: Remembered) -> None:
    config = configured().sleep
    one, two, other = (moments_of(remembered, config, 24, seed) for seed in (3, 3, 4))
    assert torch.equal(one.varied["visual"], two.varied["visual"]) and torch.equal(one.change, two.change)
    assert not torch.equal(one.varied["visual"], other.varied["visual"])
    # One call lives one family: physical, spatial, temporal, physical.
    assert one.asked[:, 0].view(4, 6).all(1).tolist() == [True, True, False, True]
    assert one.change[:, 0].view(4, 6).any(1).tolist() == [True, False, False, True]


def test_the_batch_is_the_chosen_moments(remembered: Remembered) -> None:
    found = moments_of(remembered, configured().sleep, 24)
    which = torch.tensor([20, 3, 13])
    batch = found.batch(which, torch.device("cpu"))
    batch.check()
    for name in ("actions", "varied_actions", "change", "asked", "match"):
        assert torch.equal(getattr(batch, name), getattr(found, name)[which]), name
    for name in ("remembered", "varied"):
        assert torch.equal(getattr(batch, name)["depth"], getattr(found, name)["depth"][which])


def test_sleep_learns_what_a_constant_cannot(remembered: Remembered) -> None:
    """120 moments, 50 updates: the loss falls round by round, on moments that were never learned from too."""
    env, _ = remembered
    config = configured("sleep.batch=12", "sleep.lr=3e-4").sleep
    found, unseen = moments_of(remembered, config, 120), moments_of(remembered, config, 60, seed=9)
    exam = unseen.batch(torch.arange(60), torch.device("cpu"))

    def examine(mind: Mind) -> dict[str, float]:
        mind.objective.eval()
        with torch.no_grad():
            return {k: float(v) for k, v in mind.objective(exam, seeded()).items()}

    fresh, mind, generator = make_mind(env, config), make_mind(env, config), seeded()
    fresh.objective.encoder.calibrate(found.remembered)
    rounds = [consolidate(mind, found, 12, generator)]
    first = examine(mind)
    rounds += [consolidate(mind, found, 12, generator) for _ in range(4)]
    losses, before, after = [r["loss"] for r in rounds], examine(fresh), examine(mind)
    assert losses[-1] == min(losses) and losses[-1] < 0.85 * losses[0]
    assert losses[-1] < 0.5 * rounds[-1]["collapsed"]
    assert after["loss"] < 0.95 * first["loss"]
    assert after["loss"] < 0.3 * float(mind.objective.collapsed(exam)["loss"])
    assert before["skill"] == 0 and after["skill"] > 0.02, "what comes is better known than from what is"
    assert after["invariance"] < 0.8 * before["invariance"]


def test_what_was_gone_through_is_counted(remembered: Remembered) -> None:
    env, _ = remembered
    config = configured().sleep
    found, mind = moments_of(remembered, config, 22), make_mind(env, config)
    assert mind.learned == {"consolidations": 0, "updates": 0, "calibrated": False}
    told: list[int] = []
    losses = consolidate(mind, found, 8, seeded(), lambda count, scalars: told.append(count))
    assert told == [8, 8, 6]
    assert (mind.learned["consolidations"], mind.learned["updates"]) == (22, 3)
    consolidate(mind, found, 20, seeded(), lambda count, scalars: told.append(count))
    assert told[3:] == [22], "too few are left over for an update of their own"
    assert (mind.learned["consolidations"], mind.learned["updates"]) == (44, 4)
    terms = {"prediction", "calibration", "regularity", "invariance", "physics", "skill"}
    assert set(losses) == {"loss", "collapsed"} | terms


def test_each_moment_is_learned_from_once(remembered: Remembered) -> None:
    env, _ = remembered
    found, mind, seen = moments_of(remembered, configured().sleep, 18), make_mind(env, configured().sleep), []
    forward = mind.objective.forward

    def watched(batch, generator=None):
        seen.append(batch.varied["proprioceptive"])
        return forward(batch, generator)

    mind.objective.forward = watched  # type: ignore[method-assign]
    consolidate(mind, found, 4, seeded())
    rows = sorted(map(tuple, torch.cat(seen).flatten(1).tolist()))
    assert rows == sorted(map(tuple, found.varied["proprioceptive"].flatten(1).tolist()))
    assert not torch.equal(torch.cat(seen), found.varied["proprioceptive"]), "in an order of chance"


def test_a_mind_finds_its_scale_once(remembered: Remembered) -> None:
    env, _ = remembered
    config = configured().sleep
    found, mind = moments_of(remembered, config, 12), make_mind(env, config)
    calls: list[dict[str, torch.Tensor]] = []
    calibrate = mind.objective.encoder.calibrate

    def watched(observation: dict[str, torch.Tensor]) -> None:
        calls.append(observation)
        calibrate(observation)

    mind.objective.encoder.calibrate = watched  # type: ignore[method-assign, assignment]
    raw = mind.encode(found.remembered).flatten(0, 1).std(0).mean()
    consolidate(mind, found, 12, seeded())
    scaled = mind.encode(found.remembered).flatten(0, 1).std(0).mean()
    assert raw < 0.2 and 0.7 < scaled < 1.3
    consolidate(mind, found, 12, seeded())
    assert len(calls) == 1 and mind.learned["calibrated"]
    assert torch.equal(calls[0]["visual"], found.remembered["visual"])


def test_one_seed_learns_the_same(remembered: Remembered) -> None:
    env, _ = remembered
    config = configured("sleep.sense_dropout=0.3").sleep
    found, ends = moments_of(remembered, config, 12), []
    for seed in (1, 1, 2):
        torch.manual_seed(len(ends))  # nothing may come from the global source of chance
        mind = make_mind(env, config)
        losses = consolidate(mind, found, 4, seeded(seed))
        ends.append((losses, torch.cat([p.detach().flatten() for p in mind.objective.parameters()])))
    assert ends[0][0] == ends[1][0] and torch.equal(ends[0][1], ends[1][1])
    assert ends[0][0] != ends[2][0]
