"""Two ears: which side a sound comes from, what stands between, and nothing lost when a moment is lived again."""

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
WORLDS = 3
METAL_BALL = 4


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=WORLDS, **MAKE)
    yield env
    env.close()


def drop(env: SageEnv, place: tuple[float, float], looks: int = 10) -> Tensor:
    """A metal ball falls on the floor: sound energy at each ear (N, 2), in dB."""
    stage = Stage(env)
    stage.settle()
    stage.object(METAL_BALL, (*place, 0.35))
    stage.begin()
    energy = torch.zeros(WORLDS, 2)
    for _ in range(looks):
        env.step(torch.zeros(WORLDS, 2))
        energy += env.senses.hearing.waveform.square().sum(-1)
    return 10.0 * energy.log10()


def cardioid(angle: float) -> float:
    return 20.0 * math.log10(0.5 * (1.0 + math.cos(angle)))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_nearer_ear_hears_more(env: SageEnv, side: float) -> None:
    """Straight to a side, 1 m off: cardioids turned out by 55 degrees differ as their patterns do."""
    left, right = drop(env, (0.19, side)).unbind(1)
    near, far = cardioid(math.radians(90 - 55)), cardioid(math.radians(90 + 55))
    expected = side * (near - far + 20.0 * math.log10(1.085 / 0.915))
    # The ball is 0.15 m below the ears when it hits, and its hum goes on while it bounces.
    torch.testing.assert_close(left - right, torch.full((WORLDS,), expected), atol=2.5, rtol=0.0)


def test_straight_ahead_both_hear_the_same(env: SageEnv) -> None:
    left, right = drop(env, (1.0, 0.0)).unbind(1)
    assert (left - right).abs().max() < 0.3


def test_the_sense_is_ear_band_frame(env: SageEnv) -> None:
    from sage_envs.senses.hearing import EAR_BANDS
    from sage_envs.senses.spectrogram import log_mel

    drop(env, (0.5, 0.5), looks=9)
    hearing = env.senses.hearing
    before = hearing.audio._part["history"].clone()
    observation, *_ = env.step(torch.zeros(WORLDS, 2))
    heard = observation["policy"]["audio"].view(WORLDS, 2, EAR_BANDS, 16)
    assert (heard[:, 0] != heard[:, 1]).any()
    for ear in range(2):
        again = log_mel(hearing.waveform[:, ear], hearing.audio.sample_rate, before[ear::2], EAR_BANDS)
        torch.testing.assert_close(heard[:, ear], again)


def test_an_obstacle_between_takes_ten_decibels(env: SageEnv) -> None:
    def loudness(obstacle: tuple[float, float]) -> Tensor:
        stage = Stage(env)
        stage.settle()
        stage.obstacle(0, obstacle)
        stage.object(METAL_BALL, (1.5, 0.0, 0.35))
        stage.begin()
        energy = torch.zeros(WORLDS, 2)
        for _ in range(10):
            env.step(torch.zeros(WORLDS, 2))
            energy += env.senses.hearing.waveform.square().sum(-1)
        return 10.0 * energy.log10()

    difference = loudness((0.8, 1.0)) - loudness((0.8, 0.0))
    torch.testing.assert_close(difference, torch.full((WORLDS, 2), 10.0), atol=0.2, rtol=0.0)


def test_a_moment_in_the_middle_of_a_sound_goes_on(env: SageEnv) -> None:
    drop(env, (0.6, -0.4), looks=9)
    rows = env.snapshot()
    actions = torch.zeros(WORLDS, 6, 2)
    one, other = (env.relive(rows, actions)["policy"]["audio"] for _ in range(2))
    assert torch.equal(one, other) and one.std() > 1.0


def test_barriers_are_met_on_the_straight_way_only() -> None:
    from sage_envs.senses.hearing import Barriers, blocked

    box = Barriers(torch.tensor([[[1.0, 0.0, 0.3]]]), torch.tensor([[0.1, 0.5, 0.3]]), torch.tensor([[0.0]]))
    turned = box._replace(yaw=torch.tensor([[math.pi / 2]]))
    ear = torch.tensor([[[0.0, 0.0, 0.3]]])
    places = [[2.0, 0.0, 0.3], [2.0, 0.8, 0.3], [2.0, 1.2, 0.3], [0.5, 0.0, 0.3], [2.0, 0.0, 1.2], [-2.0, 0.0, 0.3]]
    source = torch.tensor([places])
    assert blocked(ear, source, box)[0, 0].tolist() == [True, True, False, False, False, False]
    assert blocked(ear, source, turned)[0, 0].tolist() == [True, False, False, False, True, False]
    # Turned to the left by an eighth, it lies across the way to the left only.
    slanted = box._replace(yaw=torch.tensor([[math.pi / 4]]))
    aside = torch.tensor([[[1.5, 0.75, 0.3], [1.5, -0.75, 0.3]]])
    assert blocked(ear, aside, slanted)[0, 0].tolist() == [True, False]
