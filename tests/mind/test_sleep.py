"""Asleep, something is learned from moments that were lived again."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from sage_ext.config import SleepConfig
from sage_ext.context.calibration import calibrate
from sage_ext.context.encoder import ContextEncoder
from sage_ext.learning.changes import CHANGES
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.sleep import Moments, consolidate, relive_moments
from sage_ext.sleep.train import pace, updates

from .ball_world import BallWorld
from .conftest import configured, make_mind, seeded

Remembered = tuple[BallWorld, Memory]
HEAVY = {"regularity": 0.3, "invariance": 1.0, "change": 1.0, "sighting": 0.5, "seeking": 1.0}
"""Weights under which a collapse costs much, so that little learning tells."""


def moments_of(remembered: Remembered, config: SleepConfig, count: int = 12, seed: int = 0, first: int = 0) -> Moments:
    return relive_moments(*remembered, config, count, first, seeded(seed))


def test_sleep_learns_what_a_constant_cannot(remembered: Remembered) -> None:
    """120 moments, 50 updates: the loss falls round by round, on moments that were never learned from too."""
    env, _ = remembered
    weights = [f"sleep.weights.{name}={value}" for name, value in HEAVY.items()]
    config = configured("sleep.batch=12", "sleep.lr=6e-4", *weights).sleep
    found, unseen = moments_of(remembered, config, 120), moments_of(remembered, config, 60, seed=9)
    exam = unseen.batch(torch.arange(60), torch.device("cpu"))

    def examine(mind: Mind) -> dict[str, float]:
        mind.objective.eval()
        with torch.no_grad():
            return {k: float(v) for k, v in mind.objective(exam, seeded()).items()}

    fresh, mind, generator = make_mind(env, config), make_mind(env, config), seeded()
    calibrate(fresh.objective.encoder, found.remembered)
    rounds = [consolidate(mind, found, config, generator, stretch=(0.0, 0.2))]
    first = examine(mind)
    rounds += [consolidate(mind, found, config, generator, stretch=(i / 5, (i + 1) / 5)) for i in range(1, 5)]
    losses, before, after = [r["loss"] for r in rounds], examine(fresh), examine(mind)
    assert losses[-1] == min(losses) and losses[-1] < 0.85 * losses[0]
    assert losses[-1] < 0.6 * rounds[-1]["collapsed"]
    assert after["loss"] < 0.95 * first["loss"]
    assert after["loss"] < 0.3 * float(mind.objective.collapsed(exam)["loss"])
    assert before["skill"] == 0 and after["skill"] > 0.02, "what comes is better known than from what is"
    assert after["invariance"] < 0.8 * before["invariance"]


def test_what_was_gone_through_is_counted(remembered: Remembered) -> None:
    env, _ = remembered
    config = configured().sleep
    found, mind = moments_of(remembered, config, 22), make_mind(env, config)
    by_8, by_20 = replace(config, batch=8), replace(config, batch=20)
    assert mind.learned == {"consolidations": 0, "updates": 0, "calibrated": False}
    told: list[int] = []
    losses = consolidate(mind, found, by_8, seeded(), lambda count, scalars: told.append(count))
    assert told == [8, 8, 6]
    assert (mind.learned["consolidations"], mind.learned["updates"]) == (22, 3)
    consolidate(mind, found, by_20, seeded(), lambda count, scalars: told.append(count))
    assert told[3:] == [22], "too few are left over for an update of their own"
    assert (mind.learned["consolidations"], mind.learned["updates"]) == (44, 4)
    terms = {"prediction", "calibration", "foresight", "regularity", "invariance", "change", "skill"}
    terms |= {"sighting", "seeking"}
    assert set(losses) == {"loss", "collapsed"} | terms | {f"change/{name}" for name in CHANGES}


def watch(mind: Mind) -> list[torch.Tensor]:
    """What goes through the objective from now on, batch by batch."""
    seen: list[torch.Tensor] = []
    forward = mind.objective.forward

    def watched(batch, generator=None):
        seen.append(batch.varied["proprioceptive"])
        return forward(batch, generator)

    mind.objective.forward = watched  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("passes", [1, 3])
def test_each_moment_is_learned_from_in_each_pass(remembered: Remembered, passes: int) -> None:
    env, _ = remembered
    config = configured(f"sleep.passes={passes}").sleep
    found, mind = moments_of(remembered, config, 18), make_mind(env, config)
    seen = watch(mind)
    consolidate(mind, found, config, seeded())
    every = sorted(map(tuple, found.varied["proprioceptive"].flatten(1).tolist()))
    orders = torch.cat(seen).split(18)
    assert len(orders) == passes and mind.learned["consolidations"] == 18
    for order in orders:
        assert sorted(map(tuple, order.flatten(1).tolist())) == every
        assert not torch.equal(order, found.varied["proprioceptive"]), "in an order of chance"
    assert passes == 1 or not torch.equal(orders[0], orders[1]), "another in each pass"


def test_batches_are_of_moments_alike_and_single_looks_are_as_many_as_teach_most() -> None:
    looks = torch.tensor([5] * 40 + [1] * 200)
    config = configured("sleep.batch=10", "sleep.round=20").sleep
    pieces = [piece for pieces in updates(looks, config, seeded()) for piece in pieces]
    assert sorted(len(piece) for piece in pieces if looks[piece[0]] == 5) == [10] * 4
    assert sorted(len(piece) for piece in pieces if looks[piece[0]] == 1) == [13] * 14 + [18]
    assert all(len(looks[piece].unique()) == 1 for piece in pieces)
    assert sorted(torch.cat(pieces).tolist()) == list(range(240))


def test_accumulated_batches_are_one_update(remembered: Remembered) -> None:
    """The gradient is the mean over all moments, however unequal the batches are."""
    env, _ = remembered
    config = configured("sleep.accumulate=3", "sleep.batch=8", "sleep.round=24").sleep
    found, mind, told = moments_of(remembered, config, 22), make_mind(env, config), []
    calibrate(mind.objective.encoder, found.varied)
    mind.learned["calibrated"] = True
    seen, gradient = watch(mind), []
    step = mind.optimizer.step

    def stepped() -> None:
        gradient.append(mind.objective.foresight.weight.grad.clone())  # type: ignore[union-attr]
        step()

    # That of foresight depends on neither projections nor, where none is dropped, on chance.
    mind.objective.weights = replace(mind.objective.weights, drop=0.0)
    mind.optimizer.step = stepped  # type: ignore[method-assign, assignment]
    twin = copy.deepcopy(mind.objective)
    losses = consolidate(mind, found, config, seeded(), lambda count, scalars: told.append((count, scalars)))
    assert [len(piece) for piece in seen] == [8, 8, 6]
    assert [count for count, _ in told] == [22] and mind.learned["updates"] == 1 and len(gradient) == 1
    assert losses == pytest.approx(told[0][1])
    del twin.forward
    whole = twin(found.batch(torch.arange(22), torch.device("cpu")), seeded())
    whole["loss"].backward()
    assert torch.allclose(gradient[0], twin.foresight.weight.grad, rtol=1e-3, atol=1e-7)
    assert losses["foresight"] == pytest.approx(float(whole["foresight"]), rel=1e-4)


def test_a_mind_finds_its_scale_once(remembered: Remembered, monkeypatch: pytest.MonkeyPatch) -> None:
    env, _ = remembered
    config = configured().sleep
    found, mind = moments_of(remembered, config, 12), make_mind(env, config)
    calls: list[dict[str, torch.Tensor]] = []

    def watched(encoder: ContextEncoder, observation: dict[str, torch.Tensor]) -> None:
        calls.append(observation)
        calibrate(encoder, observation)

    monkeypatch.setattr("sage_ext.sleep.train.calibrate", watched)
    raw = mind.encode(found.remembered).flatten(0, 1).std(0).mean()
    config = replace(config, batch=12)
    consolidate(mind, found, config, seeded())
    scaled = mind.encode(found.remembered).flatten(0, 1).std(0).mean()
    assert raw < 0.2 and 0.7 < scaled < 1.3
    consolidate(mind, found, config, seeded())
    assert len(calls) == 1 and mind.learned["calibrated"]
    assert torch.equal(calls[0]["visual"], found.varied["visual"])


def test_one_seed_learns_the_same(remembered: Remembered) -> None:
    env, _ = remembered
    config = configured("sleep.sense_dropout=0.3").sleep
    found, ends = moments_of(remembered, config, 12), []
    for seed in (1, 1, 2):
        torch.manual_seed(len(ends))  # nothing may come from the global source of chance
        mind = make_mind(env, config)
        losses = consolidate(mind, found, config, seeded(seed))
        ends.append((losses, torch.cat([p.detach().flatten() for p in mind.objective.parameters()])))
    assert ends[0][0] == ends[1][0] and torch.equal(ends[0][1], ends[1][1])
    assert ends[0][0] != ends[2][0]


def test_the_rate_rises_and_falls_within_a_sleep(remembered: Remembered, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace(0.0) == pytest.approx(0.02) and pace(0.05) == pytest.approx(1.0) and pace(1.0) == pytest.approx(0.02)
    assert pace(0.525) == pytest.approx(0.51)
    env, memory = remembered
    config = configured("sleep.batch=8", "sleep.round=8", "sleep.lr=0.001").sleep
    mind = make_mind(env, config)
    rates: list[float] = []
    monkeypatch.setattr(mind, "set_rate", rates.append)
    found = relive_moments(env, memory, config, 32, 0, seeded())
    consolidate(mind, found, config, seeded(), stretch=(0.5, 1.0), most=3)
    assert rates == pytest.approx([0.001 * pace(0.5 + 0.5 * i / 3) for i in range(3)])
    assert mind.learned["updates"] == 3
