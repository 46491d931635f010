"""Steps whose every number follows from the episode's id and the step's place in it."""

from __future__ import annotations

import numpy as np
import torch
from tensordict import TensorDict

from sage_ext.memory import Episode, Memory

WIDTH = 8


def content(ids: np.ndarray, steps: np.ndarray) -> dict[str, np.ndarray]:
    """The numbers of steps; both arguments of shape ``(n,)``."""
    mark = ids * 7919 + steps * 104729 + 1
    image = (mark[:, None] * np.arange(1, WIDTH + 1) * 2654435761 >> 7) % 251
    return {"mark": mark, "image": image.astype(np.uint8), "has_snapshot": (ids + steps) % 3 == 0}


def tensors(ids: np.ndarray, steps: np.ndarray, ends: np.ndarray) -> TensorDict:
    """A batch of steps, ``(n,)``."""
    made = {key: torch.from_numpy(value) for key, value in content(ids, steps).items()}
    odd = ids % 2 == 1
    flags = {"terminated": torch.from_numpy(ends & ~odd), "truncated": torch.from_numpy(ends & odd)}
    data = {"observation": {"visual": made["image"]}, "critic": {"mark": made["mark"]}, **flags}
    return TensorDict(data | {"has_snapshot": made["has_snapshot"]}, [len(ids)])


def example() -> TensorDict:
    """One step, batch size ``[]``."""
    return tensors(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, bool))[0]


class Worlds:
    """Parallel worlds that write into a memory.

    Args:
        memory: Where to.
        worlds: How many.
        longest: Episodes have 1 to so many steps.
        seed: Of their lengths.
    """

    def __init__(self, memory: Memory, worlds: int, longest: int, seed: int = 0) -> None:
        self.memory, self.worlds, self.longest = memory, worlds, longest
        self.chance = np.random.default_rng(seed)
        self.ids, self.steps, self.left = (np.zeros(worlds, np.int64) for _ in range(3))
        self.written: list[Episode] = []
        memory.abandon()

    def restart(self) -> None:
        """All worlds begin anew at their next step."""
        self.left[:] = 0

    def step(self) -> None:
        """Append one step of all worlds."""
        fresh = np.flatnonzero(self.left == 0)
        self.ids[fresh], self.steps[fresh] = self.memory.head + fresh, 0
        self.left[fresh] = self.chance.integers(1, self.longest + 1, len(fresh))
        self.again()

    def again(self) -> None:
        """Append the worlds' present step, as after an error that was mended."""
        ends = self.left == 1
        self.memory.append(tensors(self.ids, self.steps, ends))
        for world in np.flatnonzero(ends):
            length = int(self.steps[world]) + 1
            self.written.append(Episode(int(self.ids[world]), self.worlds, length, int(world)))
        self.steps, self.left = self.steps + 1, self.left - 1


def check_whole(memory: Memory) -> int:
    """Every listed episode reads back as it was written; returns how many there are."""
    for episode in memory.episodes:
        assert episode.start >= memory.head - memory.capacity
        got = memory.episode(episode)
        assert got.batch_size == (episode.length,)
        check_steps(got)
        ended = got["terminated"] | got["truncated"]
        assert ended.tolist() == [False] * (episode.length - 1) + [True]
    return len(memory.episodes)


def check_steps(got: TensorDict) -> None:
    """Steps of any batch hold what their ``episode`` and ``step`` say."""
    flat = got.reshape(-1)
    want = content(flat["episode"].numpy(), flat["step"].numpy())
    np.testing.assert_array_equal(flat["critic", "mark"].numpy(), want["mark"])
    np.testing.assert_array_equal(flat["observation", "visual"].numpy(), want["image"])
    np.testing.assert_array_equal(flat["has_snapshot"].numpy(), want["has_snapshot"])
