"""Dreams break the laws they say, by what the simulator itself tells; their twins do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from .worlds import MAKE

if TYPE_CHECKING:
    from sage_envs.dreams import Dream
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim
WORLDS, LOOKS, ROUNDS = 16, 16, 2
G = 9.81


@dataclass
class Scene:
    """One dream: its scenes' senses and ground truth, each (T, ...)."""

    impossible: dict[str, Tensor]
    twin: dict[str, Tensor]
    broken: dict[str, Tensor]
    truth: dict[str, Tensor]
    at: int
    body: int
    magnitude: float

    def track(self, truth: dict[str, Tensor], name: str = "object_pose") -> Tensor:
        """Position or velocity of the object that breaks the law (T, 3)."""
        return truth[name][:, self.body, :3]


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=WORLDS, resolution=32, **MAKE)
    yield env
    env.close()


@pytest.fixture(scope="module")
def moments(env: SageEnv) -> tuple[Tensor, Tensor]:
    """Snapshots, and actions that change half way."""
    generator = torch.Generator().manual_seed(1)
    env.reset(seed=2)
    for _ in range(20):
        env.command(torch.rand(WORLDS, 2, generator=generator) * 2 - 1)
        env.advance(env.cfg.decimation)
    actions = (torch.rand(WORLDS, 1, 2, generator=generator) - 0.5).repeat(1, LOOKS, 1)
    actions[:, LOOKS // 2 :] *= -1.0
    return env.snapshot(), actions


@pytest.fixture(scope="module")
def dreams(env: SageEnv, moments: tuple[Tensor, Tensor]) -> dict[str, list[Scene]]:
    """Valid dreams by kind; each is tried a few times."""
    generator = torch.Generator().manual_seed(0)
    found: dict[str, list[Scene]] = {kind: [] for kind in env.dream_kinds}
    kinds = list(env.dream_kinds)

    def try_some(some: list[str]) -> None:
        dream = env.dream(*moments, some, difficulty=0.3, generator=generator)
        for i in dream.valid.nonzero().squeeze(1).tolist():
            found[f"{dream.law[i]}/{dream.kind[i]}"].append(_scene(dream, i))

    for number in range(ROUNDS):
        # Every kind in another world each time: not every moment is fit.
        turned = kinds[5 * number :] + kinds[: 5 * number]
        for some in (turned[:WORLDS], turned[WORLDS:]):
            try_some(some)
    for _ in range(3):
        if missing := [kind for kind in kinds if not found[kind]]:
            try_some((missing * WORLDS)[:WORLDS])
    return found


def _scene(dream: Dream, i: int) -> Scene:
    groups = (dream.impossible, dream.twin, dream.impossible_truth, dream.twin_truth)
    one: list[Any] = [{k: v[i] for k, v in group.items()} for group in groups]
    return Scene(*one, int(dream.at[i]), int(dream.object[i]), float(dream.magnitude[i]))


def each(dreams: dict[str, list[Scene]], *kinds: str) -> list[Scene]:
    """Dreams of some kinds, of which there must be."""
    for kind in kinds:
        assert dreams[kind], f"no {kind} was valid"
    return [scene for kind in kinds for scene in dreams[kind]]


def acceleration(velocity: Tensor, first: int) -> float:
    """Vertical acceleration over the looks from ``first`` on [m/s^2]."""
    rise = velocity[first:, 2]
    return float((rise[-1] - rise[0]) / ((len(rise) - 1) / 30))


def test_most_moments_that_are_foreseen_are_fit(env: SageEnv, dreams: dict[str, list[Scene]], moments: Any) -> None:
    assert len(env.dream_kinds) == 32
    assert sum(map(len, dreams.values())) > 0.45 * ROUNDS * 2 * WORLDS
    assert env.foresee(moments[0], ["physics/vanish"] * WORLDS).float().mean() > 0.5


def test_both_are_the_same_up_to_the_violation_and_not_after(dreams: dict[str, list[Scene]]) -> None:
    for kind, scenes in dreams.items():
        for scene in scenes:
            for one, two in ((scene.impossible, scene.twin), (scene.broken, scene.truth)):
                for name in two:
                    assert torch.equal(one[name][: scene.at], two[name][: scene.at]), (kind, name)
            later = [not torch.equal(scene.impossible[k][scene.at :], v[scene.at :]) for k, v in scene.twin.items()]
            assert any(later), kind
            assert all(torch.isfinite(v.float()).all() for v in scene.impossible.values())


def test_gravity_is_another_one(dreams: dict[str, list[Scene]]) -> None:
    for kind, want in (("float", 0.0), ("fall-up", G), ("fall-fast", None)):
        for scene in each(dreams, f"physics/{kind}"):
            assert acceleration(scene.track(scene.truth, "object_velocity"), scene.at) == pytest.approx(-G, rel=0.03)
            broken = acceleration(scene.track(scene.broken, "object_velocity"), scene.at)
            assert broken == pytest.approx(-G - scene.magnitude if want is None else want, abs=0.3)
            assert abs(broken + G) == pytest.approx(scene.magnitude, abs=0.3)


def test_momentum_is_lost_and_comes_from_nothing(dreams: dict[str, list[Scene]]) -> None:
    for scene in each(dreams, "physics/stop-dead", "physics/halt", "blend/blend-halt"):
        before = scene.track(scene.broken, "object_velocity")[scene.at - 1].norm()
        assert before == pytest.approx(scene.magnitude, rel=0.05) and before > 0.1
        assert scene.track(scene.broken, "object_velocity")[scene.at :].norm(dim=1).max() < 0.02
        assert scene.track(scene.truth, "object_velocity")[scene.at].norm() > 0.5 * before
    for scene in each(dreams, "physics/stop-dead"):
        assert scene.broken["object_contact_force"][scene.at :, scene.body].abs().max() < 1e-3, "nothing holds it"
    for scene in each(dreams, "physics/from-nothing"):
        assert scene.track(scene.truth, "object_velocity").norm(dim=1).max() < 0.05
        after = scene.track(scene.broken, "object_velocity")[scene.at].norm()
        assert after == pytest.approx(scene.magnitude, rel=0.2)


def test_objects_come_and_go(dreams: dict[str, list[Scene]]) -> None:
    for kind, gone in (("vanish", True), ("appear", False)):
        for scene in each(dreams, f"physics/{kind}", f"blend/blend-{kind}"):
            away = scene.track(scene.broken)[:, 2] < -20.0
            assert away[scene.at :].all() == gone and away[: scene.at].any() != gone
            assert (scene.track(scene.truth)[:, 2] < -20.0).all() != gone
            if not gone:
                louder = scene.impossible["audio"][scene.at] - scene.twin["audio"][scene.at]
                moving = scene.track(scene.broken, "object_velocity")[scene.at].norm() > 0.05
                assert moving or louder.max() < 6.0, "it makes no sound of arriving"


def test_things_pass_through_each_other_and_bounce_off_nothing(dreams: dict[str, list[Scene]]) -> None:
    for scene in each(dreams, "physics/pass-through"):
        shown = int(scene.broken["object_feigned"][-1].argmax())
        where = scene.truth["object_pose"][0, shown, :3]
        apart = (scene.track(scene.broken)[:, :2] - where[:2]).norm(dim=1)
        sizes = scene.truth["object_size"][0, :, 0] / 2
        assert apart[scene.at :].min() < 0.8 * (sizes[shown] + sizes[scene.body]), "it is inside the other"
        met = scene.truth["object_pose"][:, [shown, scene.body], :2].diff(dim=1).norm(dim=-1)
        assert met.min() > 0.9 * (sizes[shown] + sizes[scene.body]), "its twin never is"
        assert (scene.truth["object_velocity"][scene.at :, shown, :3].norm(dim=1) > 0.02).any(), "and pushes it"
    for scene in each(dreams, "physics/rebound"):
        turned = (
            scene.track(scene.broken, "object_velocity")[scene.at :]
            - scene.track(scene.broken, "object_velocity")[scene.at - 1]
        )
        kept = (
            scene.track(scene.truth, "object_velocity")[scene.at :]
            - scene.track(scene.truth, "object_velocity")[scene.at - 1]
        )
        assert turned.norm(dim=1).max() > 2 * kept.norm(dim=1).max() + 0.05


def test_objects_become_others(dreams: dict[str, list[Scene]]) -> None:
    told = {"colour": "object_color", "material": "object_voice", "weight": "object_mass", "shape": "object_pose"}
    for what, name in told.items():
        for how in ("seen", "hidden"):
            for scene in each(dreams, f"substitution/{what}-{how}"):
                broken, truth = (t[name][:, scene.body].reshape(LOOKS, -1) for t in (scene.broken, scene.truth))
                jump = (broken[scene.at] - broken[scene.at - 1]).norm()
                assert jump > 0.05 and jump > 5 * (truth[scene.at] - truth[scene.at - 1]).norm()
                if what == "weight":
                    ratio = float(broken[scene.at] / broken[scene.at - 1])
                    assert ratio == pytest.approx(scene.magnitude, rel=1e-3)


def test_what_is_hidden_changes_while_the_camera_looks_away(dreams: dict[str, list[Scene]]) -> None:
    for scene in each(dreams, "substitution/colour-hidden", "substitution/shape-hidden"):
        for look in (scene.at - 1, scene.at):
            same = scene.impossible["visual"][look].int() - scene.twin["visual"][look].int()
            assert (same.abs() > 3).float().mean() < 0.02, "nothing of it is in the picture"
        assert (scene.impossible["visual"][-1].int() - scene.twin["visual"][-1].int()).abs().max() > 20


def test_sizes_change(dreams: dict[str, list[Scene]]) -> None:
    for scene in each(dreams, "scale/grow", "scale/shrink", "blend/blend-grow"):
        size = scene.broken["object_size"][:, scene.body, 0]
        assert float(size[scene.at] / size[scene.at - 1]) == pytest.approx(scene.magnitude, rel=1e-3)
        assert (size[scene.at - 1] == scene.truth["object_size"][:, scene.body, 0]).all()
        seen = (scene.impossible["depth"][scene.at] - scene.twin["depth"][scene.at]).abs()
        assert seen.max() > 0.03


def test_time_runs_backwards(env: SageEnv, dreams: dict[str, list[Scene]]) -> None:
    for scene in each(dreams, "reversal/reversal"):
        at, back = scene.at, LOOKS - scene.at
        for name in ("object_pose", "robot_pose"):
            assert torch.equal(scene.broken[name][at:], scene.truth[name][at - back : at].flip(0))
        velocity = scene.truth["object_velocity"][at - back : at].flip(0)
        assert torch.equal(scene.broken["object_velocity"][at:], -velocity)
        felt = env.proprioceptive_layout["base_linear_velocity"]
        before = scene.twin["proprioceptive"][at - back : at, felt].flip(0)
        assert torch.equal(scene.impossible["proprioceptive"][at:, felt], -before)


def test_effects_come_before_their_causes(env: SageEnv, dreams: dict[str, list[Scene]]) -> None:
    for scene in each(dreams, "causal/early-motion"):
        moves = [
            int((scene.track(t, "object_velocity").norm(dim=1) > 0.02).float().argmax())
            for t in (scene.broken, scene.truth)
        ]
        assert moves[0] == scene.at and (moves[1] - moves[0]) / 30 == pytest.approx(scene.magnitude, abs=1e-3)
    for scene in each(dreams, "causal/early-sound"):
        lead, at = round(scene.magnitude * 30), scene.at
        half = scene.truth["object_size"][0, scene.body, 2] / 2
        assert scene.track(scene.broken)[at + lead - 1, 2] > half + 0.01, "it is still in the air"
        heard, later = scene.impossible["audio"][at + 1 : LOOKS - lead], scene.twin["audio"][at + 1 + lead :]
        torch.testing.assert_close(heard, later, atol=1e-3, rtol=0.0)
        sooner = scene.impossible["audio"][at : at + lead] - scene.twin["audio"][at : at + lead]
        assert sooner.max() > 6.0, "its landing is heard"
        assert torch.equal(scene.impossible["visual"], scene.twin["visual"])
    for scene in each(dreams, "causal/wheels-follow"):
        lag, wheels = round(scene.magnitude * 30), env.proprioceptive_layout["wheel_speed"]
        felt = scene.twin["proprioceptive"][:, wheels]
        assert torch.equal(scene.impossible["proprioceptive"][scene.at :, wheels], felt[scene.at - lag : LOOKS - lag])
        body = env.proprioceptive_layout["base_linear_velocity"]
        assert torch.equal(scene.impossible["proprioceptive"][:, body], scene.twin["proprioceptive"][:, body])


def test_what_one_kind_shows_in_the_end_another_shows_without_breaking_a_law(env: SageEnv, moments: Any) -> None:
    """The same moment and chance: ends and beginnings change places between the kinds of a couple."""
    for one, two in (("physics/vanish", "physics/appear"), ("physics/halt", "physics/from-nothing")):
        first, second = (
            env.dream(*moments, [kind] * WORLDS, generator=torch.Generator().manual_seed(5)) for kind in (one, two)
        )
        both = first.valid & second.valid & (first.at == second.at)
        assert both.sum() > 3
        for a, b in ((first, second), (second, first)):
            ends = [scene["visual"][both, -1].int() for scene in (a.impossible, b.twin, a.twin)]
            gap, other = ((ends[0] - end).abs().float().mean() for end in ends[1:])
            # A rolling object does not come to lie to the pixel where it was to be.
            assert gap < 0.4 * other


def test_afterwards_everything_looks_sounds_and_weighs_as_before(env: SageEnv, moments: Any) -> None:
    actions = torch.zeros(WORLDS, 4, 2)
    before = env.relive(moments[0], actions)
    kinds = ["substitution/colour-seen", "substitution/material-seen", "substitution/weight-seen", "scale/grow"]
    env.dream(*moments, (kinds * WORLDS)[:WORLDS], generator=torch.Generator().manual_seed(6))
    after = env.relive(moments[0], actions)
    for group in ("policy", "critic"):
        for name, value in before[group].items():
            assert torch.equal(after[group][name], value), name


def test_one_seed_dreams_the_same(env: SageEnv, moments: Any) -> None:
    kinds = (["physics/pass-through", "physics/float", "causal/early-motion"] * WORLDS)[:WORLDS]
    one, two = (env.dream(*moments, kinds, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one.valid, two.valid) and torch.equal(one.place, two.place)
    for name, value in one.impossible.items():
        assert torch.equal(two.impossible[name], value), name


def test_bad_requests_are_refused(env: SageEnv, moments: Any) -> None:
    rows, actions = moments
    with pytest.raises(ValueError, match="kind=physics/flaot: unknown; use one of physics/float"):
        env.dream(rows, actions, ["physics/flaot"] * WORLDS)
    with pytest.raises(ValueError, match=r"dream.looks=8: must be at least 12"):
        env.dream(rows, actions[:, :8], ["physics/float"] * WORLDS)
    with pytest.raises(ValueError, match=r"dream.difficulty=1.5: must lie in 0..1"):
        env.dream(rows, actions, ["physics/float"] * WORLDS, difficulty=1.5)
