"""Episodes stay whole or are forgotten whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sage_ext.errors import SageError
from sage_ext.memory import Memory

from .steps import Worlds, check_steps, check_whole, example


def test_120_000_steps_at_capacity_100_000(tmp_path):
    with Memory.create(tmp_path / "m", example(), max_episode_steps=200) as memory:
        worlds = Worlds(memory, 96, 200)
        for _ in range(1250):
            worlds.step()
        assert (memory.capacity, memory.head) == (100_000, 120_000)
        alive = sorted(e for e in worlds.written if e.start >= 20_000)
        assert memory.episodes == alive and len(alive) < len(worlds.written)
        assert len(memory) == sum(e.length for e in alive)
        check_whole(memory)
        slices = memory.sample_slices(500, 16, torch.Generator().manual_seed(0))
        check_steps(slices)
        assert (slices["episode"] == slices["episode"][:, :1]).all()
        assert (slices["step"].diff(dim=1) == 1).all()
        ended = slices["terminated"] | slices["truncated"]
        assert not ended[:, :-1].any() and ended[:, -1].any()


def test_forgetting_is_exact(tmp_path):
    with Memory.create(tmp_path / "m", example(), 12, max_episode_steps=4) as memory:
        worlds = Worlds(memory, 1, 1)
        for count in range(1, 30):
            worlds.step()
            assert memory.episodes == worlds.written[-12:], count
            assert check_whole(memory) == min(count, 12)


def test_an_open_episode_is_neither_listed_nor_drawn(tmp_path):
    with Memory.create(tmp_path / "m", example(), 100, max_episode_steps=10) as memory:
        worlds = Worlds(memory, 2, 5)
        worlds.ids, worlds.left = np.arange(2), np.array([2, 3])
        worlds.again()
        with pytest.raises(SageError, match="no complete episode"):
            memory.sample(1)
        worlds.again()
        assert [e.world for e in memory.episodes] == [0] and len(memory) == 2
        assert set(memory.sample(50)["episode"].tolist()) == {0}


def test_abandon_and_another_number_of_worlds_forget_open_episodes(tmp_path):
    with Memory.create(tmp_path / "m", example(), 600, max_episode_steps=50) as memory:
        written = []
        for count, seed in ((3, 0), (5, 1), (5, 2), (2, 3)):
            worlds = Worlds(memory, count, 50, seed)
            for _ in range(60):
                worlds.step()
            written += worlds.written
            memory.abandon()
        assert memory.episodes == sorted(e for e in written if e.start >= memory.head - 600)
        assert {e.stride for e in memory.episodes} == {2, 5}
        check_whole(memory)
    with Memory.open(tmp_path / "m") as memory:
        worlds = Worlds(memory, 7, 50)
        for _ in range(50):
            worlds.step()
        assert {e.stride for e in memory.episodes} == {2, 5, 7}
        check_whole(memory)


def test_a_change_of_worlds_alone_abandons(tmp_path):
    with Memory.create(tmp_path / "m", example(), 100, max_episode_steps=10) as memory:
        first, second = Worlds(memory, 2, 1), Worlds(memory, 3, 1)
        first.ids, first.left = np.arange(2), np.array([4, 4])
        first.again()
        second.step()
        assert memory.episodes == sorted(second.written)
        check_whole(memory)


def test_capacity_must_hold_an_episode_of_every_world(tmp_path):
    with pytest.raises(SageError, match=r"memory\.capacity=9: .*set at least 10"):
        Memory.create(tmp_path / "m", example(), 9, max_episode_steps=10)
    with Memory.create(tmp_path / "m", example(), 39, max_episode_steps=10) as memory:
        with pytest.raises(SageError, match=r"memory\.capacity=39: .*set at least 40"):
            Worlds(memory, 4, 10).step()
        assert memory.head == 0
        Worlds(memory, 3, 10).step()


def test_longest_episodes_fit_exactly(tmp_path):
    with Memory.create(tmp_path / "m", example(), 40, max_episode_steps=10) as memory:
        worlds = Worlds(memory, 4, 10)
        for _ in range(5):
            worlds.ids, worlds.steps, worlds.left = memory.head + np.arange(4), worlds.steps * 0, worlds.steps * 0 + 10
            for _ in range(10):
                worlds.again()
            assert check_whole(memory) == 4


def test_an_episode_longer_than_agreed_is_refused(tmp_path):
    with Memory.create(tmp_path / "m", example(), 40, max_episode_steps=10) as memory:
        worlds = Worlds(memory, 2, 10)
        worlds.ids, worlds.left = np.arange(2), np.array([10, 11])
        for _ in range(10):
            worlds.again()
        with pytest.raises(SageError, match=r"memory\.max_episode_steps=10: world 1 "):
            worlds.again()
        memory.abandon()
        worlds.restart()
        worlds.step()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.set("extra", torch.zeros(2)), "step=extra: is not remembered"),
        (lambda s: s.del_("truncated"), "step=truncated: is missing"),
        (lambda s: s.set(("critic", "mark"), torch.zeros(2)), r"step\.critic\.mark=.*int64"),
        (lambda s: s.set(("observation", "visual"), torch.zeros(2, 3).byte()), r"observation\.visual=\(2, 3\)"),
    ],
)  # fmt: skip
def test_steps_of_another_kind_are_refused(tmp_path, change, message):
    with Memory.create(tmp_path / "m", example(), 40, max_episode_steps=10) as memory:
        steps = torch.stack([example(), example()])
        change(steps)
        with pytest.raises(SageError, match=message):
            memory.append(steps)
        assert memory.head == 0
