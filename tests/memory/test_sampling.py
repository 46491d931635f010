"""Samples are uniform, reproducible, and copies."""

from __future__ import annotations

import pytest
import torch

from sage_ext.errors import SageError
from sage_ext.memory import Memory

from .steps import Worlds, check_steps, example


@pytest.fixture
def memory(tmp_path):
    with Memory.create(tmp_path / "m", example(), 400, max_episode_steps=20) as memory:
        worlds = Worlds(memory, 4, 20)
        for _ in range(150):
            worlds.step()
        yield memory


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "draw",
    [
        lambda m, g: m.sample(20, g),
        lambda m, g: m.sample_slices(20, 5, g),
        lambda m, g: m.sample_slices(20, 5, g, snapshot_at=0),
    ],
)
def test_one_seed_draws_the_same(memory, draw):
    torch.manual_seed(1)
    first = draw(memory, seeded())
    torch.manual_seed(2)
    assert (first == draw(memory, seeded())).all()
    assert not (first["critic", "mark"] == draw(memory, seeded(1))["critic", "mark"]).all()
    check_steps(first)


def test_every_step_and_every_slice_is_drawn_equally_often(memory):
    generator, draws = seeded(), 40_000
    for length in (1, 6):
        places = {(e.id, t) for e in memory.episodes for t in range(e.length - length + 1)}
        got = memory.sample_slices(draws, length, generator, keys=["terminated"])[:, 0]
        if length == 1:
            got = memory.sample(draws, generator, keys=["terminated"])
        count = dict.fromkeys(places, 0)
        for place in zip(got["episode"].tolist(), got["step"].tolist(), strict=True):
            count[place] += 1
        mean = draws / len(places)
        # Chi square over its degrees of freedom is 1 with a spread of about 0.08 here.
        assert 0.6 < sum((n - mean) ** 2 / mean for n in count.values()) / (len(places) - 1) < 1.4


@pytest.mark.parametrize("at", [0, 1, 3])
def test_slices_have_their_snapshot_at_the_step_asked_for(memory, at):
    starts = {(e.id, t) for e in memory.episodes for t in range(e.length - 3) if (e.id + t + at) % 3 == 0}
    got = memory.sample_slices(5000, 4, seeded(), snapshot_at=at)
    assert set(zip(got["episode"][:, 0].tolist(), got["step"][:, 0].tolist(), strict=True)) == starts
    assert got["has_snapshot"][:, at].all() and not got["has_snapshot"][:, (at + 1) % 3].any()
    check_steps(got)


@pytest.mark.parametrize("at", [-1, 4])
def test_a_snapshot_outside_the_slice_is_refused(memory, at):
    with pytest.raises(SageError, match=rf"memory\.snapshot_at={at}: must be 0\.\.3"):
        memory.sample_slices(1, 4, snapshot_at=at)


def test_tables_follow_what_is_appended_and_forgotten(memory):
    worlds = Worlds(memory, 4, 3)
    for _ in range(100):
        worlds.step()
        alive = {e.id for e in memory.episodes}
        for marked in (None, 0):
            got = memory.sample_slices(40, 1, snapshot_at=marked)
            assert set(got["episode"].flatten().tolist()) <= alive
            check_steps(got)
    assert alive.isdisjoint(range(memory.head - memory.capacity))


def test_chosen_keys_and_given_slices(memory):
    got = memory.sample_slices(3, 2, seeded(), keys=[("critic", "mark"), "observation"])
    keys = {"episode", "step", ("critic", "mark"), ("observation", "visual")}
    assert set(got.keys(include_nested=True, leaves_only=True)) == keys
    again = memory.slices_at(got["episode"][:, 0], got["step"][:, 0], 2)
    check_steps(again)
    assert (again["critic", "mark"] == got["critic", "mark"]).all()
    with pytest.raises(SageError, match="memory.keys=critic.mass"):
        memory.sample(1, keys=[("critic", "mass")])


def test_slices_that_are_not_there_are_refused(memory):
    last = memory.episodes[-1]
    memory.slices_at([last.id], [0], last.length)
    for first, length in ((0, last.length + 1), (last.length, 1), (-1, 1)):
        with pytest.raises(SageError, match="leaves its episode"):
            memory.slices_at([last.id], [first], length)
    for gone in (memory.episodes[0].id - 1, last.id + 1, -1):
        with pytest.raises(SageError, match="forgotten"):
            memory.episode(gone)
    with pytest.raises(SageError, match=r"memory\.length=21: is longer"):
        memory.sample_slices(1, 21)


def test_reads_are_copies(memory):
    first = memory.episodes[0]
    reads = [memory.episode(first), memory.sample(8), memory.sample_slices(8, 2), memory.slices_at([first.id], [0], 1)]
    worlds = Worlds(memory, 4, 20, seed=9)
    for _ in range(200):
        worlds.step()
    for read in reads:
        check_steps(read)


def test_without_snapshots_there_is_no_drawing_at_them(tmp_path):
    step = example().exclude("has_snapshot")
    with Memory.create(tmp_path / "other", step, 10, max_episode_steps=5) as memory:
        memory.append(step.clone().set("truncated", torch.tensor(True)).unsqueeze(0))
        assert memory.sample(2).batch_size == (2,)
        with pytest.raises(SageError, match="has_snapshot"):
            memory.sample_slices(1, 1, snapshot_at=0)
