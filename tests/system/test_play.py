"""``sage-ext play`` on the simulator: its results, its film, and that the list of tasks says what is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.sim

WORLDS, STEPS = 2, 45


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A play of two episodes in each of two worlds, and the spaces of its environment."""
    from sage_ext.body import SimulatedBody
    from sage_ext.cli import main

    out = tmp_path_factory.mktemp("play") / "out"
    spaces: dict[str, Any] = {}
    policy = SimulatedBody.policy

    def look_in(self: SimulatedBody, name: str, env: Any, seed: int) -> Any:
        spaces.update(observation=env.single_observation_space, action=env.single_action_space)
        spaces["steps"] = env.max_episode_length
        return policy(self, name, env, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimulatedBody, "policy", look_in)
        settings = [
            f"episodes={2 * WORLDS}",
            f"task.num_envs={WORLDS}",
            f"task.episode_length_s={STEPS / 30}",
            "video=true",
        ]
        assert main(["play", *settings, f"out={out}", "task.device=cpu", "seed=2"]) == 0
    yield out, spaces


def test_every_episode_is_counted_whole(played: tuple[Path, dict[str, Any]]) -> None:
    out, spaces = played
    assert spaces["steps"] == STEPS
    result = json.loads((out / "play.json").read_text())
    assert [(e["world"], e["number"], e["steps"]) for e in result["each"]] == [
        (0, 0, STEPS), (0, 1, STEPS), (1, 0, STEPS), (1, 1, STEPS)
    ]  # fmt: skip
    assert result["mean_length"] == STEPS
    assert result["measured"]["steps"] == 2 * STEPS * WORLDS
    # The expert comes nearer to its goal, which is what it is paid for.
    assert result["mean_return"] > 0.1
    assert set(result["log"]) == {"goals_reached"}


def test_the_film_shows_robots_that_move(played: tuple[Path, dict[str, Any]]) -> None:
    import av

    with av.open(str(played[0] / "play.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.frames, float(stream.average_rate)) == ("h264", STEPS, 30.0)
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(stream)]
    # Both worlds, in colour and in depth: four pictures beside each other.
    for part in np.split(np.stack(frames)[:, :, : frames[0].shape[1] // 4 * 4], 4, axis=2):
        assert np.abs(part[-1] - part[0]).mean() > 5
        assert part[0].std() > 10


def test_the_list_of_tasks_says_what_is_true(played: tuple[Path, dict[str, Any]]) -> None:
    from sage_tasks import TASKS
    from sage_tasks.listing import describe_all

    found = {described.task: described for described in describe_all()}
    assert list(found) == list(TASKS)
    navigation, spaces = found["Sage-Navigation"], played[1]
    assert navigation.observation == spaces["observation"]["policy"]
    assert navigation.action == spaces["action"]
    assert (navigation.about, navigation.steps) == ("drive to the goal post, around what stands in the way", 600)
    assert (navigation.policies, navigation.agents) == (("random", "expert"), ("rsl_rl",))
    assert navigation.difficulties == ("easy", "default", "hard")
    assert all(described.about and described.agents for described in found.values())


def test_the_config_files_have_the_tasks_own_length() -> None:
    from sage_ext.config import load_config
    from sage_tasks.listing import describe_all

    for described in describe_all():
        assert load_config([f"task={described.task}"]).task.episode_length_s == described.episode_length_s
