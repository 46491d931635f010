"""What was lived since a position can be forgotten, and lived again as if it had never been."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sage_ext.errors import SageError
from sage_ext.memory import Memory

from .steps import Worlds, check_whole, example, tensors


def write(memory: Memory, steps: int, worlds: int = 3, longest: int = 10, seed: int = 0) -> Worlds:
    made = Worlds(memory, worlds, longest, seed)
    for _ in range(steps):
        made.step()
    memory.abandon()
    return made


@pytest.fixture
def memory(tmp_path):
    with Memory.create(tmp_path / "m", example(), 400, max_episode_steps=10) as memory:
        yield memory


def test_episodes_since_are_gone_and_earlier_ones_intact(memory):
    write(memory, 40)
    head, before = memory.head, memory.episodes
    write(memory, 40, seed=1)
    assert len(memory.episodes) > len(before)
    steps = sum(e.length for e in before)
    gone = [e for e in memory.episodes if e.start >= head]
    memory.forget_since(head)
    assert (memory.episodes, len(memory), memory.head) == (before, steps, head)
    check_whole(memory)
    assert (memory.sample(500, torch.Generator().manual_seed(0))["episode"] < head).all()
    with pytest.raises(SageError, match="is forgotten"):
        memory.episode(gone[0])


def test_it_survives_reopening_and_appending_goes_on(memory, tmp_path):
    write(memory, 40)
    head, before = memory.head, memory.episodes
    write(memory, 40, seed=1)
    memory.forget_since(head)
    memory.close()
    with Memory.open(tmp_path / "m") as again:
        assert (again.episodes, again.head) == (before, head)
        made = write(again, 40, worlds=4, seed=2)
        assert made.written and again.episodes == sorted([*before, *made.written])
        check_whole(again)
    with Memory.open(tmp_path / "m") as again:
        assert again.episodes == sorted([*before, *made.written])
        check_whole(again)


def test_open_episodes_are_forgotten_too(memory):
    worlds = Worlds(memory, 3, 10)
    worlds.ids, worlds.left = np.arange(3), np.full(3, 10)
    for _ in range(4):
        worlds.again()
    memory.forget_since(memory.head)
    ids = memory.head + np.arange(3)
    memory.append(tensors(ids, np.zeros(3, np.int64), np.ones(3, bool)))
    assert [(e.start, e.length) for e in memory.episodes] == [(i, 1) for i in ids]
    check_whole(memory)


def test_what_is_lived_again_is_named_and_kept_as_if_for_the_first_time(memory, tmp_path):
    """Around the ring's end, where what was cut short has already overwritten the oldest."""
    with Memory.create(tmp_path / "other", example(), 400, max_episode_steps=10) as undisturbed:
        for one in (memory, undisturbed):
            write(one, 120)
        head = memory.head
        write(memory, 25, seed=7)  # cut short
        memory.forget_since(head)
        for one in (memory, undisturbed):
            write(one, 60, seed=1)
        assert memory.head == undisturbed.head > 400
        assert memory.episodes == undisturbed.episodes
        assert memory.episodes[0].start >= memory.head - 400
        check_whole(memory)


def test_the_oldest_that_were_overwritten_do_not_come_back(memory, tmp_path):
    write(memory, 120)
    head, first = memory.head, memory.episodes[0]
    write(memory, 60, seed=1)
    assert first not in memory.episodes
    memory.forget_since(head)
    memory.close()
    with Memory.open(tmp_path / "m") as again:
        assert first not in again.episodes and again.head == head
        check_whole(again)


def test_an_episode_that_reaches_beyond_keeps_its_rows(memory):
    worlds = Worlds(memory, 2, 10)
    for _ in range(7):
        worlds.step()
    middle = memory.head
    for _ in range(13):
        worlds.step()
    memory.forget_since(middle)
    kept = memory.episodes
    assert any(e.start + (e.length - 1) * e.stride >= middle for e in kept), "one began before and ended after"
    write(memory, 30, worlds=5, seed=3)
    assert memory.episodes[: len(kept)] == kept
    check_whole(memory)


def test_everything_and_nothing(memory):
    write(memory, 30)
    episodes, head = memory.episodes, memory.head
    memory.forget_since(head + 100)
    assert (memory.episodes, memory.head) == (episodes, head)
    memory.forget_since(0)
    assert (memory.episodes, len(memory), memory.head) == ([], 0, 0)
    write(memory, 30)
    assert memory.episodes == episodes
    check_whole(memory)


@pytest.mark.parametrize("shape", [(1,), (1, 3)])
def test_one_world_whose_tensors_are_strided_views(tmp_path, shape):
    """Torch calls them contiguous, whatever their strides say."""
    step = example().set("reward", torch.zeros(shape[1:]))
    with Memory.create(tmp_path / "m", step, 10, max_episode_steps=5) as memory:
        batch = example().unsqueeze(0)
        batch["terminated"] = torch.ones(1, dtype=torch.bool)
        value = torch.arange(8.0).view(1, 8)[:, 4] if shape == (1,) else torch.arange(6.0).view(3, 2).T[1:]
        assert value.is_contiguous() == (shape == (1,)) and tuple(value.shape) == shape
        memory.append(batch.set("reward", value))
        assert torch.equal(memory.sample(1)["reward"], value)
