"""The mind that acts is the running average of the one that learns, and both are kept."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sage_ext.config import SleepConfig
from sage_ext.context import checkpoint
from sage_ext.context.encoder import ContextEncoder
from sage_ext.learning.captured import Captured
from sage_ext.memory import Memory
from sage_ext.mind import LEARNING, QUICK, Mind
from sage_ext.sleep import Moments, consolidate, relive_moments

from .ball_world import BallWorld
from .conftest import configured, make_mind, seeded

Remembered = tuple[BallWorld, Memory]


@pytest.fixture(scope="module")
def moments(remembered: Remembered) -> Moments:
    return relive_moments(*remembered, configured().sleep, 12, 0, seeded())


def asked(*overrides: str) -> SleepConfig:
    return configured("sleep.lr=1e-3", "sleep.passes=4", *overrides).sleep


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def test_what_tells_places_learns_faster_than_the_rest(remembered: Remembered) -> None:
    mind = make_mind(remembered[0], asked())
    mind.set_rate(0.01)
    rates = {id(p): group["lr"] for group in mind.optimizer.param_groups for p in group["params"]}
    encoder = mind.objective.encoder
    exact = encoder.landmarks, encoder.seeker.ask, encoder.seeker.sum
    quick = {id(p) for part in exact for p in part.parameters()}
    assert rates == {id(p): 0.01 * QUICK if id(p) in quick else 0.01 for p in mind.objective.parameters()}


def test_who_has_learned_nothing_acts_as_it_is(remembered: Remembered) -> None:
    mind = make_mind(remembered[0], asked())
    assert mind.acting is mind.objective


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9])
def test_what_acts_is_the_average_of_what_was_learned(remembered: Remembered, moments: Moments, decay: float) -> None:
    config = asked(f"sleep.average={decay}")
    mind, expected, path = make_mind(remembered[0], config), None, []

    def updated(count: int, losses: dict[str, float]) -> None:
        path.append(mind.objective.foresight.weight.detach().clone())

    consolidate(mind, moments, config, seeded(), updated)
    assert len(path) == mind.learned["updates"] == 12
    for number, weight in enumerate(path):
        # Early on the average forgets faster, so that the first weights do not stay in it.
        stays = min(decay, (1 + number) / (10 + number)) if number else 0.0
        expected = weight if expected is None else stays * expected + (1 - stays) * weight
    found = mind.acting.foresight.weight
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(found, path[-1]) == (decay == 0.0)


def test_it_is_the_average_that_encodes(remembered: Remembered, moments: Moments) -> None:
    config = asked()
    mind = make_mind(remembered[0], config)
    consolidate(mind, moments, config, seeded())
    found = mind.encode(moments.remembered)
    with torch.no_grad():
        assert torch.allclose(found, mind.acting.encoder.eval()(moments.remembered)[0], atol=1e-5)
        assert not torch.allclose(found, mind.objective.encoder.eval()(moments.remembered)[0], atol=1e-3)


def test_a_checkpoint_keeps_what_acts_and_what_learns(remembered: Remembered, moments: Moments, tmp_path: Path) -> None:
    config = asked()
    mind = make_mind(remembered[0], config)
    consolidate(mind, moments, config, seeded())
    mind.save(tmp_path)
    again = Mind.load(tmp_path, config, "cpu")
    assert equal(state(again.objective), state(mind.objective)) and equal(state(again.acting), state(mind.acting))
    assert not equal(state(mind.objective), state(mind.acting))
    names = checkpoint.load_state(tmp_path / "checkpoint")[1]["modules"]
    assert set(names) == {*mind.objective.parts(), *(LEARNING + name for name in mind.objective.parts())}
    # Whoever asks for an encoder gets the one that acts.
    encoder = checkpoint.load(tmp_path, {"encoder": ContextEncoder.from_config}).modules["encoder"]
    assert equal(state(encoder), state(mind.acting.encoder))


@pytest.mark.parametrize("updates", [0, 12])
def test_who_was_saved_learns_on_as_if_nothing_had_been(
    remembered: Remembered, moments: Moments, tmp_path: Path, updates: int
) -> None:
    config = asked()
    mind = make_mind(remembered[0], config)
    if updates:
        consolidate(mind, moments, config, seeded())
    mind.save(tmp_path)
    again = Mind.load(tmp_path, config, "cpu")
    learned = copy.deepcopy(again.learned)
    assert learned == mind.learned and learned["updates"] == updates
    assert int(again.average.n_averaged) == int(mind.average.n_averaged) == updates
    for one in (mind, again):
        consolidate(one, moments, config, seeded(1))
    assert equal(state(again.objective), state(mind.objective))
    assert equal(state(again.acting), state(mind.acting))
    assert equal(again.optimizer.state_dict()["state"][0], mind.optimizer.state_dict()["state"][0])


def test_only_a_gpu_captures_and_once(remembered: Remembered) -> None:
    mind = make_mind(remembered[0], asked())
    assert mind.learner is mind.objective
    mind.device = torch.device("cuda")
    assert isinstance(mind.learner, Captured) and mind.learner is mind.learner
