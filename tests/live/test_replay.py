"""A run that is over: its episodes, look by look, at the pace at which they were lived."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from sage_ext.live import replay
from sage_ext.live.replay import Replay
from sage_ext.memory import Memory


class Clock:
    """Time that the test lets pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(replay.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_looks_come_when_their_time_has_come_and_are_those_remembered(over: Path, clock: Clock) -> None:
    with Memory.open(over / "memory") as memory:
        first, second = [e for e in memory.episodes if e.world == 1][:2]
        lived = memory.episode(first)
        then = memory.episode(second, ["observation"])
    source = Replay(over / "memory", 1, 0.1)
    assert source.take() == []
    clock.now += 0.35
    looks = source.take()
    assert len(looks) == 3 and [look.begins for look in looks] == [True, False, False]
    for t, look in enumerate(looks):
        for name in look.senses:
            np.testing.assert_array_equal(look.senses[name], lived["observation", name][t].numpy())
        for name in look.truth:
            np.testing.assert_array_equal(look.truth[name], lived["critic", name][t].numpy())
        # The action that led to a look is remembered with the look before it.
        np.testing.assert_array_equal(look.action, lived["action"][max(0, t - 1)].numpy())
    clock.now += 0.06
    assert len(source.take()) == 1
    clock.now += 1000.0
    assert len(source.take()) == len(lived) - 4
    source.take()
    clock.now += 0.15
    (look,) = source.take()
    assert look.begins
    np.testing.assert_array_equal(look.senses["visual"], then["observation", "visual"][0].numpy())


def test_a_pause_holds_it(over: Path, clock: Clock) -> None:
    source = Replay(over / "memory", 0, 0.1)
    source.take()
    source.paused = True
    clock.now += 5.0
    assert source.take() == []
    source.paused = False
    clock.now += 0.25
    assert len(source.take()) == 2


def test_the_memory_is_free_while_it_is_replayed(over: Path, clock: Clock) -> None:
    source = Replay(over / "memory", 0, 0.1)
    source.take()
    with Memory.open(over / "memory"):
        clock.now += 0.15
        assert len(source.take()) == 1


def test_no_memory_or_a_world_that_never_was_is_nothing_to_replay(over: Path, clock: Clock, tmp_path: Path) -> None:
    for source in (Replay(tmp_path, 0, 0.1), Replay(over / "memory", 9, 0.1)):
        source.take()
        clock.now += 1.0
        assert source.take() == []


def test_after_the_last_episode_comes_the_first(over: Path, clock: Clock, tmp_path: Path) -> None:
    shutil.copytree(over / "memory", tmp_path / "memory")
    source = Replay(tmp_path / "memory", 0, 0.1)
    begun = []
    for _ in range(10):
        clock.now += 1000.0
        begun += [look.senses["visual"].tobytes() for look in source.take() if look.begins]
    assert len(begun) > len(set(begun)) > 1
