"""Awake, every step is remembered, and what was cut short can be lived again as it would have been."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from sage_ext.errors import SageError
from sage_ext.memory import Memory
from sage_ext.wake import open_memory, wake

from .ball_world import BallWorld, Push, sense_names
from .conftest import lived


def content(memory: Memory) -> TensorDict:
    """All that is remembered, in order, without the names that episodes bear."""
    return torch.cat([memory.episode(e).exclude("episode") for e in memory.episodes])


def equal(one: Memory, other: Memory) -> bool:
    first, second = content(one), content(other)
    return first.shape == second.shape and bool((first == second).all())


@pytest.mark.parametrize(("worlds", "asked", "given"), [(1, 3, 3), (3, 3, 3), (3, 6, 6), (4, 6, 8)])
def test_as_many_episodes_and_steps_as_asked_for(tmp_path: Path, worlds: int, asked: int, given: int) -> None:
    env = BallWorld(worlds, 7, 16)
    with open_memory(tmp_path / "m", env, 1000) as memory:
        told = wake(env, lambda s: Push(env, s), memory, asked, 3, 0)
        assert [e.length for e in memory.episodes] == [7] * given
        assert len(memory) == 7 * given
        assert told == {"episodes": given, "experiences": 7 * given, "success_rate": 0.0}


def test_every_step_says_what_was_sensed_done_and_in_force(tmp_path: Path) -> None:
    env, seen, done = BallWorld(2, 6, 16), [], []

    class Watched(Push):
        def act(self, observation: dict[str, Any]) -> torch.Tensor:
            seen.append(observation)
            done.append(super().act(observation))
            return done[-1]

    with open_memory(tmp_path / "m", env, 100) as memory:
        wake(env, lambda s: Watched(env, s), memory, 2, 2, 0)
        for episode in memory.episodes:
            got, world = memory.episode(episode), episode.world
            for key in sense_names(env):
                assert torch.equal(got["observation", key], torch.stack([o["policy"][key][world] for o in seen])), key
            assert torch.equal(got["critic", "pos"], torch.stack([o["critic"]["pos"][world] for o in seen]))
            assert torch.equal(got["action"], torch.stack([a[world] for a in done]))
            assert torch.equal(got["reward"][:-1], got["critic", "pos"][1:, 0])
            assert (got["physics", "gravity"] == torch.tensor([0, 0, -9.81])).all()
            assert (got["physics", "friction"] == 1).all()
            assert got["truncated"].tolist() == [False] * 5 + [True] and not got["terminated"].any()
            assert got["has_snapshot"].tolist() == [True, False] * 3


class Patient(BallWorld):
    """A box whose pictures take time, and whose flags are tensors that each step writes into."""

    def __init__(self, worlds: int, steps: int, size: int) -> None:
        super().__init__(worlds, steps, size)
        self.meanwhile: Callable[[], None] | None = None
        self._told: dict[str, torch.Tensor] = {}
        self.done = 0

    def step(self, action: torch.Tensor) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor, torch.Tensor, dict]:
        seen, reward, *flags, extras = super().step(action)
        flags = [self._kept(str(i), flag) for i, flag in enumerate(flags)]
        task, self.meanwhile = self.meanwhile, None
        if task is not None:
            task()
            self.done += 1
        return seen, reward, *flags, extras

    def _kept(self, name: str, value: torch.Tensor) -> torch.Tensor:
        return self._told.setdefault(name, value.clone()).copy_(value)


def test_steps_written_while_pictures_are_made_are_the_same(tmp_path: Path) -> None:
    plain, patient = BallWorld(3, 7, 16), Patient(3, 7, 16)
    with open_memory(tmp_path / "a", plain, 100) as one, open_memory(tmp_path / "b", patient, 100) as other:
        told = [wake(env, lambda s, env=env: Push(env, s), memory, 6, 3, 0)  # type: ignore[misc]
                for env, memory in ((plain, one), (patient, other))]  # fmt: skip
        assert told[0] == told[1] and equal(one, other)
        # The last step of each of the two waves has no next one.
        assert patient.done == 2 * 6


def test_a_wave_that_is_cut_short_leaves_the_environment_nothing_to_do(tmp_path: Path) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    env = Patient(3, 7, 16)
    with open_memory(tmp_path / "m", env, 100) as memory, pytest.raises(KeyboardInterrupt):
        wake(env, lambda s: Push(env, s), memory, 3, 3, 0, on_step=cut)
    assert env.meanwhile is None


def test_the_last_step_of_an_episode_has_its_own_physics(tmp_path: Path) -> None:
    class Shifting(BallWorld):
        def _place(self, which: torch.Tensor) -> None:
            super()._place(which)
            self.count = getattr(self, "count", 0) + 1
            self.state["gravity"][which] = -float(self.count)

    env = Shifting(1, 4, 16)
    with open_memory(tmp_path / "m", env, 100) as memory:
        wake(env, lambda s: Push(env, s), memory, 2, 2, 0)
        for episode in memory.episodes:
            gravity = memory.episode(episode)["physics", "gravity"]
            assert (gravity == gravity[0]).all()


def test_senses_are_neither_constant_nor_copies(remembered: tuple[BallWorld, Memory]) -> None:
    """Of the ball world itself: what is learned from it elsewhere must be there."""
    env, memory = remembered
    got = memory.sample(200, torch.Generator().manual_seed(0), ["observation"])["observation"]
    for key in sense_names(env):
        assert got[key].float().std(0).max() > 0.1, key
    assert got["depth"].amin() == 0 and 1.2 < got["depth"].amax() <= 2.5
    assert (got["tactile"] > 0).any(1).float().mean() > 0.2


@pytest.mark.parametrize("every", [1, 4, 7])
def test_a_snapshot_lived_again_with_the_same_actions_is_what_is_remembered(tmp_path: Path, every: int) -> None:
    env = BallWorld(3, 20)
    with lived(tmp_path / "m", env, 6, every=every) as memory:
        for episode in memory.episodes:
            got = memory.episode(episode)
            assert got["has_snapshot"].tolist() == [t % every == 0 for t in range(20)]
            first = (episode.id % 3) * every % 15 // every * every  # some moment that has a snapshot
            actions = got["action"][first:-1].unsqueeze(0)
            again = env.relive(got["snapshot"][first : first + 1], actions)
            for key in sense_names(env):
                assert torch.equal(again["policy"][key][0], got["observation", key][first + 1 :]), key


def test_a_world_that_ends_early_begins_anew_with_a_snapshot(tmp_path: Path) -> None:
    env = BallWorld(4, 25, 16, goal=-0.45)
    with open_memory(tmp_path / "m", env, 10_000) as memory:
        told = wake(env, lambda s: Push(env, s, expert=s % 2 == 0), memory, 16, 10, 0)
        early = [e for e in memory.episodes if e.length < 25]
        assert early and len(memory.episodes) >= told["episodes"] == 16
        for episode in memory.episodes:
            got = memory.episode(episode)
            assert got["has_snapshot"].tolist() == [t % 10 == 0 for t in range(episode.length)]
            ended = got["terminated"] | got["truncated"]
            assert ended.tolist() == [False] * (episode.length - 1) + [True]
            assert got["critic", "pos"][0, 0] < -0.5, "a beginning looks like one"


@pytest.mark.parametrize(("goal", "low", "high"), [(2.0, 0.0, 0.0), (-0.9, 1.0, 1.0), (0.4, 0.5, 1.0)])
def test_success_is_counted_once_an_episode(tmp_path: Path, goal: float, low: float, high: float) -> None:
    env = BallWorld(4, 60, 16, goal=goal)
    with open_memory(tmp_path / "m", env, 10_000) as memory:
        told = wake(env, lambda s: Push(env, s, expert=True), memory, 8, 10, 0)
        assert low <= told["success_rate"] <= high
        # What a world did first in its wave is what counts.
        starts: dict[tuple[int, int], bool] = {}
        for episode in memory.episodes:
            starts.setdefault((episode.start // 240, episode.world), bool(memory.episode(episode)["terminated"][-1]))
        if goal != -0.9:  # there waves are shorter
            assert told["success_rate"] == sum(starts.values()) / 8


def test_success_after_a_failure_does_not_count(tmp_path: Path) -> None:
    """World 0 fails, then succeeds in its next episode of the same wave; the others stand still until time is up."""

    class Turning(Push):
        def act(self, observation: dict[str, Any]) -> torch.Tensor:
            right = super().act(observation) * torch.tensor([[1.0], [0.0], [0.0]])
            return right if self.count > 14 else -right

    env = BallWorld(3, 60, 16, goal=-0.2, lost=-0.77)
    with open_memory(tmp_path / "m", env, 1000) as memory:
        told = wake(env, lambda s: Turning(env, s, expert=True), memory, 3, 10, 0)
        reached = [float(memory.episode(e)["reward"].max()) > -0.2 for e in memory.episodes if e.world == 0]
        assert reached[0] is False and True in reached[1:]
        assert told["success_rate"] == 0.0


def test_seeds(tmp_path: Path) -> None:
    memories = [lived(tmp_path / str(i), BallWorld(2, 10, 16), 4, seed) for i, seed in enumerate((5, 5, 6))]
    assert equal(memories[0], memories[1])
    assert not equal(memories[0], memories[2])
    waves = content(memories[0])["critic", "pos"].view(4, 10, 6)
    assert len({tuple(w[0].tolist()) for w in waves}) == 4, "each world of each wave begins elsewhere"
    for memory in memories:
        memory.close()


OnStep = Callable[[int, dict[str, Any]], None]


class Stop(Exception):
    pass


def stop_after(steps: int) -> OnStep:
    left = [steps]

    def on_step(count: int, extras: dict[str, Any]) -> None:
        left[0] -= count
        if left[0] < 0:
            raise Stop

    return on_step


EARLY = {"steps": 10, "resolution": 16, "goal": -0.6}


@pytest.mark.parametrize("steps", [0, 7, 20, 33, 59])
@pytest.mark.parametrize("reopen", [False, True])
def test_a_wake_cut_short_and_lived_again_is_as_if_it_had_not_been(tmp_path: Path, steps: int, reopen: bool) -> None:
    """Of 3 waves; worlds end early, so that a cut wave leaves whole episodes behind, and the ring wraps around."""
    waves: list[tuple[int, float, int]] = [(0, 0.0, 0)]

    def go(memory: Memory, env: BallWorld, on_step: OnStep | None = None, done: int = 0, successes: float = 0.0):
        def on_wave(done: int, successes: float) -> None:
            waves.append((done, successes, memory.head))

        make = functools.partial(Push, env)
        return wake(env, make, memory, 6, 5, 4, done, on_step, on_wave, successes=successes)

    env = BallWorld(2, **EARLY)
    with open_memory(tmp_path / "whole", env, 45) as whole:
        told = go(whole, env)
        assert 0 < told["success_rate"] < 1 and any(e.length < 10 for e in whole.episodes)
        del waves[1:]
        memory = open_memory(tmp_path / "cut", env, 45)
        with pytest.raises(Stop):
            go(memory, env, stop_after(steps))
        if reopen:
            memory.close()
            memory, env = Memory.open(tmp_path / "cut"), BallWorld(2, **EARLY)
        done, successes, head = waves[-1]
        memory.forget_since(head)
        again = go(memory, env, None, done, successes)
        assert {**again, "experiences": 0} == {**told, "experiences": 0}
        assert memory.episodes == whole.episodes and memory.head == whole.head
        assert equal(memory, whole)
        memory.close()


def test_an_open_memory_is_taken_up_and_another_kind_refused(tmp_path: Path) -> None:
    env = BallWorld(2, 10, 16)
    lived(tmp_path / "m", env, 2).close()
    with open_memory(tmp_path / "m", env, 1000) as memory:
        assert len(memory) == 20
    with pytest.raises(SageError, match=r"observation\.depth"):
        open_memory(tmp_path / "m", BallWorld(2, 10, 32), 1000)
    open_memory(tmp_path / "m", env, 1000).close()
