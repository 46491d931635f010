"""Coherence is calibrated: uniform over what is possible, near 0 for what is absurd."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from sage_ext.dream import calibrate_on_memory
from sage_ext.environment import Observation
from sage_ext.errors import SageError
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.surprise import WORST, Scale, calibrate, judge, look_surprise

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
    mind.objective.encoder.calibrate({k: v[:40] for k, v in known.senses.items()})
    return mind


@pytest.fixture(params=["untrained", "trained"])
def mind(request: pytest.FixtureRequest) -> Mind:
    """Either mind."""
    chosen: Mind = request.getfixturevalue(request.param)
    return chosen


def scale_of(mind: Mind, known: Scenes) -> Scale:
    return calibrate(mind, known.senses, known.actions, START)


def coherence_of(mind: Mind, known: Scenes, scenes: Scenes) -> Tensor:
    return judge(mind, scale_of(mind, known), scenes.senses, scenes.actions, START)[0]


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
    scale = Scale(torch.zeros(3, 15), torch.ones(3, 15), torch.randn(60, generator=seeded()).sort().values)
    scores = torch.linspace(-6, 6, 500)
    found = scale.coherence(scores)
    assert bool((found.diff() <= 0).all()) and bool((found[150:350].diff() < 0).all())
    assert 0 < found.min() < 0.02 and 0.98 < found.max() < 1
    assert float(scale.coherence(scale.scores.median().view(1))) == pytest.approx(0.5, abs=0.02)


def test_coherence_is_a_share_of_what_was_possible() -> None:
    """The chance that something possible surprises more: what a p-value is."""
    scale = Scale(torch.zeros(3, 15), torch.ones(3, 15), torch.randn(2000, generator=seeded()).sort().values)
    for score in (-1.5, 0.0, 1.0, 2.0):
        more = float((torch.randn(20_000, generator=seeded(1)) >= score).float().mean())
        assert float(scale.coherence(torch.tensor([score]))) == pytest.approx(more, abs=0.03)


def test_scores_that_are_all_equal_divide_by_nothing() -> None:
    scale = Scale(torch.zeros(3, 15), torch.ones(3, 15), torch.zeros(10))
    found = scale.coherence(torch.tensor([-1.0, 0.0, 1.0]))
    assert bool(found.isfinite().all()) and found[0] > 0.9 > found[1] > 0.1 > found[2]


def test_fresh_scenes_are_as_coherent_as_known_ones(mind: Mind, known: Scenes, fresh: Scenes) -> None:
    """About uniform: mean 0.5, spread 0.29, a tenth below a tenth. Four scenes share an episode, hence the slack."""
    found = coherence_of(mind, known, fresh)
    assert found.shape == (96,) and found.min() > 0 and found.max() < 1
    assert float(found.mean()) == pytest.approx(0.5, abs=0.1)
    assert 0.2 < found.std() < 0.36
    assert 0.02 < (found < 0.1).float().mean() < 0.25
    assert 0.02 < (found > 0.9).float().mean() < 0.25
    own = coherence_of(mind, known, known)
    assert float(own.mean()) == pytest.approx(0.5, abs=0.01), "on its own scale it is 0.5 by construction"


def test_noise_in_all_senses_is_absurd(mind: Mind, known: Scenes, fresh: Scenes) -> None:
    found = coherence_of(mind, known, noisy(fresh, *fresh.senses))
    assert found.max() < 0.05


def test_noise_in_the_pictures_is_absurd(untrained: Mind, known: Scenes, fresh: Scenes) -> None:
    assert coherence_of(untrained, known, noisy(fresh, "visual")).max() < 0.05
    assert coherence_of(untrained, known, noisy(fresh, "visual", first=START)).max() < 0.05


def test_noise_in_the_pictures_is_absurd_after_training(trained: Mind, known: Scenes, fresh: Scenes) -> None:
    assert coherence_of(trained, known, noisy(fresh, "visual")).mean() < 0.1


def test_surprise_comes_with_what_is_strange(untrained: Mind, known: Scenes, fresh: Scenes) -> None:
    """Looks before it are judged as they were."""
    scale = scale_of(untrained, known)
    plain, strange = (
        look_surprise(untrained, scale, s.senses, s.actions) for s in (fresh, noisy(fresh, "visual", first=8))
    )
    assert plain.shape == (96, LOOKS)
    assert torch.equal(plain[:, 1:8], strange[:, 1:8])
    assert bool((strange[:, 8:] > plain[:, 8:] + 1).all())


def test_a_scene_is_judged_by_its_worst_looks(trained: Mind, known: Scenes, fresh: Scenes) -> None:
    scale = scale_of(trained, known)
    coherence, looks = judge(trained, scale, fresh.senses, fresh.actions, START)
    worst = looks[:, START:].sort(dim=1).values[:, -WORST:].mean(1)
    assert torch.allclose(coherence, scale.coherence(worst))
    assert torch.equal(scale.scores, scale.scores.sort().values) and len(scale.scores) == 96
    late, _ = judge(trained, scale, fresh.senses, fresh.actions, LOOKS - 2)
    assert torch.allclose(late, scale.coherence(looks[:, -2:].mean(1))), "of two looks both are the worst"


def test_the_scale_makes_known_looks_standard(mind: Mind, known: Scenes) -> None:
    scale = scale_of(mind, known)
    looks = look_surprise(mind, scale, known.senses, known.actions)
    assert float(looks[:, START:].mean()) == pytest.approx(0.0, abs=1e-3)
    assert 0.1 < float(looks[:, START:].std()) <= 1.0, "a mean of standard scores"
    assert scale.mean.shape == scale.deviation.shape and bool((scale.deviation > 0).all())
    assert bool(looks[:, 0].isnan().all()) and not bool(looks[:, 1:].isnan().any()), "nothing predicted the first look"


def test_judging_is_deterministic_and_scene_by_scene(trained: Mind, known: Scenes, fresh: Scenes) -> None:
    trained.objective.train()
    trained.acting.train()
    one, looks = judge(trained, scale_of(trained, known), fresh.senses, fresh.actions, START)
    two, again = judge(trained, scale_of(trained, known), fresh.senses, fresh.actions, START)
    assert torch.equal(one, two) and torch.equal(looks[:, 1:], again[:, 1:]), "no sense is dropped while judging"
    some = torch.tensor([40, 3, 77])
    few = Scenes({k: v[some] for k, v in fresh.senses.items()}, fresh.actions[some])
    assert torch.allclose(coherence_of(trained, known, few), one[some], atol=1e-4), "others in the batch do not matter"


def test_judging_learns_nothing(trained: Mind, known: Scenes) -> None:
    parts = (trained.objective, trained.average)
    before = [{k: v.clone() for k, v in part.state_dict().items()} for part in parts]
    coherence_of(trained, known, known)
    for part, then in zip(parts, before, strict=True):
        assert all(torch.equal(v, then[k]) for k, v in part.state_dict().items())


def test_the_scale_comes_from_memory(trained: Mind, remembered: Remembered) -> None:
    memory, config = remembered[1], configured("dream.calibration=40").dream
    scale = calibrate_on_memory(trained, memory, config, seeded())
    assert len(scale.scores) == 40
    assert torch.equal(scale.scores, calibrate_on_memory(trained, memory, config, seeded()).scores)
    assert not torch.equal(scale.scores, calibrate_on_memory(trained, memory, config, seeded(1)).scores)
    with pytest.raises(SageError, match=r"memory\.length=31: is longer than every remembered episode"):
        calibrate_on_memory(trained, memory, replace(config, looks=30), seeded())
