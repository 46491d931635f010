"""What the tests of the mind share: a small mind, one thread, configs, and memories of the ball world."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sage_ext import mind as mind_module
from sage_ext.config import Config, SleepConfig, load_config
from sage_ext.context import encoder
from sage_ext.environment import derived_seed
from sage_ext.learning.predictor import ContextPredictor
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.observation import ObservationSpec
from sage_ext.sleep import consolidate, relive_moments
from sage_ext.threads import torch_threads
from sage_ext.wake import open_memory, wake

from .ball_world import BallWorld, Push

REPO = Path(__file__).resolve().parent.parent.parent
SMALL = {"base": 8, "hidden": 64, "semantic": 64, "physical": 64, "immediate": 64, "history": 64}


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Makes every new mind 20 times smaller, at work on one core: what is tested here depends on neither."""
    patch.setattr(encoder, "Widths", functools.partial(encoder.Widths, **SMALL))
    patch.setattr(mind_module, "ContextPredictor", functools.partial(ContextPredictor, hidden=64))
    patch.setattr(os, "cpu_count", lambda: 1)


@pytest.fixture(autouse=True, scope="package")
def small() -> Iterator[None]:
    """A small mind on one thread: two would wait for each other longer than they work."""
    with torch_threads(1), pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        yield


PINNED = {
    "task": {"num_envs": 2, "episode_length_s": 1.0, "resolution": 32},
    "memory": {"capacity": 10_000, "snapshot_every": 5},
    "wake": {"episodes": 4},
    "sleep": {
        "consolidations": 24,
        "batch": 4,
        "round": 12,
        "steps": 5,
        "rearranged_steps": 5,
        "lr": 1e-4,
        "sense_dropout": 0.1,
    }
    | {"accumulate": 1, "passes": 1, "replay": 0, "history": 1, "average": 0.9, "background": "true"},
    "sleep.variations.physical": {"share": 0.5, "gravity_scale": "[0.8,1.2]", "friction_scale": "[0.8,1.2]"}
    | {"mass_scale": "[0.5,2]", "elsewhere": 0},
    "sleep.variations.spatial": {"share": 0.25, "yaw_deg": 30, "shift_m": 0.1},
    "sleep.variations.temporal": {"share": 0.25, "speeds": "[0.5,2]"},
    "sleep.variations.causal": {"share": 0},
    "sleep.variations.rearranged": {"share": 0, "color": 0, "light": "[1,1]", "size": "[1,1]"},
    "dream": {
        "explorations": 4,
        "looks": 12,
        "laws": "[physics/float,physics/vanish,reversal]",
        "known": 8,
        "calibration": 8,
        "kept": 64,
    },
}
"""What the figures in these tests count on, whatever the presets come to be."""


@functools.cache
def configured(*overrides: str) -> Config:
    """The debug preset, pinned, with overrides."""
    pinned = [f"{block}.{key}={value}" for block, values in PINNED.items() for key, value in values.items()]
    return load_config(["preset=debug", *pinned, *overrides])


def lived(path: Path, env: BallWorld, episodes: int, seed: int = 0, every: int = 5) -> Memory:
    """A memory of a wake of chance."""
    memory = open_memory(path, env, 10_000)
    wake(env, lambda s: Push(env, s), memory, episodes, every, derived_seed(seed, "wake"))
    return memory


def make_mind(env: BallWorld, config: SleepConfig, seed: int = 0) -> Mind:
    """A mind that fits an environment."""
    spec = ObservationSpec.from_space(env.single_observation_space["policy"])
    return Mind.create(spec, 2, env.num_objects, config, seed, "cpu")


def seeded(seed: int = 0) -> torch.Generator:
    """A source of chance."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="package")
def remembered(tmp_path_factory: pytest.TempPathFactory, small: None) -> Iterator[tuple[BallWorld, Memory]]:
    """Worlds and a memory of 24 episodes of 30 steps, with a snapshot every 5."""
    env = BallWorld(6, 30, 32)
    with lived(tmp_path_factory.mktemp("lived") / "memory", env, 24) as memory:
        yield env, memory


@pytest.fixture(scope="package")
def trained(remembered: tuple[BallWorld, Memory]) -> Mind:
    """A mind that has learned a little from the remembered worlds; leave it as it is."""
    env, memory = remembered
    config = configured("sleep.batch=12", "sleep.lr=1e-3").sleep
    mind, generator = make_mind(env, config), seeded()
    moments = relive_moments(env, memory, config, 96, 0, generator)
    for _ in range(3):
        consolidate(mind, moments, config, generator)
    return mind
