"""Causes of sound from contact forces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sage_envs.senses.contacts import CREEP, JITTER, causes_of_sound

DT = 1 / 120


def causes(force: float, friction: float, speed: float, last: float) -> Tensor:
    """Impulse, sliding and rolling power of one object under a steady force [N] at a steady speed [m/s]."""
    normal, along = torch.zeros(1, 2, 1, 3), torch.zeros(1, 2, 1, 3)
    normal[..., 2], along[..., 0] = force, friction
    velocity = torch.tensor([[[speed, 0.0, 0.0, 0.0, 0.0, 0.0]]])
    out, before = torch.zeros(3, 1, 1, 2), torch.full((1, 1), last)
    nothing, fresh = torch.zeros(1, 2, 0, 3), torch.zeros(1, dtype=torch.bool)
    support = torch.zeros(1, 1)
    causes_of_sound(normal, along, nothing, velocity, velocity, support, fresh, DT, before, out)
    assert before.item() == pytest.approx(force)
    return out[:, 0, 0]


def test_sliding_is_friction_times_speed() -> None:
    impulse, sliding, rolling = causes(force=2.0, friction=0.5, speed=0.1, last=2.0)
    torch.testing.assert_close(sliding, torch.full((2,), 0.05))
    assert not impulse.any() and not rolling.any()


def test_a_solver_that_creeps_and_jitters_makes_no_sound() -> None:
    assert not causes(force=2.0, friction=0.5, speed=1.9 * CREEP, last=2.0 - 0.9 * JITTER).any()
    assert causes(force=2.0, friction=0.5, speed=2.1 * CREEP, last=2.0)[1].all()


def test_a_force_that_sets_in_is_an_impulse_once() -> None:
    impulse = causes(force=2.0, friction=0.0, speed=0.0, last=0.0)[0]
    torch.testing.assert_close(impulse, torch.tensor([(2.0 - JITTER) * DT, 0.0]))
