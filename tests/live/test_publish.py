"""What a job shows: nothing unless somebody watches, then every look of the watched worlds, as the robot had it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sage_ext.live import publish
from sage_ext.live.follow import Follower
from sage_ext.live.looks import Look
from sage_ext.live.publish import FOLDER, LOOKS, Publisher, watched
from sage_ext.live.scene import Scene
from tests.mind.ball_world import BallWorld


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BallWorld:
    """Three watched worlds whose every look is written at once."""
    monkeypatch.setattr(publish, "EVERY_S", 0.0)
    monkeypatch.setattr(publish, "CHECK_S", 0.0)
    world = BallWorld(3, 8, 16)
    Publisher.attach(world, tmp_path)
    return world


def step(env: BallWorld) -> dict:
    observation, *_ = env.step(torch.rand(3, 2))
    return observation


def same(look: Look, observation: dict, world: int) -> None:
    for name, value in observation["policy"].items():
        np.testing.assert_array_equal(look.senses[name], value[world].numpy())
    for name, value in observation["critic"].items():
        np.testing.assert_array_equal(look.truth[name], value[world].numpy())


def test_without_a_viewer_nothing_is_written_but_the_scene(env: BallWorld, tmp_path: Path) -> None:
    for _ in range(5):
        step(env)
    assert [f.name for f in (tmp_path / FOLDER).iterdir()] == ["scene.json"]


def test_a_viewer_gets_what_its_world_sensed(env: BallWorld, tmp_path: Path) -> None:
    follower = Follower(tmp_path, 2)
    follower.watch()
    observation = step(env)
    (look,) = follower.take()
    same(look, observation, 2)
    np.testing.assert_array_equal(look.action, env.state["action"][2].numpy())
    assert look.begins and follower.take() == []

    observation = step(env)
    (look,) = follower.take()
    same(look, observation, 2)
    assert not look.begins


def test_two_viewers_of_two_worlds(env: BallWorld, tmp_path: Path) -> None:
    followers = [Follower(tmp_path, world) for world in (0, 1)]
    for follower in followers:
        follower.watch()
    observation = step(env)
    looks = [look for follower in followers for look in follower.take()]
    for look, follower in zip(looks, followers, strict=True):
        same(look, observation, follower.world)
    assert not np.array_equal(looks[0].senses["visual"], looks[1].senses["visual"]), "the worlds differ"


def test_where_looks_are_missing_a_stretch_begins(env: BallWorld, tmp_path: Path) -> None:
    follower = Follower(tmp_path, 0)
    follower.watch()
    step(env)
    follower.take()
    step(env)
    step(env)
    assert [look.begins for look in follower.take()] == [True]


def test_an_episode_begins_a_stretch(env: BallWorld, tmp_path: Path) -> None:
    follower = Follower(tmp_path, 0)
    follower.watch()
    begins = []
    for _ in range(10):
        step(env)
        begins += [look.begins for look in follower.take()]
    assert begins == [i in (0, 7) for i in range(10)]


def test_looks_in_between_are_kept_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "CHECK_S", 0.0)
    env = BallWorld(3, 100, 16)
    Publisher.attach(env, tmp_path)
    follower = Follower(tmp_path, 1)
    follower.watch()
    step(env)
    assert len(follower.take()) == 1
    monkeypatch.setattr(publish, "EVERY_S", 1e9)
    seen = [step(env) for _ in range(publish.MOST_LOOKS + 5)]
    monkeypatch.setattr(publish, "EVERY_S", 0.0)
    step(env)
    looks = follower.take()
    assert len(looks) == publish.MOST_LOOKS and not any(look.begins for look in looks)
    for look, observation in zip(looks, seen, strict=False):
        same(look, observation, 1)
    step(env)
    assert [look.begins for look in follower.take()] == [True]


def test_who_rests_or_falls_silent_is_no_viewer(env: BallWorld, tmp_path: Path) -> None:
    folder, follower = tmp_path / FOLDER, Follower(tmp_path, 0)
    follower.watch()
    assert watched(folder, 3) == [0]
    (mark,) = folder.glob("watching-*")
    old = time.time() - publish.STALE_S - 1
    os.utime(mark, (old, old))
    assert watched(folder, 3) == []
    step(env)
    assert not (folder / LOOKS).exists()
    follower.watch()
    assert watched(folder, 3) == [0]
    follower.rest()
    assert watched(folder, 3) == []


@pytest.mark.parametrize("text", ["", "[]", '{"worlds": 3}', '{"worlds": ["x"]}', '{"worlds": [7, -1]}'])
def test_a_viewer_that_says_nonsense_is_none(env: BallWorld, tmp_path: Path, text: str) -> None:
    (tmp_path / FOLDER / "watching-1.json").write_text(text)
    assert watched(tmp_path / FOLDER, 3) == []
    step(env)


def test_a_disk_that_refuses_stops_no_job(env: BallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(tmp_path, 0)
    follower.watch()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish, "save_file", full)
    step(env)
    assert follower.take() == []


def test_half_a_file_is_no_look(env: BallWorld, tmp_path: Path) -> None:
    follower = Follower(tmp_path, 0)
    follower.watch()
    step(env)
    file = tmp_path / FOLDER / LOOKS
    file.write_bytes(file.read_bytes()[:200])
    assert follower.take() == []


def test_the_scene_puts_the_discs_where_they_are(env: BallWorld, tmp_path: Path) -> None:
    observation = step(env)
    scene = Scene.read(tmp_path / FOLDER)
    assert scene is not None
    poses = scene.poses({"pos": observation["critic"]["pos"][1].numpy()})
    for disc in range(3):
        x, z = env.state["pos"][1, 2 * disc : 2 * disc + 2].tolist()
        np.testing.assert_allclose(poses[f"disc_{disc}"][:3], (x, 0.0, z), atol=1e-6)


def test_an_environment_that_cannot_be_watched_is_left_alone(tmp_path: Path) -> None:
    Publisher.attach(object(), tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
