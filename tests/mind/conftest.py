"""What the tests of the mind share: a small mind, one thread, configs, and memories of the ball world."""

from __future__ import annotations

import functools
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
from sage_ext.wake import open_memory, wake

from .ball_world import BallWorld, Push

SMALL = {"base": 8, "hidden": 64, "semantic": 64, "physical": 64, "immediate": 64, "history": 64}


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Makes every new mind 20 times smaller: what is tested here depends on no width."""
    patch.setattr(encoder, "Widths", functools.partial(encoder.Widths, **SMALL))
    patch.setattr(mind_module, "ContextPredictor", functools.partial(ContextPredictor, hidden=64))


@pytest.fixture(autouse=True, scope="package")
def small() -> Iterator[None]:
    """A small mind on one thread: two would wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        yield
    torch.set_num_threads(threads)


def configured(*overrides: str) -> Config:
    """The debug preset with overrides."""
    return load_config(["preset=debug", *overrides])


def lived(path: Path, env: BallWorld, episodes: int, seed: int = 0, every: int = 5) -> Memory:
    """A memory of a wake of chance."""
    memory = open_memory(path, env, 10_000)
    wake(env, lambda s: Push(env, s), memory, episodes, every, derived_seed(seed, "wake"))
    return memory


def make_mind(env: BallWorld, config: SleepConfig, seed: int = 0) -> Mind:
    """A mind that fits an environment."""
    spec = ObservationSpec.from_space(env.single_observation_space["policy"])
    return Mind.create(spec, 2, config, seed, "cpu")


def seeded(seed: int = 0) -> torch.Generator:
    """A source of chance."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="package")
def remembered(tmp_path_factory: pytest.TempPathFactory, small: None) -> Iterator[tuple[BallWorld, Memory]]:
    """Worlds and a memory of 24 episodes of 30 steps, with a snapshot every 5."""
    env = BallWorld(6, 30)
    with lived(tmp_path_factory.mktemp("lived") / "memory", env, 24) as memory:
        yield env, memory
