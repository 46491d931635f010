"""Counting episodes: whole ones, each world's first, and what of each is reported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sage_ext.play import Episode, play, quotas, summary, wilson_interval

from .ball_world import BallWorld, Push


class Script:
    """Worlds whose episodes last as long as the test says; a world succeeds in the step that its script names."""

    device = "cpu"

    def __init__(self, lengths: list[list[int]], succeed: dict[tuple[int, int], int] | None = None) -> None:
        self.lengths, self.succeed = lengths, succeed or {}
        self.num_envs = len(lengths)
        self.clock, self.number = [0] * self.num_envs, [0] * self.num_envs

    def reset(self, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self.clock, self.number = [0] * self.num_envs, [0] * self.num_envs
        return {}, {}

    def step(self, action: Tensor) -> tuple[dict[str, Any], Tensor, Tensor, Tensor, dict[str, Any]]:
        over, success = [], []
        reward = torch.tensor([float(10 * world + self.number[world]) for world in range(self.num_envs)])
        log = {"number": torch.tensor(self.number), "of all": torch.tensor(max(self.clock) + 1.0)}
        for world, lengths in enumerate(self.lengths):
            self.clock[world] += 1
            success.append(self.succeed.get((world, self.number[world])) == self.clock[world])
            over.append(self.clock[world] == lengths[self.number[world] % len(lengths)])
            if over[-1]:
                self.clock[world], self.number[world] = 0, self.number[world] + 1
        ended = torch.tensor(over)
        return {}, reward, ended, torch.zeros_like(ended), {"success": torch.tensor(success), "log": log}


def played(world: Any, episodes: int, **hooks: Any) -> list[Episode]:
    still = SimpleNamespace(act=lambda observation: torch.zeros(world.num_envs, 2))
    return play(world, still, episodes, seed=0, **hooks)


def test_episodes_are_shared_out_beforehand() -> None:
    assert quotas(16, 16) == [1] * 16
    assert quotas(7, 3) == [3, 2, 2]
    assert quotas(2, 3) == [1, 1, 0]


def test_short_episodes_are_not_counted_more_often() -> None:
    # The first world could end seven episodes while the others end two.
    found = played(Script([[3], [10], [10]]), 6)
    assert [(e.world, e.number, e.steps) for e in found] == [
        (0, 0, 3), (0, 1, 3), (1, 0, 10), (1, 1, 10), (2, 0, 10), (2, 1, 10)
    ]  # fmt: skip


def test_episodes_of_a_world_may_differ_in_length() -> None:
    found = played(Script([[2, 5, 4], [6, 1]]), 5)
    assert [(e.world, e.steps) for e in found] == [(0, 2), (0, 5), (0, 4), (1, 6), (1, 1)]


def test_returns_and_logs_are_of_the_episode_itself() -> None:
    found = played(Script([[2], [3]]), 4)
    assert [e.total for e in found] == [0.0, 2.0, 30.0, 33.0]
    # One entry a world is that world's; one of all of them is that of the last step.
    assert [e.log for e in found] == [
        {"number": 0.0, "of all": 2.0},
        {"number": 1.0, "of all": 2.0},
        {"number": 0.0, "of all": 3.0},
        {"number": 1.0, "of all": 3.0},
    ]


def test_a_success_counts_for_its_own_episode_whenever_it_happens() -> None:
    # In the first step, in the last one, and in an episode that is not counted.
    found = played(Script([[3], [3]], {(0, 0): 1, (1, 1): 3, (1, 2): 1}), 4)
    assert [e.success for e in found] == [True, False, False, True]


def test_those_who_look_on_are_told_in_time() -> None:
    seen: list[list[bool]] = []
    ends: list[list[int]] = []
    played(
        Script([[3], [4]], {(0, 0): 2}),
        2,
        before_step=lambda observation, succeeded: seen.append(succeeded.tolist()),
        after_step=lambda ended: ends.append([e.world for e in ended]),
    )
    assert seen == [[False, False], [False, False], [True, False], [False, False]]
    assert ends == [[], [], [0], [1]]


def test_a_task_that_tells_no_success_has_no_rate() -> None:
    class Silent(Script):
        def step(self, action: Tensor) -> Any:
            *rest, _ = super().step(action)
            return *rest, {}

    result = summary(played(Silent([[2]]), 2))
    assert "success_rate" not in result
    assert (result["episodes"], result["mean_length"], result["log"]) == (2, 2.0, {})


def test_the_summary_is_made_of_the_episodes() -> None:
    episodes = [Episode(0, 0, 10, 1.0, True, {"goals": 2.0}), Episode(1, 0, 20, 4.0, False, {"goals": 1.0})]
    result = summary(episodes)
    assert (result["success_rate"], result["successes"]) == (0.5, 1)
    assert (result["mean_return"], result["mean_length"], result["log"]) == (2.5, 15.0, {"goals": 1.5})
    assert [each["world"] for each in result["each"]] == [0, 1]


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, table I: score method without continuity correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_the_literature(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_a_seed_is_a_play() -> None:
    def drawn(seed: int) -> list[Episode]:
        # Some episodes end early, as the robot's way out of the middle is short.
        env = BallWorld(3, steps=40, resolution=16, goal=0.6, lost=-0.6)
        return play(env, Push(env, seed), 7, seed)

    first = drawn(4)
    assert first == drawn(4) != drawn(5)
    assert [(e.world, e.number) for e in first] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert len({e.steps for e in first}) > 1
    assert {e.success for e in first} == {True, False}
