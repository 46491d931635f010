"""Coherence is calibrated: uniform over what is possible, near 0 for what is absurd."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from sage_ext.context import calibration
from sage_ext.dream import calibrate_on_memory
from sage_ext.environment import Observation
from sage_ext.errors import SageError
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.surprise import Judge, assess, calibrate, surprise
from sage_ext.surprise.calibration import conformal

from .ball_world import BallWorld, sense_names
from .conftest import configured, lived, make_mind, seeded

LOOKS, START = 12, 6
Remembered = tuple[BallWorld, Memory]


@dataclass(repr=False)
class Scenes:
    """What was sensed, and done after it. Not printed: pytest would take longer for that than for the test."""

    senses: Observation
    actions: Tensor


def scenes_of(memory: Memory, senses: list[str]) -> Scenes:
    """Four stretches of each episode."""
    places = [(e.id, t) for e in memory.episodes for t in (0, 5, 10, 15)]
    got = memory.slices_at([p[0] for p in places], [p[1] for p in places], LOOKS + 1, ["observation", "action"])
    return Scenes({k: got["observation", k][:, 1:] for k in senses}, got["action"][:, 1:])


@pytest.fixture(scope="module")
def known(remembered: Remembered) -> Scenes:
    """96 scenes to calibrate on."""
    return scenes_of(remembered[1], sense_names(remembered[0]))


@pytest.fixture(scope="module")
def fresh(remembered: Remembered, tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    """96 undisturbed scenes of the same worlds that no mind has met."""
    env = remembered[0]
    with lived(tmp_path_factory.mktemp("fresh") / "memory", env, 24, seed=7) as memory:
        return scenes_of(memory, sense_names(env))


@pytest.fixture(scope="module")
def untrained(remembered: Remembered, known: Scenes) -> Mind:
    """A mind that knows no more than the scale of what it senses."""
    mind = make_mind(remembered[0], configured().sleep)
    calibration.calibrate(mind.objective.encoder, {k: v[:40] for k, v in known.senses.items()})
    return mind


@pytest.fixture(params=["untrained", "trained"])
def mind(request: pytest.FixtureRequest) -> Mind:
    """Either mind."""
    chosen: Mind = request.getfixturevalue(request.param)
    return chosen


def judge_of(mind: Mind, known: Scenes, seed: int = 0) -> Judge:
    """The episodes of two thirds teach what comes, the others what surprise is usual."""
    order = (
        4 * torch.randperm(len(known.actions) // 4, generator=seeded(seed)).unsqueeze(1) + torch.arange(4)
    ).flatten()
    senses = {k: v[order] for k, v in known.senses.items()}
    return calibrate(mind, senses, known.actions[order], START, 64)


def looks_of(mind: Mind, judge: Judge, scenes: Scenes) -> Tensor:
    return surprise(mind, judge, scenes.senses, scenes.actions).looks


def coherence_of(mind: Mind, known: Scenes, scenes: Scenes) -> Tensor:
    return assess(mind, judge_of(mind, known), scenes.senses, scenes.actions, START)[0]


def noisy(scenes: Scenes, *senses: str, first: int = 0) -> Scenes:
    """Noise in place of what some senses told, as strong as they ever are."""
    generator, out = seeded(3), dict(scenes.senses)
    for key in senses:
        value = out[key].clone()
        luck = torch.rand(value[:, first:].shape, generator=generator)
        low, high = float(value.min()), float(value.max())
        value[:, first:] = (low + (high - low) * luck).to(value.dtype)
        out[key] = value
    return Scenes(out, scenes.actions)


def test_coherence_falls_with_surprise_and_stays_within_0_and_1() -> None:
    usual = torch.randn(60, generator=seeded()).sort().values
    found = conformal(torch.linspace(-6, 6, 500), usual)
    assert bool((found.diff() <= 0).all()) and bool((found[150:350].diff() < 0).all())
    assert 0 < found.min() < 0.02 and 0.98 < found.max() < 1
    assert float(conformal(usual.median().view(1), usual)) == pytest.approx(0.5, abs=0.02)


def test_coherence_is_a_share_of_what_was_possible() -> None:
    """The chance that something possible surprises more: what a p-value is."""
    usual = torch.randn(2000, generator=seeded()).sort().values
    for score in (-1.5, 0.0, 1.0, 2.0):
        more = float((torch.randn(20_000, generator=seeded(1)) >= score).float().mean())
        assert float(conformal(torch.tensor([score]), usual)) == pytest.approx(more, abs=0.03)


def test_scores_that_are_all_equal_divide_by_nothing() -> None:
    found = conformal(torch.tensor([-1.0, 0.0, 1.0]), torch.zeros(10))
    assert bool(found.isfinite().all()) and found[0] > 0.9 > found[1] > 0.1 > found[2]


def test_fresh_scenes_are_as_coherent_as_known_ones(mind: Mind, known: Scenes, fresh: Scenes) -> None:
    """About uniform: mean 0.5, spread 0.29, a tenth below a tenth.

    8 episodes tell what is usual, hence the slack: the share beyond the least of 8 is a Beta(1, 8), 0.39 in 2 %.
    """
    judges = [judge_of(mind, known, seed) for seed in range(3)]
    found = torch.cat([assess(mind, judge, fresh.senses, fresh.actions, START)[0] for judge in judges])
    assert found.shape == (288,) and found.min() > 0 and found.max() < 1
    assert float(found.mean()) == pytest.approx(0.5, abs=0.15)
    assert 0.2 < found.std() < 0.36
    assert 0.02 < (found < 0.1).float().mean() < 0.4
    assert 0.02 < (found > 0.9).float().mean() < 0.4


def test_noise_in_all_senses_is_absurd(mind: Mind, known: Scenes, fresh: Scenes) -> None:
    found = coherence_of(mind, known, noisy(fresh, *fresh.senses))
    assert found.max() < 0.05


def test_noise_in_the_pictures_is_absurd(untrained: Mind, known: Scenes, fresh: Scenes) -> None:
    for first in (0, START):
        found = coherence_of(untrained, known, noisy(fresh, "visual", first=first))
        assert (found < 0.05).float().mean() > 0.97 and found.max() < 0.1


def test_noise_in_the_pictures_is_absurd_after_training(trained: Mind, known: Scenes, fresh: Scenes) -> None:
    assert coherence_of(trained, known, noisy(fresh, "visual")).mean() < 0.1


def test_surprise_comes_with_what_is_strange(untrained: Mind, known: Scenes, fresh: Scenes) -> None:
    """Looks before it are judged as they were."""
    judge = judge_of(untrained, known)
    plain, strange = (looks_of(untrained, judge, s) for s in (fresh, noisy(fresh, "visual", first=8)))
    assert plain.shape == (96, LOOKS)
    assert torch.equal(plain[:, 1:8], strange[:, 1:8])
    assert bool((strange[:, 8:] > plain[:, 8:]).float().mean() > 0.95)


def test_the_scale_makes_known_looks_standard(mind: Mind, known: Scenes) -> None:
    judge = judge_of(mind, known)
    looks = looks_of(mind, judge, known)
    assert -1.0 < float(looks[:, START:].mean()) < 0.1, "what the forecaster learned from surprises it less"
    assert bool(looks[:, 0].isnan().all()) and not bool(looks[:, 1:].isnan().any()), "nothing foretold the first look"
    assert len(judge.usual_scores) == 32 and bool((judge.deviation > 0).all())


def test_judging_is_deterministic_and_scene_by_scene(trained: Mind, known: Scenes, fresh: Scenes) -> None:
    trained.objective.train()
    trained.acting.train()
    one = coherence_of(trained, known, fresh)
    torch.manual_seed(1)
    assert torch.equal(one, coherence_of(trained, known, fresh)), "no sense is dropped while judging"
    some = torch.tensor([40, 3, 77])
    few = Scenes({k: v[some] for k, v in fresh.senses.items()}, fresh.actions[some])
    assert torch.allclose(coherence_of(trained, known, few), one[some], atol=1e-3), "others in the batch do not matter"


def test_judging_learns_nothing(trained: Mind, known: Scenes) -> None:
    parts = (trained.objective, trained.average)
    before = [{k: v.clone() for k, v in part.state_dict().items()} for part in parts]
    coherence_of(trained, known, known)
    for part, then in zip(parts, before, strict=True):
        assert all(torch.equal(v, then[k]) for k, v in part.state_dict().items())


def test_the_judge_comes_from_memory(trained: Mind, remembered: Remembered) -> None:
    memory, config = remembered[1], configured("dream.known=30", "dream.calibration=20").dream
    judge = calibrate_on_memory(trained, memory, config, seeded())
    assert len(judge.usual_scores) == 20
    assert torch.equal(judge.usual_scores, calibrate_on_memory(trained, memory, config, seeded()).usual_scores)
    assert not torch.equal(judge.usual_scores, calibrate_on_memory(trained, memory, config, seeded(1)).usual_scores)
    with pytest.raises(SageError, match=r"memory\.length=31: is longer than every remembered episode"):
        calibrate_on_memory(trained, memory, replace(config, looks=30), seeded())
