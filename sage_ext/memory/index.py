"""Which episodes are whole, and how to draw steps and slices from them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import SageError


@dataclass(frozen=True, order=True)
class Episode:
    """A complete episode: its steps are at positions ``start + t * stride``.

    Attributes:
        start: Position of its first step, counted over all steps ever written.
        stride: How many worlds were written side by side.
        length: How many steps it has.
        world: Which of the worlds it happened in.
    """

    start: int
    stride: int
    length: int
    world: int

    @property
    def id(self) -> int:
        """Its name: unique, growing with time, used again only after ``Memory.forget_since``."""
        return self.start


class EpisodeIndex:
    """The complete episodes in order of their start.

    Args:
        capacity: Rows in the ring.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._changed()
        self.episodes: list[Episode] = []
        self.steps = 0

    def _changed(self) -> None:
        self._table: np.ndarray | None = None
        self._drawable: dict[tuple[int, bool, int], tuple[np.ndarray, np.ndarray | None]] = {}

    def add(self, episodes: Sequence[Episode]) -> None:
        """Take in episodes that became complete."""
        for episode in episodes:
            insort(self.episodes, episode)
            self.steps += episode.length
        if episodes:
            self._changed()

    def forget(self, oldest: int) -> None:
        """Drop every episode that has a step before position ``oldest``."""
        dead = 0
        while dead < len(self.episodes) and self.episodes[dead].start < oldest:
            self.steps -= self.episodes[dead].length
            dead += 1
        if dead:
            del self.episodes[:dead]
            self._changed()

    def forget_since(self, position: int) -> None:
        """Drop every episode that began at ``position`` or later."""
        kept = [e for e in self.episodes if e.start < position]
        if len(kept) < len(self.episodes):
            self.episodes, self.steps = kept, sum(e.length for e in kept)
            self._changed()

    def _columns(self) -> np.ndarray:
        """Start, stride and length of the episodes, shape ``(3, episodes)``."""
        if self._table is None:
            rows = [(e.start, e.stride, e.length) for e in self.episodes]
            self._table = np.array(rows, np.int64).reshape(-1, 3).T.copy()
        return self._table

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Places of episodes in the index by their ids.

        Raises:
            SageError: An id names no complete episode, or no longer.
        """
        starts = self._columns()[0]
        which = np.searchsorted(starts, ids)
        known = np.append(starts, -1)[which] == ids
        if not known.all():
            missing = int(ids[~known][0])
            raise SageError("memory.episode", missing, "is forgotten or not complete", "take one of memory.episodes")
        return which

    def lengths(self, which: np.ndarray) -> np.ndarray:
        """Steps of the episodes at the given places."""
        return self._columns()[2][which]

    def starts(self, which: np.ndarray) -> np.ndarray:
        """Ids of the episodes at the given places."""
        return self._columns()[0][which]

    def rows(self, which: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Rows of the ring where steps lie; both arguments broadcast."""
        start, stride, _ = self._columns()
        return (start[which] + step * stride[which]) % self._capacity

    def draw(
        self,
        count: int,
        length: int,
        generator: torch.Generator | None,
        marked: Callable[[np.ndarray], np.ndarray] | None = None,
        mark: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw beginnings of slices, uniformly over all that fit into their episode.

        Args:
            count: How many, with replacement.
            length: Steps of a slice.
            generator: Source of chance.
            marked: Given rows, tells which are marked; None asks for no mark.
            mark: Which step of the slice has to be marked.

        Returns:
            Places of episodes and steps within them, ``(count,)`` each.

        Raises:
            SageError: There is none to draw.
        """
        key = (length, marked is not None, mark)
        if key not in self._drawable:
            self._drawable[key] = self._enumerate(length, marked, mark)
        ends, chosen = self._drawable[key]
        total = len(chosen) if chosen is not None else int(ends[-1]) if len(ends) else 0
        if not total:
            raise self._nothing(length, marked is not None)
        device = generator.device if generator is not None else "cpu"
        drawn = torch.randint(total, (count,), generator=generator, device=device).cpu().numpy()
        flat = drawn if chosen is None else chosen[drawn]
        return self._locate(ends, flat)

    def _enumerate(
        self, length: int, marked: Callable[[np.ndarray], np.ndarray] | None, mark: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Number all beginnings: running count at each episode's end, and the numbers that are marked."""
        ends = np.cumsum(np.maximum(self._columns()[2] - length + 1, 0))
        if marked is None or not len(ends):
            return ends, None
        flat = np.arange(ends[-1])
        which, step = self._locate(ends, flat)
        return ends, flat[marked(self.rows(which, step + mark))]

    @staticmethod
    def _locate(ends: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        which = np.searchsorted(ends, flat, side="right")
        before = np.concatenate(([0], ends))[which]
        return which, flat - before

    def _nothing(self, length: int, marked: bool) -> SageError:
        longest = max((e.length for e in self.episodes), default=0)
        if not longest:
            return SageError("memory", "empty", "holds no complete episode", "collect some first")
        if longest < length:
            return SageError(
                "memory.length", length, f"is longer than every remembered episode (longest {longest})",
                f"use at most {longest}",
            )  # fmt: skip
        problem = "has no snapshot from which a slice fits" if marked else "has none that fits"
        return SageError("memory.length", length, problem, "use shorter slices or take snapshots more often")
