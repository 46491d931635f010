"""Worlds that break or lose a body: their episodes end, others go on, and what broke can be looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from .worlds import MAKE, Stage, object_positions

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

STILL = torch.zeros(4, 2)


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=4, **MAKE)
    yield env
    env.close()


def break_world(env: SageEnv, world: int) -> None:
    """What a solver that diverges leaves: velocities that are no numbers."""
    velocity = torch.full((1, env.robot.num_joints), float("nan"))
    env.robot.write_joint_velocity_to_sim_index(velocity=velocity, env_ids=torch.tensor([world]).int())


def test_a_calm_world_goes_on(env: SageEnv) -> None:
    Stage(env).begin()
    for _ in range(10):
        _, _, terminated, truncated, _ = env.step(STILL)
        assert not (terminated | truncated).any()
    assert (env.guard.broken, env.guard.strayed) == (0, 0)


@pytest.mark.parametrize("place", [(2.4, 0.0, 0.2), (0.0, -2.4, 0.2), (0.0, 0.0, -1.5), (0.0, 0.0, 10.5)])
def test_an_object_outside_the_room_ends_the_episode_of_its_world(env: SageEnv, place: tuple[float, ...]) -> None:
    stage = Stage(env)
    stage.begin()
    env.step(STILL)
    rows, strayed = env.snapshot(), env.guard.strayed
    start = stage.where["objects.pose"].start + 7 * 3
    rows[2, start : start + 3] = torch.tensor(place)
    env.restore(rows)
    _, _, terminated, truncated, _ = env.step(STILL)
    assert terminated.tolist() == [False, False, True, False]
    assert not truncated.any()
    assert env.guard.strayed == strayed + 1
    assert env.episode_length_buf.tolist()[2] == 0
    assert (object_positions(env)[..., :2].abs() < 2.0).all()


def test_a_world_that_breaks_is_saved_ended_and_mended(env: SageEnv, tmp_path: Path) -> None:
    from safetensors import safe_open

    env.cfg.faults = str(tmp_path / "faults")
    Stage(env).begin()
    env.step(STILL)
    break_world(env, 1)
    with pytest.warns(RuntimeWarning, match=r"world 1: .*robot.velocity.* no longer finite.*saved to .*safetensors"):
        observation, reward, terminated, _, _ = env.step(0.5 + STILL)
    assert terminated.tolist() == [False, True, False, False]
    assert env.guard.broken == 1
    assert reward.isfinite().all()
    (path,) = (tmp_path / "faults").iterdir()
    with safe_open(path, "pt") as file:
        about, worlds = file.metadata(), file.get_tensor("worlds")
        state, before = file.get_tensor("state"), file.get_tensor("before")
        assert file.get_tensor("action").tolist() == [[0.5, 0.5]]
        snapshot = file.get_tensor("snapshot")
    assert worlds.tolist() == [1]
    assert about["engine"] == "ovphysx"
    first, last = json.loads(about["state"])["robot.velocity"]
    assert not state[:, first:last].isfinite().all()
    assert before.isfinite().all()
    first, last = json.loads(about["snapshot"])["robot.velocity"]
    assert not snapshot[:, first:last].isfinite().all()
    # The world is whole again, and the others never noticed.
    for _ in range(5):
        for sense in observation["policy"].values():
            assert sense.isfinite().all()
        observation, reward, terminated, _, _ = env.step(STILL)
        assert reward.isfinite().all()
        assert not terminated.any()
    assert env.snapshot().isfinite().all()


def test_a_folder_that_cannot_be_written_is_said(env: SageEnv, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    env.cfg.faults = str(tmp_path / "file")
    env.reset(seed=0)
    break_world(env, 3)
    with pytest.warns(RuntimeWarning, match=r"world 3: .*state not saved \(.*\): make .*file writable"):
        env.step(STILL)
