"""What would have been: every branch is its own re-living; pictures of moments that are not lived."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import MAKE, Stage

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim
WORLDS = 2
METAL_BALL = 4


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=WORLDS, **MAKE)
    yield env
    env.close()


@pytest.fixture(scope="module")
def lived(env: SageEnv) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Some moments of driving about: snapshots, the actions that followed, and what was seen at each."""
    generator = torch.Generator().manual_seed(0)
    env.reset(seed=3)
    rows, visual, depth = [], [], []
    for _ in range(3):
        for _ in range(4):
            env.step(torch.rand(WORLDS, 2, generator=generator) * 2 - 1)
        seen = env.observe()["policy"]
        rows.append(env.snapshot())
        visual.append(seen["visual"])
        depth.append(seen["depth"])
    actions = torch.rand(3 * WORLDS, 6, 2, generator=generator) * 2 - 1
    return torch.cat(rows), actions, torch.cat(visual), torch.cat(depth)


def test_branches_are_what_living_them_one_by_one_gives(env: SageEnv, lived: tuple[Tensor, ...]) -> None:
    from sage_envs.counterfactual import Variation

    rows, actions = lived[0][:WORLDS], lived[1][:WORLDS]
    other = torch.full((6, 2), 0.5)
    turned = (0.3, 0.0, 0.0, 0.1, 0.0)
    many = env.counterfactuals(
        rows,
        actions,
        [
            Variation(),
            Variation({"gravity_scale": 0.5, "friction_scale": 2.0}),
            Variation(viewpoint=turned),
            Variation(actions=other),
        ],
    )
    assert many["policy"]["visual"].shape == (WORLDS, 4, 6, 64, 64, 3)
    half, double = torch.full((WORLDS,), 0.5), torch.full((WORLDS,), 2.0)
    alone = [
        env.relive(rows, actions),
        env.relive(rows, actions, gravity_scale=half, friction_scale=double),
        env.relive(rows, actions, viewpoint=torch.tensor([turned] * WORLDS)),
        env.relive(rows, other.expand_as(actions)),
    ]
    for number, branch in enumerate(alone):
        for group, values in branch.items():
            for key, value in values.items():
                assert torch.equal(many[group][key][:, number], value), (number, group, key)
    assert not torch.equal(many["critic"]["robot_pose"][:, 0], many["critic"]["robot_pose"][:, 3])


def test_more_branches_than_worlds_keep_their_places(env: SageEnv) -> None:
    """Five balls let fall from five heights under three gravities: each falls as its own moment and gravity say."""
    from sage_envs.counterfactual import Variation

    stage, rows = Stage(env), []
    heights = (0.6, 0.8, 1.0, 1.2, 1.4)
    for height in heights:
        stage.object(METAL_BALL, (1.0, 0.0, height))
        rows.append(stage.rows[:1].clone())
    factors = (0.25, 0.5, 1.0)
    found = env.counterfactuals(
        torch.cat(rows), torch.zeros(5, 6, 2), [Variation({"gravity_scale": f}) for f in factors], senses=()
    )
    assert found["policy"] == {}
    fallen = torch.tensor(heights).view(5, 1) - found["critic"]["object_pose"][:, :, -1, METAL_BALL, 2]
    expected = 0.5 * 9.81 * torch.tensor(factors) * (6 * env.step_dt) ** 2
    # The engine's own fall is ahead by half a physics step.
    torch.testing.assert_close(fallen, expected.expand(5, 3), rtol=0.1, atol=1e-3)


def test_only_the_senses_asked_for(env: SageEnv, lived: tuple[Tensor, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, actions = lived[0][:WORLDS], lived[1][:WORLDS]
    whole = env.relive(rows, actions)
    monkeypatch.setattr(env, "look", None)
    blind = env.relive(rows, actions, senses=("tactile", "audio"))
    assert list(blind["policy"]) == ["audio", "tactile"]
    for name, value in blind["policy"].items():
        assert torch.equal(value, whole["policy"][name])


def test_pictures_of_moments_are_those_that_were_seen(env: SageEnv, lived: tuple[Tensor, ...]) -> None:
    rows, _, visual, depth = lived
    again_visual, again_depth = env.render_states(rows)
    # Moments come back in another world, whose place in the scene costs digits: a ray may miss an edge it hit.
    assert (visual.float() - again_visual.float()).abs().mean() < 0.3
    assert ((depth - again_depth).abs() < 1e-3).float().mean() > 0.99
    turned = torch.tensor([[0.4, 0.0, 0.0, 0.0, 0.0]]).expand(len(rows), -1)
    assert (visual.float() - env.render_states(rows, turned)[0].float()).abs().mean() > 5.0


def test_many_moments_are_seen_as_each_by_itself(env: SageEnv, lived: tuple[Tensor, ...]) -> None:
    """The next ones are put in place while rays are cast: no picture may show them."""
    rows = lived[0].roll(1, 0).repeat(3, 1)[: 3 * WORLDS - 1]
    views = 0.3 * (torch.rand(len(rows), 5, generator=torch.Generator().manual_seed(0)) - 0.5)
    for given in (None, views):
        visual, depth = env.render_states(rows, given)
        for start in range(0, len(rows), WORLDS):
            part = slice(start, start + WORLDS)
            alone = env.render_states(rows[part], None if given is None else given[part])
            assert torch.equal(visual[part], alone[0]) and torch.equal(depth[part], alone[1])
    assert (visual[:WORLDS].float() - visual[WORLDS : 2 * WORLDS].float()).abs().mean() > 1.0


def test_what_does_not_fit_is_refused(env: SageEnv, lived: tuple[Tensor, ...]) -> None:
    from sage_envs.counterfactual import Variation

    rows, actions = lived[0], lived[1]
    with pytest.raises(ValueError, match="6 snapshots, 5 actions"):
        env.counterfactuals(rows, actions[:5], [Variation()])
    with pytest.raises(ValueError, match="0 variations"):
        env.counterfactuals(rows, actions, [])
    with pytest.raises(ValueError, match=r"variation.actions.shape=\(3, 2\): must be \(6, 2\)"):
        env.counterfactuals(rows, actions, [Variation(actions=torch.zeros(3, 2))])
    with pytest.raises(ValueError, match="snapshot.shape"):
        env.render_states(rows[:, 1:])
    with pytest.raises(ValueError, match="viewpoint.shape"):
        env.render_states(rows, torch.zeros(1, 5))
    bad = rows.clone()
    bad[0, 0] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        env.render_states(bad)
