"""Domain randomisation: drawn for each world at each reset, in range, from the seed, seen and felt."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import MAKE, Stage, assert_stock_pictures

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

KNOBS = ("static_friction_scale", "dynamic_friction_scale", "restitution_scale", "mass_scale", "strength_scale")


def wide() -> dict:
    from sage_ext.config import load_config

    return dataclasses.asdict(load_config(["randomisation=wide"]).randomisation)


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=4, randomisation=wide(), **MAKE)
    yield env
    env.close()


def drawn(env: SageEnv) -> dict[str, Tensor]:
    """All that differs from world to world."""
    found = {name: env.physics.get(name) for name in (*KNOBS, "gravity")}
    return {**found, "viewpoint": env.viewpoint.clone(), "colors": env.randomiser.palette.get()}


def test_each_world_draws_in_range_and_anew_at_each_reset(env: SageEnv) -> None:
    env.reset(seed=0)
    first, spans = drawn(env), wide()
    for name in KNOBS:
        low, high = spans[name]
        assert ((first[name] >= low) & (first[name] <= high)).all()
        assert len(first[name].unique()) == 4
    pull = first["gravity"][:, 2] / -9.81
    assert ((pull >= 0.5) & (pull <= 1.5)).all()
    assert (first["viewpoint"][:, 0].abs() <= math.radians(10.0)).all()
    assert (first["viewpoint"][:, 2:].abs() <= 0.05).all()
    torch.testing.assert_close(first["static_friction_scale"], first["dynamic_friction_scale"])
    torch.testing.assert_close(env.physics.in_force("mass_scale")["objects"][:, 4], 2.5 * first["mass_scale"])
    env._reset_idx(torch.tensor([1, 3]))
    second = drawn(env)
    for name, value in first.items():
        assert torch.equal(second[name][[0, 2]], value[[0, 2]])
        assert not torch.equal(second[name][[1, 3]], value[[1, 3]])


def test_the_same_seed_draws_the_same(env: SageEnv) -> None:
    env.reset(seed=5)
    first, seen = drawn(env), env.look()[0]
    env.reset(seed=6)
    assert not torch.equal(drawn(env)["mass_scale"], first["mass_scale"])
    env.reset(seed=5)
    again = drawn(env)
    for name, value in first.items():
        assert torch.equal(again[name], value)
    assert torch.equal(env.look()[0], seen)


def test_a_moment_keeps_its_look_and_its_physics(env: SageEnv) -> None:
    env.reset(seed=1)
    # The light's direction is the scene's, and no part of a world's moment.
    env.randomiser.palette.turn_light(0.0, 0.0)
    rows, before, (seen, depth) = env.snapshot(), drawn(env), env.look()
    env.reset(seed=2)
    env.randomiser.palette.turn_light(0.0, 0.0)
    assert (env.look()[0] != seen).any()
    env.restore(rows)
    for name, value in before.items():
        torch.testing.assert_close(drawn(env)[name], value, rtol=0.0, atol=1e-6)
    now, far = env.look()
    assert (now.int() - seen.int()).abs().max() <= 1
    torch.testing.assert_close(far, depth, rtol=0.0, atol=1e-4)
    again, _ = env.render_states(rows)
    assert (again.int() - seen.int()).abs().max() <= 1


def test_brightness_is_of_each_world(env: SageEnv) -> None:
    stage = Stage(env)
    stage.begin()
    env.viewpoint[:] = 0.0
    palette, every = env.randomiser.palette, torch.arange(4)
    palette.mix(every, 0.0, torch.ones(4), env.generator)
    plain = (env.look()[0].float() / 255).pow(2.2)
    light = torch.tensor([1.0, 0.5, 0.25, 0.75])
    palette.mix(every, 0.0, light, env.generator)
    seen = (env.look()[0].float() / 255).pow(2.2)
    # What the picture shows is shaded linearly; sky is not part of a world's surfaces, and 8 bits round.
    shaded = (plain > 0.02) & (plain < 0.9)
    for world in range(4):
        ratio = (seen[world] / plain[world])[shaded[world]].median()
        assert ratio.item() == pytest.approx(light[world].item(), rel=0.06)


def test_the_goal_keeps_its_colour(env: SageEnv) -> None:
    palette = env.randomiser.palette
    before = palette._nominal[0]
    palette.mix(torch.arange(4), 1.0, torch.ones(4), env.generator)
    kept = ((palette.get()[0] - before).abs() < 1e-3).all(dim=1)
    assert kept.sum() == 1
    assert before[kept][0, 1] > 0.9


def test_the_light_turns_for_all(env: SageEnv) -> None:
    Stage(env).begin()
    env.randomiser.palette.turn_light(0.0, 0.0)
    plain = env.look()[0]
    env.randomiser.palette.turn_light(1.5, -0.5)
    assert ((env.look()[0] != plain).flatten(1).float().mean(dim=1) > 0.05).all()
    env.randomiser.palette.turn_light(0.0, 0.0)
    assert torch.equal(env.look()[0], plain)


def test_what_is_off_draws_nothing(env: SageEnv) -> None:
    from sage_envs.randomisation import RandomisationCfg, Randomiser

    ranges, env.cfg.randomisation = env.cfg.randomisation, RandomisationCfg()
    try:
        before = env.generator.get_state()
        off = Randomiser(env)
        off.draw(torch.arange(4))
        assert torch.equal(env.generator.get_state(), before)
        assert off.palette is None
    finally:
        env.cfg.randomisation = ranges


def test_colours_lights_and_viewpoints_are_seen_as_by_the_stock_renderer(env: SageEnv) -> None:
    for seed in range(3):
        env.reset(seed=seed)
        assert_stock_pictures(env)
