"""Disturbed actions: what is done strays, what is remembered as the label does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sage_ext.act.disturbed import Disturbed
from tests.mind.ball_world import BallWorld, Push

WORLDS = 400


class Constant:
    """The same action always; counts its calls and notes who begins anew."""

    def __init__(self, value: float) -> None:
        self.value, self.calls, self.begun = value, 0, []

    def act(self, observation: dict[str, Any]) -> Tensor:
        self.calls += 1
        return torch.full((WORLDS, 2), self.value)

    def reset(self, mask: Tensor) -> None:
        self.begun.append(mask)


def drawn(scale: float, steps: int = 60, seed: int = 0) -> Tensor:
    policy = Constant(0.0)
    disturbed = Disturbed(policy, BallWorld(WORLDS, resolution=16), scale, seed, policy)
    return torch.stack([disturbed.act({}) for _ in range(steps)])


def test_the_label_is_what_the_expert_wanted() -> None:
    expert = Constant(0.25)
    disturbed = Disturbed(expert, BallWorld(WORLDS, resolution=16), 0.3, 0, expert)
    done = disturbed.act({})
    assert disturbed.label is not None and bool((disturbed.label == 0.25).all())
    assert (done - 0.25).abs().mean() > 0.1 and done.abs().max() <= 1.0
    # An expert counts how often it was asked: once a step.
    assert expert.calls == 1


def test_another_teacher_labels_what_a_learner_does() -> None:
    learner, teacher = Constant(-0.5), Constant(0.5)
    disturbed = Disturbed(learner, BallWorld(WORLDS, resolution=16), 0.0, 0, teacher)
    assert bool((disturbed.act({}) == -0.5).all())
    assert disturbed.label is not None and bool((disturbed.label == 0.5).all())
    alone = Disturbed(learner, BallWorld(WORLDS, resolution=16), 0.0, 0, None)
    alone.act({})
    assert alone.label is None


def test_the_disturbance_has_its_size_and_lasts_a_third_of_a_second() -> None:
    noise = drawn(0.1)
    assert noise.std(0).mean().item() == pytest.approx(0.1, abs=0.02)
    # Of another size in each world.
    sizes = noise.std(0).mean(1)
    assert sizes.min() < 0.04 and sizes.max() > 0.15
    kept = (noise[10:] * noise[:-10]).mean() / noise.square().mean()
    assert kept.item() == pytest.approx(1 / torch.e, abs=0.06)


def test_a_seed_is_a_disturbance() -> None:
    assert torch.equal(drawn(0.1, 5), drawn(0.1, 5))
    assert not torch.equal(drawn(0.1, 5), drawn(0.1, 5, seed=1))


def test_who_remembers_is_told_of_new_episodes() -> None:
    policy, env = Constant(0.0), BallWorld(WORLDS, resolution=16)
    mask = torch.arange(WORLDS) == 3
    Disturbed(policy, env, 0.1, 0, None).reset(mask)
    assert [m.tolist() for m in policy.begun] == [mask.tolist()]
    # Most have nothing to forget.
    Disturbed(Push(env, 0), env, 0.1, 0, None).reset(mask)
