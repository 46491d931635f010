"""Episodes that have begun and not ended, one for each world."""

from __future__ import annotations

import numpy as np

from ..errors import SageError
from .index import Episode


def check_capacity(capacity: int, max_episode_steps: int, worlds: int) -> None:
    """Refuse a ring in which an episode could overwrite its own beginning.

    Raises:
        SageError: ``capacity < max_episode_steps * worlds``.
    """
    if max_episode_steps < 1:
        raise SageError("memory.max_episode_steps", max_episode_steps, "must be at least 1", "set the longest episode")
    if capacity < worlds * max_episode_steps:
        problem = f"is smaller than an episode of {max_episode_steps} steps in each of {worlds} worlds"
        raise SageError("memory.capacity", capacity, problem, f"set at least {worlds * max_episode_steps}")


class Ongoing:
    """Where each world's episode began and how long it is so far.

    Args:
        capacity: Steps the ring holds.
        max_episode_steps: Longest episode there may be.
    """

    def __init__(self, capacity: int, max_episode_steps: int) -> None:
        self._capacity, self._limit = capacity, max_episode_steps
        self._length = np.zeros(0, np.int64)
        self._start = np.zeros(0, np.int64)

    def admit(self, worlds: int) -> None:
        """Check that one more step of all worlds may come; another number of worlds abandons what is open.

        Raises:
            SageError: It would break an episode's wholeness.
        """
        if worlds != len(self._length):
            check_capacity(self._capacity, self._limit, worlds)
            self._length, self._start = np.zeros(worlds, np.int64), np.zeros(worlds, np.int64)
        late = np.flatnonzero(self._length >= self._limit)
        if late.size:
            raise SageError(
                "memory.max_episode_steps", self._limit, f"world {late[0]} has not ended its episode by then",
                "set it to the environment's longest episode, and call abandon() when worlds are reset",
            )  # fmt: skip

    def step(self, base: int, ended: np.ndarray) -> list[Episode]:
        """Count one step of all worlds.

        Args:
            base: Position of the first world's row.
            ended: ``(worlds,)`` bool, whose episode ended with this step.

        Returns:
            The episodes that are now complete.
        """
        stride = len(ended)
        fresh = np.flatnonzero(self._length == 0)
        self._start[fresh] = base + fresh
        self._length += 1
        done = [Episode(int(self._start[w]), stride, int(self._length[w]), int(w)) for w in np.flatnonzero(ended)]
        self._length[ended] = 0
        return done

    def abandon(self) -> None:
        """Forget what is open."""
        self._length[:] = 0
