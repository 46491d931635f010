"""Imperfect sensors: what the models say they do, to the sense and no further."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from .worlds import MAKE

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv
    from sage_envs.senses.noise import SensorNoise

pytestmark = pytest.mark.sim
WORLDS = 4


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=WORLDS, noise="harsh", **MAKE)
    yield env
    env.close()


def model(seed: int = 0, **settings: float) -> SensorNoise:
    """A model by itself: nothing but what is set."""
    from sage_envs.senses.noise import SensorNoise, SensorNoiseCfg

    env: Any = SimpleNamespace(
        num_envs=WORLDS,
        device="cpu",
        touch=SimpleNamespace(width=128),
        proprioceptive_layout={"wheel_speed": slice(0, 2), "goal_position": slice(2, 4)},
    )
    return SensorNoise(env, SensorNoiseCfg(**settings), seed)


def true() -> dict[str, Tensor]:
    depth = torch.full((WORLDS, 64, 64, 1), 2.0)
    depth[:, :8] = 0.0
    return {
        "visual": torch.full((WORLDS, 64, 64, 3), 128, dtype=torch.uint8),
        "depth": depth,
        "audio": torch.full((WORLDS, 1024), -80.0),
        "tactile": torch.full((WORLDS, 128), 1.0),
        "proprioceptive": torch.full((WORLDS, 64), 3.0),
    }


def test_nothing_set_is_nothing_done() -> None:
    readings = model()(true())
    for name, value in true().items():
        torch.testing.assert_close(readings[name], value, atol=1e-4, rtol=0.0)
        assert readings[name].dtype == value.dtype


def test_each_model_is_as_strong_as_it_says() -> None:
    readings = model(visual_std=4.0, depth_std=0.01, tactile_std=0.1, proprioceptive_relative=0.1)(true())
    assert readings["visual"].float().std() == pytest.approx(4.0, rel=0.05)
    hit = readings["depth"][:, 8:]
    assert hit.std() == pytest.approx(0.04, rel=0.05) and (readings["depth"][:, :8] == 0).all()
    assert readings["tactile"].std() == pytest.approx(0.1, rel=0.2)
    felt = readings["proprioceptive"]
    assert 0.1 < (felt[:, :2] - 3.0).abs().max() < 1.5
    assert (felt[:, 2:] == 3.0).all(), "goals are told and unused numbers are none"


def test_a_share_of_pixels_and_taxels_is_missing() -> None:
    noise = model(depth_missing=0.05, tactile_dead=0.1)
    first, second = noise(true()), noise(true())
    lost = (first["depth"][:, 8:] == 0).float()
    assert lost.mean() == pytest.approx(0.05, abs=0.01)
    assert not torch.equal(first["depth"], second["depth"])
    dead = first["tactile"] == 0
    assert dead.float().mean() == pytest.approx(0.1, abs=0.04)
    assert torch.equal(dead, second["tactile"] == 0), "dead taxels stay dead"


def test_a_microphone_hears_itself_where_it_is_quiet() -> None:
    observation = true()
    observation["audio"][:, :512] = 0.0
    heard = model(audio_floor=-60.0)(observation)["audio"]
    assert (heard[:, :512] < 0.01).all()
    power = (10.0 ** (heard[:, 512:] / 10.0)).mean()
    assert 10.0 * power.log10() == pytest.approx(-60.0, abs=0.5)


def test_what_does_not_arrive_comes_again_but_not_from_before_a_reset() -> None:
    noise, generator = model(dropout=0.5), torch.Generator().manual_seed(0)
    again = 0.0
    before = torch.zeros(WORLDS, 128)
    for look in range(200):
        now = torch.rand(WORLDS, 128, generator=generator)
        given = noise({"tactile": now})["tactile"]
        repeats = (given == before).all(1)
        assert (repeats | (given == now).all(1)).all()
        again += float(repeats.float().mean()) / 200
        before = given
        if look % 50 == 49:
            noise.forget(torch.arange(WORLDS))
            now = torch.rand(WORLDS, 128, generator=generator)
            before = noise({"tactile": now})["tactile"]
            assert torch.equal(before, now)
    assert again == pytest.approx(0.5, abs=0.06)


def test_a_seed_is_a_noise() -> None:
    settings = {"visual_std": 3.0, "depth_missing": 0.1, "dropout": 0.2}
    one, other, different = model(1, **settings), model(1, **settings), model(2, **settings)
    for _ in range(3):
        a, b, c = one(true()), other(true()), different(true())
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert not torch.equal(a["visual"], c["visual"])


def test_the_environment_gives_noisy_senses_in_its_space_and_true_ground_truth(env: SageEnv) -> None:
    from sage_envs.senses.noise import NOISE

    assert env.cfg.noise == replace(NOISE["harsh"])
    observation, _ = env.reset(seed=0)
    assert env.single_observation_space["policy"].contains({k: v[0].numpy() for k, v in observation["policy"].items()})
    pose, rows = observation["critic"]["robot_pose"], env.snapshot()
    twice = [env.relive(rows, torch.zeros(WORLDS, 1, 2)) for _ in range(2)]
    assert not torch.equal(twice[0]["policy"]["visual"], twice[1]["policy"]["visual"])
    assert torch.equal(twice[0]["critic"]["robot_pose"], twice[1]["critic"]["robot_pose"])
    assert torch.isfinite(pose).all()
    for _ in range(2):
        env.reseed(7)
        twice.append(env.relive(rows, torch.zeros(WORLDS, 3, 2)))
    assert all(torch.equal(v, twice[-1]["policy"][k]) for k, v in twice[-2]["policy"].items())
    once = env.reset(seed=5)[0]["policy"]
    assert all(torch.equal(v, once[k]) for k, v in env.reset(seed=5)[0]["policy"].items())


def test_every_named_model_is_known_to_the_command_line() -> None:
    from sage_envs.senses.noise import NOISE
    from sage_tasks.make import NOISES

    assert tuple(NOISE) == NOISES
